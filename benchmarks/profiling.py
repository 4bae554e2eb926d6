"""Where the time of one row goes: profiles of the client's threads and of the daemon, import times.

Profiles count processor time of their thread, so that neither waiting nor a busy machine shows; and
the profiler slows small functions more than large ones: read the order, not the milliseconds.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import os
import pstats
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs
import psutil

from benchmarks.daemon import Daemon, command, environment, open_daemon, private_environment, spawn
from benchmarks.row import Bench, Row

__all__ = ["ImportTime", "import_times", "profile_row", "slowest_imports"]

LINES = 30
_LAUNCHER = Path(__file__).with_name("profiled_daemon.py")


@attrs.frozen
class ImportTime:
    """One line of `python -X importtime`, in microseconds."""

    own: int
    total: int
    module: str


def import_times(text: str) -> list[ImportTime]:
    """Read what `-X importtime` wrote among other lines of stderr."""
    pattern = r"^import time:\s*(\d+) \|\s*(\d+) \| +(\S+)$"
    return [
        ImportTime(int(own), int(total), module)
        for own, total, module in re.findall(pattern, text, re.MULTILINE)
    ]


def slowest_imports(text: str, lines: int = LINES) -> str:
    """The imports that took longest with all they pull in, and what all of them took."""
    found = import_times(text)
    shown = sorted(found, key=lambda entry: entry.total, reverse=True)[:lines]
    head = [f"{len(found)} imports, {sum(entry.own for entry in found) / 1000:.1f} ms"]
    head.append(f"{'total ms':>9} {'own ms':>9}  module")
    return "\n".join(
        head + [f"{e.total / 1000:9.1f} {e.own / 1000:9.1f}  {e.module}" for e in shown]
    )


def profile_row(row: Row, folder: Path, *, quick: bool, fresh: bool) -> str:
    """Run our half of a row once under profilers. Returns what to print; profiles go to `folder`.

    Rows about start-up are profiled by what they import, the others by cProfile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if row.name in _IMPORTING:
        with open_daemon(fresh=fresh) as daemon:
            return f"# {row.name}\n\n{_IMPORTING[row.name](daemon)}\n"
    output = folder.absolute() / f"{row.name}.daemon.prof"
    output.unlink(missing_ok=True)
    launcher = [sys.executable, str(_LAUNCHER), str(output)]
    with open_daemon(fresh=fresh, launcher=launcher) as daemon:
        daemon.wait_warm()
        scratch = daemon.home / "work"
        scratch.mkdir()
        bench = Bench(daemon, scratch, quick=quick, only="ours")
        before, start = _spent(daemon.pid), time.perf_counter()
        os.kill(daemon.pid, signal.SIGUSR1)
        with _profiled_threads(folder, row.name) as threads:
            row.run(bench)
        os.kill(daemon.pid, signal.SIGUSR2)
        wall, after = time.perf_counter() - start, _spent(daemon.pid)
        _wait_file(output)
    parts = [
        f"# {row.name}",
        f"wall {wall:.2f} s, of which processor time: daemon {after[0] - before[0]:.2f} s, "
        f"this process {after[1] - before[1]:.2f} s",
        "## daemon, Trio thread\n" + _top(pstats.Stats(str(output))),
    ]
    for name in threads:
        stats = pstats.Stats(str(_client_file(folder, row.name, name)))
        parts.append(f"## client, {name}\n" + _top(stats))
    return "\n\n".join(parts) + "\n"


def _spent(pid: int) -> tuple[float, float]:
    """Processor seconds of the daemon and of this process."""
    found = [psutil.Process(which).cpu_times() for which in (pid, os.getpid())]
    return found[0].user + found[0].system, found[1].user + found[1].system


def _wait_file(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the daemon wrote no profile to {path}")
        time.sleep(0.02)


def _client_file(folder: Path, row: str, thread: str) -> Path:
    return folder / f"{row}.client.{thread}.prof"


@contextlib.contextmanager
def _profiled_threads(folder: Path, row: str) -> Iterator[Iterable[str]]:
    """Profile this thread and every thread begun in the block, each for itself.

    Yields the threads' names; their profiles are in the folder when the block is left. From Python
    3.12 on one profile sees all threads, and a second cannot be opened.
    """
    main = cProfile.Profile(time.thread_time)
    profiles = {"calling-thread": main}

    def begin(*_: object) -> None:
        name = re.sub(r"[^\w-]+", "-", threading.current_thread().name)
        profile = profiles.setdefault(name, cProfile.Profile(time.thread_time))
        profile.enable()

    if sys.version_info < (3, 12):
        threading.setprofile(begin)
    main.enable()
    try:
        yield profiles.keys()
    finally:
        main.disable()
        threading.setprofile(None)
        for name, profile in list(profiles.items()):
            profile.dump_stats(_client_file(folder, row, name))


def _top(stats: pstats.Stats) -> str:
    text = io.StringIO()
    stats.stream = text  # type: ignore[attr-defined]
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(LINES)
    return re.sub(r"\n{2,}", "\n", text.getvalue()).strip()


def _imports_of(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"## {' '.join(arguments)}\n{slowest_imports(done.stderr)}"


def _import_runtimed(_: Daemon) -> str:
    commands = ("import runtimed", "from runtimed import Session")
    return "\n\n".join(_imports_of(["-c", code]) for code in commands)


def _runt_ps(_: Daemon) -> str:
    commands = (["ps"], ["notebooks"], ["daemon", "status", "--json"])
    return "\n\n".join(_imports_of([command("runt"), *arguments]) for arguments in commands)


def _daemon_start(daemon: Daemon) -> str:
    """Start a second daemon that notes its imports, up to its first answer and beyond."""
    home = daemon.home / "2"
    home.mkdir()
    variables = private_environment(home, Path(daemon.variables["UV_CACHE_DIR"]))
    variables["PYTHONPROFILEIMPORTTIME"] = "1"
    log = home / "log"
    with environment(variables):
        other = Daemon(spawn(variables, log), variables, log)
        try:
            other.wait_answering()
            first = log.read_text(errors="replace")
            time.sleep(1)
        finally:
            other.stop()
    rest = log.read_text(errors="replace")[len(first) :]
    return (
        f"## up to the first answer\n{slowest_imports(first)}\n\n"
        f"## afterwards\n{slowest_imports(rest, 10)}"
    )


_IMPORTING: dict[str, Callable[[Daemon], str]] = {
    "import-runtimed": _import_runtimed,
    "runt-ps": _runt_ps,
    "daemon-start": _daemon_start,
}
