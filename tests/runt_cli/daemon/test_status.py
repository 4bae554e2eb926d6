"""What the text of `runt daemon status` makes of a report; no daemon is asked."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from in_process import Runt
from runt_cli.daemon import status_report
from runtimed import __version__
from runtimed.paths import settings_folder


@pytest.fixture
def runt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runt:
    return Runt(tmp_path, monkeypatch)


def _answered(monkeypatch: pytest.MonkeyPatch, runt: Runt, version: str, **stats: Any) -> None:
    counts: dict[str, Any] = dict.fromkeys(status_report._COUNTS, 0)
    monkeypatch.setattr(status_report, "_pool_stats", lambda: (counts | stats, None))
    rooms = [{"has_kernel": True}, {"has_kernel": False}]
    monkeypatch.setattr(status_report, "open_rooms", lambda: rooms)
    runt.paths.base.mkdir(parents=True)
    runt.paths.info.write_text(f'{{"pid": 7, "version": "{version}", "blob_port": 99}}')


def test_targets_warm_kernels_and_why_a_pool_waits_are_told(
    runt: Runt, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {
        "message": "No solution found:\n  nope",
        "failed_package": "nope",
        "consecutive_failures": 3,
        "retry_in_secs": 40,
    }
    _answered(
        monkeypatch,
        runt,
        __version__,
        uv_available=2,
        uv_warming=1,
        uv_target=5,
        uv_warm_kernels=0,
        uv_warm_kernels_target=1,
        uv_error=error,
    )
    assert (
        "PID:                7\n"
        f"Version:            {__version__}\n"
        "Blob server:        http://127.0.0.1:99\n"
        "Uptime:             -\n"
        "\n"
        "Pool:\n"
        "  UV:               2/5 ready (1 warming), 0/1 with a running kernel\n"
        "                    failed 3 times (nope): No solution found: nope\n"
        "                    next try in 40 s\n"
        "  Conda:            off\n"
        "\n"
        "Notebooks:          2 open, 1 with a kernel\n"
        "Blobs:              0, 0 B\n"
    ) in runt("status").output


def test_another_version_is_named_with_the_command_that_changes_it(
    runt: Runt, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answered(monkeypatch, runt, "0.0.9")
    assert (
        f"Version:            0.0.9, installed is {__version__}: "
        "'runt daemon restart' changes to it\n"
    ) in runt("daemon", "status").output


def test_a_repository_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / ".git").write_text("gitdir: elsewhere\n")  # as in a worktree
    assert status_report._git_top_level(tmp_path / "a" / "b") == tmp_path / "a"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", ""),
        ('{"theme": 1}', " (1 value not used, see 'runt doctor')"),
        ('{"theme": 1, "uv": 2}', " (2 values not used, see 'runt doctor')"),
        ('{"theme": "dark",}', " (can't be read, see 'runt doctor')"),
    ],
)
def test_settings_that_do_not_count_are_told(runt: Runt, content: str, told: str) -> None:
    file = settings_folder() / "settings.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    lines = runt("status").stdout.splitlines()
    assert f"  Settings:         ~/config/nteract/settings.json{told}" in [
        line.replace("  Settings:          ", "  Settings:         ") for line in lines
    ]


def test_variables_that_may_hold_credentials_are_not_shown(
    runt: Runt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_CONDA_CHANNELS", "https://host/t/hush/channel")
    monkeypatch.setenv("RUNTIMED_CONDA_CHANNEL_ALIAS", "https://me:hush@host")
    monkeypatch.setenv("RUNTIMED_AGENT_TOKEN", "hush")
    monkeypatch.setenv("RUNT_TRUST_KEY_PATH", "/home/me@work/key")
    monkeypatch.setenv("RUNTIMED_WARM_KERNELS", "3")
    shown = runt("status").stdout
    assert "hush" not in shown
    assert "hush" not in runt("status", "--json").stdout
    assert "  RUNTIMED_AGENT_TOKEN=(not shown, for it may hold credentials)\n" in shown
    assert "  RUNT_TRUST_KEY_PATH=/home/me@work/key\n" in shown
    assert "  RUNTIMED_WARM_KERNELS=3\n" in shown


def test_the_uptime_is_an_age_like_that_of_kernels(
    runt: Runt, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answered(monkeypatch, runt, __version__)
    started = datetime.now(timezone.utc) - timedelta(days=3, hours=2)
    runt.paths.info.write_text(f'{{"pid": 7, "version": "1", "started_at": "{started}"}}')
    assert "Uptime:             3 d\n" in runt("status").stdout
