"""One daemon for the benchmarks: private folders, a warm pool, nothing left behind.

The daemon is started as a user's service would be, by its command, with its socket, settings and
environments in a new folder. Only uv's download cache lives on between runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import psutil

from runtimed import DaemonClient

__all__ = ["Daemon", "DaemonTrouble", "command", "open_daemon", "private_environment", "spawn"]

START_LIMIT = 20.0
WARM_LIMIT = 240.0
STOP_LIMIT = 10.0

#: Variables that would point a client, a daemon or uv at somebody else's state.
_FOREIGN = ("RUNT", "CONDUCTOR_", "XDG_", "JUPYTER_", "IPYTHON", "RUST_LOG", "VIRTUAL_ENV")


class DaemonTrouble(Exception):
    """The daemon did not start, did not warm its pool, or did not go."""


def command(name: str) -> str:
    """The path of an installed command, from the environment that runs the benchmarks."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    if found := shutil.which(name):
        return found
    raise DaemonTrouble(f"command not found: {name}")


def uv_cache(fresh_in: Path | None = None) -> Path:
    """Where uv keeps downloads: in a folder kept between runs, or in `fresh_in`."""
    if fresh_in is not None:
        return fresh_in / "uv-cache"
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "runtimed-benchmarks" / "uv"


def private_environment(home: Path, cache: Path) -> dict[str, str]:
    """The environment of a user who has only `home`, with the daemon's socket in it.

    The folder of the socket is private, so the daemon keeps all its state beside the socket; naming
    the socket also keeps clients from starting a daemon of their own.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    base = home / "d"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "RUNTIMED_SOCKET_PATH": str(base / "runtimed.sock"),
        "UV_CACHE_DIR": str(cache),
    }
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    if "UV_CONFIG_FILE" not in kept and config.exists():
        own["UV_CONFIG_FILE"] = str(config)
    return {**kept, **own}


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process in that environment, for clients and for kernels that it starts."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def spawn(
    variables: Mapping[str, str], log: Path, launcher: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start `runtimed run` without conda, which not every machine can reach. Waits for nothing."""
    argv = [*(launcher or [command("runtimed")]), "run", "--conda-pool-size", "0"]
    argv += ["--socket", variables["RUNTIMED_SOCKET_PATH"]]
    with log.open("ab") as errors:
        return subprocess.Popen(
            argv,
            env=dict(variables),
            cwd=variables["HOME"],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )


@attrs.frozen
class Daemon:
    """A running daemon. `variables` is the environment in which clients find it."""

    process: subprocess.Popen[bytes]
    variables: Mapping[str, str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def home(self) -> Path:
        return Path(self.variables["HOME"])

    def wait_answering(self, limit: float = START_LIMIT) -> None:
        """Return once it answers a ping. Raises: DaemonTrouble."""
        client = DaemonClient()
        deadline = time.monotonic() + limit
        while not client.ping():
            if self.process.poll() is not None:
                raise DaemonTrouble(f"the daemon ended: {self.process.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise DaemonTrouble(f"no answer within {limit:g} s\n{self.tail()}")
            time.sleep(0.002)

    def wait_warm(self, limit: float = WARM_LIMIT) -> None:
        """Return once the uv pool and its warm kernels are complete and nothing is being built."""
        client = DaemonClient()
        deadline = time.monotonic() + limit
        while not is_warm(status := client.status()):
            if self.process.poll() is not None:
                raise DaemonTrouble(f"the daemon ended: {self.process.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise DaemonTrouble(f"pool not warm within {limit:g} s: {status}\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 20) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def stop(self) -> list[str]:
        """End it and whatever it leaves. Returns a line for each process it should have ended."""
        below = _descendants(self.pid)
        self.process.send_signal(signal.SIGTERM)
        left = []
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            left.append(f"daemon {self.pid} did not end within {STOP_LIMIT:g} s of SIGTERM")
            self.process.kill()
            self.process.wait()
        for process in psutil.wait_procs(below, timeout=1)[1]:
            with contextlib.suppress(psutil.Error):
                left.append(f"left behind: {process.pid} {' '.join(process.cmdline())[:100]}")
                process.kill()
        return left


def is_warm(status: Mapping[str, object]) -> bool:
    """Whether a pool status shows all that was asked for, at least one environment."""

    def number(key: str, default: int) -> int:
        value = status.get(key)
        return value if isinstance(value, int) else default

    return (
        number("uv_available", 0) >= max(1, number("uv_target", 1))
        and number("uv_warming", 0) == 0
        and number("uv_warm_kernels", 0) >= number("uv_warm_kernels_target", 0)
    )


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


@contextlib.contextmanager
def open_daemon(
    *, fresh: bool = False, launcher: Sequence[str] = (), start: bool = True
) -> Iterator[Daemon]:
    """A daemon in a new short folder, its environment applied to this process.

    Without `start` there is only the environment: for what is measured without our daemon.
    The folder and every process of the daemon are gone afterwards. Raises: DaemonTrouble.
    """
    # Short: socket paths are limited to some 100 characters.
    home = Path(tempfile.mkdtemp(prefix="rtb"))
    variables = private_environment(home, uv_cache(home if fresh else None))
    log = home / "daemon.log"
    try:
        with environment(variables):
            if not start:
                idle = subprocess.Popen([sys.executable, "-c", ""])
                idle.wait()
                yield Daemon(idle, variables, log)
                return
            daemon = Daemon(spawn(variables, log, launcher), variables, log)
            try:
                daemon.wait_answering()
                yield daemon
            finally:
                for line in daemon.stop():
                    print(f"warning: {line}", file=sys.stderr)
    finally:
        shutil.rmtree(home, ignore_errors=True)
