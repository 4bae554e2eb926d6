"""A small service manager of the tests': keeps one program running as a definition says.

Stands in for systemd and launchd, which no test may ask: they are the user's own, and containers
have none. `stand_in_systemctl.py` and `stand_in_launchctl.py` are its two faces. It really starts,
watches, restarts and ends processes, in a folder of its own where its state lies as JSON.

As a command, `python stand_in_supervisor.py FOLDER`, it is the process that watches the program.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

#: Marks all that a service starts, as a cgroup does.
CGROUP = "STAND_IN_CGROUP"

#: Where the stand-in keeps its state; given to it by the test.
STATE = "STAND_IN_STATE"

#: Variables that a user's service manager has and hands to every service, and those of the test.
_OF_MANAGER = ("LANG", "XDG_RUNTIME_DIR", "RUNTIMED_TEST_HOME", "UV_CACHE_DIR")


def state_folder() -> Path:
    folder = Path(os.environ[STATE])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text())
    except (OSError, ValueError):
        return {}
    assert isinstance(content, dict)
    return content


def write(folder: Path, name: str, content: dict[str, Any]) -> None:
    temporary = folder / f"{name}.new"
    temporary.write_text(json.dumps(content))
    temporary.replace(folder / name)


def state(folder: Path) -> dict[str, Any]:
    """What became of the service: `state` as systemd calls it, `pid`, `code`, `starts`."""
    found = read(folder, "state") or {"state": "inactive"}
    if found["state"] in ("active", "activating") and not _is_watched(folder):
        return found | {"state": "failed", "pid": None}
    return found


def start(folder: Path, job: dict[str, Any]) -> None:
    """Start the service unless it runs.

    `job`: `argv`, `environment`, `restart` (on-failure or crashed), `prevent` (exit codes), `pause`
    and `stop_limit` (seconds), `kill` (mixed or control-group), `burst`, `output`.
    """
    if state(folder)["state"] in ("active", "activating"):
        return
    write(folder, "job", job)
    write(folder, "state", {"state": "inactive"})
    watcher = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "errors").open("ab"),
        start_new_session=True,
    )
    _wait(lambda: read(folder, "state")["state"] != "inactive" or watcher.poll() is not None)


def stop(folder: Path) -> None:
    """End the service; returns when all of it has gone."""
    if _is_watched(folder):
        os.kill(int((folder / "watcher").read_text()), signal.SIGTERM)
        _wait(lambda: not _is_watched(folder))


def _is_watched(folder: Path) -> bool:
    """Whether the watcher lives: it holds a lock as long as it does."""
    try:
        with (folder / "watcher").open("rb") as watcher:
            fcntl.flock(watcher, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, "the stand-in does not answer"
        time.sleep(0.01)


class _Stopped(Exception):
    """The service is to end."""


def _watch(folder: Path) -> None:
    watcher = (folder / "watcher").open("a")
    fcntl.flock(watcher, fcntl.LOCK_EX)
    watcher.truncate(0)
    watcher.write(str(os.getpid()))
    watcher.flush()
    job = read(folder, "job")
    environment = {name: os.environ[name] for name in _OF_MANAGER if name in os.environ}
    environment |= job["environment"] | {CGROUP: str(folder)}
    starts = 0
    while True:
        starts += 1
        with Path(job["output"]).open("ab") as output:
            process = subprocess.Popen(
                job["argv"],
                env=environment,
                cwd=job["environment"].get("HOME", "/"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        write(folder, "state", {"state": "active", "pid": process.pid})
        try:
            code = process.wait()
        except _Stopped:
            _end(job, process)
            write(folder, "state", {"state": "inactive", "code": process.returncode})
            return
        _kill_the_rest(folder)
        clean = code in (0, -signal.SIGTERM, -signal.SIGINT)
        wanted = not clean if job["restart"] == "on-failure" else code < 0 and not clean
        end = {"code": code, "starts": starts}
        if not wanted or code in job["prevent"] or starts >= job["burst"]:
            write(folder, "state", end | {"state": "inactive" if clean else "failed"})
            return
        write(folder, "state", end | {"state": "activating", "pid": None})
        try:
            time.sleep(job["pause"])
        except _Stopped:
            write(folder, "state", end | {"state": "inactive"})
            return


def _end(job: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if job["kill"] == "control-group":
        for other in _in_cgroup(Path(sys.argv[1])):
            other.terminate()
    try:
        process.wait(job["stop_limit"])
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _kill_the_rest(Path(sys.argv[1]))


def _kill_the_rest(folder: Path) -> None:
    import psutil

    for process in _in_cgroup(folder):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _in_cgroup(folder: Path) -> list[psutil.Process]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(CGROUP) == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _raise_stopped)
    try:
        _watch(Path(sys.argv[1]))
    except _Stopped:
        pass
