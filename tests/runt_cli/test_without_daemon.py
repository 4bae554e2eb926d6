"""What the commands say when no daemon runs: whole outputs, since they are what a user sees."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon_home import DaemonHome

pytestmark = pytest.mark.real

NOT_RUNNING = "Daemon not running. 'runt daemon start' starts it"


@pytest.fixture
def nobody(fresh_daemon: Callable[..., DaemonHome]) -> DaemonHome:
    """A home folder in which no daemon was ever started."""
    return fresh_daemon(start=False)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("ps", NOT_RUNNING),
        ("notebooks", NOT_RUNNING),
        ("stop x.ipynb", NOT_RUNNING),
        ("stop --all", NOT_RUNNING),
        ("interrupt x", NOT_RUNNING),
        ("inspect x", NOT_RUNNING),
        ("daemon ping", "Daemon not running: {reason}"),
        ("daemon flush", NOT_RUNNING),
        ("daemon shutdown", "Daemon not running."),
        ("daemon stop", "Daemon not running."),
    ],
)
def test_a_command_that_needs_a_daemon_says_so_in_one_line(
    nobody: DaemonHome, command: str, line: str
) -> None:
    done = nobody.runt(*command.split())
    reason = f"Failed to connect to daemon: No such file or directory (socket {nobody.socket})"
    expected = line.format(reason=reason, socket=nobody.socket)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", expected + "\n")
    assert not nobody.paths.base.exists()


def test_status_has_all_keys_without_a_daemon_and_creates_nothing(nobody: DaemonHome) -> None:
    before = sorted(nobody.home.rglob("*"))
    done = nobody.runt("status", "--json")
    base = nobody.paths.base
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "channel": "stable",
        "socket_path": str(nobody.socket),
        "installed": False,
        "running": False,
        "dev_mode": False,
        "daemon_info": None,
        "pool_stats": None,
        "paths": {
            "base_dir": str(base),
            "log_path": str(base / "runtimed.log"),
            "envs_dir": str(base / "envs"),
            "blobs_dir": str(base / "blobs"),
            "notebooks_dir": str(nobody.home / "notebooks"),
        },
        "env": {
            "RUNTIMED_DEV": None,
            "RUNTIMED_WORKSPACE_PATH": None,
            "RUNTIMED_WORKSPACE_NAME": None,
            "RUNTIMED_VITE_PORT": None,
        },
        "blob_url": None,
        "worktree_hash": None,
    }
    assert sorted(nobody.home.rglob("*")) == before


def test_status_for_people_without_a_daemon(nobody: DaemonHome) -> None:
    done = nobody.runt("daemon", "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "runtimed Daemon Status\n"
        "Channel:            stable\n"
        "Service installed:  no\n"
        "Daemon running:     no: 'runt daemon start' starts it\n"
        "Socket:             ~/c/runt/runtimed.sock\n"
        "\n"
        "Paths:\n"
        "  State:            ~/c/runt\n"
        "  Log:              ~/c/runt/runtimed.log\n"
        "  Environments:     ~/c/runt/envs\n"
        "  Blobs:            ~/c/runt/blobs\n"
        "  Notebooks:        ~/notebooks\n"
        "  Settings:         ~/config/nteract/settings.json\n"
        "\n"
        "Variables that act:\n"
        f"  RUNTIMED_TEST_HOME={nobody.home}\n"
        f"  XDG_CACHE_HOME={nobody.home}/c\n"
        f"  XDG_CONFIG_HOME={nobody.home}/config\n"
        f"  XDG_DATA_HOME={nobody.home}/data\n"
    )


def test_two_workspaces_have_daemons_of_their_own(
    fresh_daemon: Callable[..., DaemonHome], tmp_path: Path
) -> None:
    def status(workspace: Path) -> dict[str, object]:
        workspace.mkdir()
        home = fresh_daemon(start=False, environ={"RUNTIMED_WORKSPACE_PATH": str(workspace)})
        report = json.loads(home.runt("status", "--json").stdout)
        assert report["dev_mode"] is True
        assert report["paths"]["base_dir"].endswith(f"/worktrees/{report['worktree_hash']}")
        assert isinstance(report, dict)
        return report

    assert status(tmp_path / "a")["worktree_hash"] != status(tmp_path / "b")["worktree_hash"]


def test_logs_without_a_log_name_the_file(nobody: DaemonHome) -> None:
    done = nobody.runt("logs")
    expected = f"Log file not found: {nobody.paths.log}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_an_explicit_socket_is_never_started_by_a_run(
    fresh_daemon: Callable[..., DaemonHome],
) -> None:
    nobody = fresh_daemon(start=False, environ={"RUNTIMED_SOCKET_PATH": "/tmp/none/x.sock"})
    done = nobody.runt("exec", "1")
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "RUNTIMED_SOCKET_PATH" in done.stderr


@pytest.mark.parametrize("command", ["ps", "notebooks", "status --json", "daemon ping"])
def test_a_quick_command_imports_neither_trio_nor_rich(nobody: DaemonHome, command: str) -> None:
    program = (
        "import sys, runt_cli\n"
        "try: runt_cli.main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('trio', 'rich', 'automerge', 'zmq') if m in sys.modules])"
    )
    done = nobody.run(sys.executable, "-c", program, *command.split())
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_notebook_that_does_not_exist_is_not_made(nobody: DaemonHome) -> None:
    done = nobody.runt("run", "missing.ipynb")
    assert (done.returncode, done.stderr) == (1, "Notebook not found: missing.ipynb\n")
    assert not nobody.paths.base.exists()


def test_a_wrong_command_line_is_a_usage_error(nobody: DaemonHome) -> None:
    assert nobody.runt("run", "--timeout", "0", "x.ipynb").returncode == 2
    assert nobody.runt("bogus").returncode == 2


def test_runt_alone_prints_its_help_with_examples(nobody: DaemonHome) -> None:
    done = nobody.runt()
    assert done.returncode == 0
    assert "CLI for Jupyter Runtimes." in done.stdout
    assert "Examples:" in done.stdout


@pytest.mark.parametrize(
    "command",
    ["run", "exec", "ps", "notebooks", "stop", "logs", "doctor", "daemon start", "daemon restart"],
)
def test_every_command_has_help_with_an_example(nobody: DaemonHome, command: str) -> None:
    done = nobody.runt(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"  runt {command}" in done.stdout
