"""`runt dev ...`: worktrees' daemons, listed and removed, and nothing else touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon_home import DaemonHome
from runtimed import DaemonClient
from runtimed.paths import worktree_hash

pytestmark = pytest.mark.real

GONE = "0123456789ab"


def _abandoned(home: DaemonHome, name: str, worktree: str | None = None) -> Path:
    """What a daemon that has ended left in a worktree's folder."""
    folder = Path(home.env["XDG_CACHE_HOME"]) / "runt" / "worktrees" / name
    folder.mkdir(parents=True)
    (folder / "runtimed.log").write_bytes(b"x" * 1500)
    if worktree is not None:
        record = {"worktree_path": worktree, "workspace_description": "tried something"}
        (folder / "workspace.json").write_text(json.dumps(record))
    return folder


def _list(home: DaemonHome, *command: str) -> Any:
    done = home.runt(*command, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_worktrees_have_daemons_of_their_own_and_are_cleaned_one_by_one(
    bare_daemon: Callable[..., DaemonHome], tmp_path: Path
) -> None:
    workspace = tmp_path / "my worktree"
    workspace.mkdir()
    link = tmp_path / "link"
    link.symlink_to(workspace)
    ordinary = bare_daemon()
    home = bare_daemon(start=False)
    # By a link, with a slash: it is the same worktree. Both daemons lie in one cache folder.
    home.env |= {
        "XDG_CACHE_HOME": ordinary.env["XDG_CACHE_HOME"],
        "RUNTIMED_WORKSPACE_PATH": f"{link}/",
        "RUNTIMED_WORKSPACE_NAME": "the new thing",
    }
    home.start()
    here = worktree_hash(workspace)
    stale = _abandoned(home, GONE, "/no/such/worktree")
    # Nothing of ours, and none of it is to be touched.
    foreign = [_abandoned(home, name) for name in ("0123456789AB", "notes", "0123456789abc")]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (stale.parent / "fedcba987654").symlink_to(elsewhere)

    found: list[dict[str, Any]] = [
        {
            "hash": GONE,
            "status": "stopped",
            "worktree": "/no/such/worktree",
            "description": "tried something",
            "pid": None,
            "version": None,
        },
        {
            "hash": here,
            "status": "running",
            "worktree": str(workspace),
            "description": "the new thing",
            "pid": home.pid,
            "version": found_version(home),
        },
    ]
    found.sort(key=lambda one: str(one["hash"]))
    assert _list(home, "dev", "worktrees") == found
    assert _list(ordinary, "daemon", "list-worktrees") == found

    running = home.runt("dev", "clean", "--yes")
    assert (running.returncode, running.stdout) == (1, "")
    assert f"{here} (pid {home.pid}, {workspace})" in running.stderr
    assert "--force" in running.stderr
    assert DaemonClient(home.socket).ping()

    tried = home.runt("dev", "clean", "--stale", "--dry-run")
    assert tried.returncode == 0
    assert tried.stdout.splitlines()[-2:] == [
        "Will delete 1 worktree state directory (1.6 KB)",
        "(dry-run mode - no files deleted)",
    ]
    declined = home.runt("dev", "clean", "--stale", input="n\n")
    assert (declined.returncode, declined.stderr) == (1, "Aborted.\n")
    assert stale.exists()
    agreed = home.runt("dev", "clean", "--stale", input="y\n")
    assert agreed.returncode == 0
    assert agreed.stdout.endswith(f"Continue? [y/N] Deleted {GONE}\nCleaned 1 worktree(s)\n")
    assert not stale.exists()

    forced = home.runt("dev", "clean", "--hash", here[:6], "--force", "--yes")
    assert (forced.returncode, forced.stderr) == (0, "")
    assert f"Deleted {here}\n" in forced.stdout
    assert home.process is not None
    assert home.process.wait(30) == 0
    assert not home.paths.base.exists()

    assert all((folder / "runtimed.log").exists() for folder in foreign)
    assert elsewhere.exists()
    assert DaemonClient(ordinary.socket).ping()
    nothing = home.runt("dev", "clean", "--all")
    assert nothing.stdout == "No worktree state directories found.\n"


def found_version(home: DaemonHome) -> str:
    version = json.loads(home.paths.info.read_bytes())["version"]
    assert isinstance(version, str)
    return version


def test_stop_in_a_worktree_stops_that_worktrees_daemon(
    bare_daemon: Callable[..., DaemonHome], tmp_path: Path
) -> None:
    ordinary = bare_daemon()
    env = ordinary.env | {"RUNTIMED_WORKSPACE_PATH": str(tmp_path), "RUNTIMED_WARM_KERNELS": "0"}

    def runt(*arguments: str) -> tuple[int, str]:
        done = ordinary.runt(*arguments, env=env)
        return done.returncode, done.stdout

    assert runt("daemon", "stop") == (3, "")
    code, started = runt("daemon", "start")
    assert (code, started.startswith("Daemon started (pid ")) == (0, True)
    code, restarted = runt("daemon", "restart")
    assert (code, restarted.startswith("Daemon stopped.\nDaemon started (pid ")) == (0, True)
    assert runt("daemon", "stop") == (0, "Daemon stopped.\n")
    assert DaemonClient(ordinary.socket).ping()
    # It is still known whose folder that was.
    (one,) = json.loads(ordinary.runt("daemon", "list-worktrees", "--json").stdout)
    assert (one["status"], one["worktree"]) == ("stopped", str(tmp_path))


def test_what_is_not_there_is_said(fresh_daemon: Callable[..., DaemonHome]) -> None:
    home = fresh_daemon(start=False)
    outside = home.runt("dev", "worktrees")
    assert (outside.returncode, outside.stdout) == (1, "")
    assert outside.stderr.startswith("Error: 'runt dev' commands require RUNTIMED_DEV=1 ")
    assert home.runt("daemon", "list-worktrees").stdout.startswith("No dev worktree daemons found.")
    home.env["RUNTIMED_DEV"] = "1"
    nowhere = home.runt("dev", "clean")
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert nowhere.stderr.endswith("; or give --hash or --all\n")
    assert home.runt("dev", "clean", "--hash", "0123").stderr.startswith("No worktree has a hash")
    assert home.runt("dev", "clean", "--all", "--stale").returncode == 2
    home.env["RUNTIMED_WORKSPACE_PATH"] = "/tmp/w"
    said = f"No worktree state to clean for /tmp/w (hash: {worktree_hash('/tmp/w')})\n"
    assert home.runt("dev", "clean").stdout == said
    assert home.runt("dev", "clean", "--stale").stdout == (
        "No stale worktree state directories found.\n"
    )
    assert not home.paths.base.exists()
