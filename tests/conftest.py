"""Fixtures with a real daemon. A test that uses one is marked `real`."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import HealthCheck, settings

from conda_channel import CondaChannel, make_channel
from daemon_home import DaemonHome
from jupyter_kernels import Stranger, real_kernel
from runtimed.environments.deno import DenoTool

if TYPE_CHECKING:
    from runtimed import Session


#: The same examples in every run, so that one refuses only what has changed; and however slow the
#: machine is. `pytest --hypothesis-profile=search` goes where none has been.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("repeatable", _PATIENT, derandomize=True)
settings.register_profile("search", _PATIENT)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, and so would be all that
    tests start: those that press it would wait for ever."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def daemon_home() -> Iterator[DaemonHome]:
    """One running daemon for all tests that do it no harm. Its end is checked: nothing is left."""
    home = DaemonHome("--uv-pool-size", "2", "--conda-pool-size", "0")
    try:
        home.start()
        yield home
    finally:
        home.close()


@pytest.fixture
def fresh_daemon() -> Iterator[Callable[..., DaemonHome]]:
    """Makes daemons of the test's own: `fresh_daemon(*flags, environ={...}, start=True)`."""
    homes: list[DaemonHome] = []

    def make(*flags: str, start: bool = True, **options: Any) -> DaemonHome:
        home = DaemonHome(*flags, **options)
        homes.append(home)
        if start:
            home.start()
        return home

    try:
        yield make
    finally:
        for home in homes:
            home.close()


@pytest.fixture(scope="session")
def conda_channel(tmp_path_factory: pytest.TempPathFactory) -> CondaChannel:
    """A small channel, made once, from which conda kernels can be built."""
    return make_channel(tmp_path_factory.mktemp("conda-channel"))


@pytest.fixture(scope="session")
def conda_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packages of that channel are kept unpacked, for all tests."""
    return tmp_path_factory.mktemp("conda-cache")


@pytest.fixture
def session_factory(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Session]]:
    """Makes connected Sessions with the shared daemon, closed when the test ends.

    This process finds that daemon, too, for as long as the test lasts.
    """
    from runtimed import Session

    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    sessions: list[Session] = []

    def make(**options: Any) -> Session:
        session = Session(**options)
        sessions.append(session)
        session.connect()
        return session

    try:
        yield make
    finally:
        for session in sessions:
            session.close()


@pytest.fixture
def kernel_daemon(
    daemon_home: DaemonHome, fresh_daemon: Callable[..., DaemonHome]
) -> Callable[..., DaemonHome]:
    """Makes daemons of the test's own that share the environments of the session's daemon, so that
    a kernel need not wait for a template to be built."""

    def make(*flags: str, **options: Any) -> DaemonHome:
        shared = ("--cache-dir", str(daemon_home.paths.envs))
        sizes = ("--uv-pool-size", "1", "--warm-kernels", "0", "--conda-pool-size", "0")
        return fresh_daemon(*sizes, *shared, *flags, **options)

    return make


@pytest.fixture
def bare_daemon(fresh_daemon: Callable[..., DaemonHome]) -> Callable[..., DaemonHome]:
    """Makes daemons of the test's own that never have a kernel."""

    def make(*flags: str, **options: Any) -> DaemonHome:
        sizes = ("--uv-pool-size", "0", "--warm-kernels", "0", "--conda-pool-size", "0")
        return fresh_daemon(*sizes, *flags, **options)

    return make


@pytest.fixture
def open_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Session]]:
    """Makes connected sessions with any daemon: `open_session(home, notebook_id=...)`."""
    from runtimed import Session

    sessions: list[Session] = []

    def make(home: DaemonHome, path: Any = None, **options: Any) -> Session:
        monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(home.socket))
        if path is not None:
            session = Session.open_notebook(path, **options)
        else:
            session = Session(**options)
            session.connect()
        sessions.append(session)
        return session

    try:
        yield make
    finally:
        for session in sessions:
            try:
                session.close()
            except Exception:  # its daemon may be gone, as the test had it
                pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts small disks in memory: `small_disk("size=8m")`. Skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir(mode=0o700)
        command = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"{options},mode=0700",
            "runtimed-test",
            str(place),
        ]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(place)
        return place

    try:
        yield mount
    finally:
        for place in mounted:
            subprocess.run(["umount", "-l", place], check=False)


@pytest.fixture(scope="session")
def deno(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real deno, found or fetched once for all tests; uv's cache keeps the download."""
    program = DenoTool(tmp_path_factory.mktemp("tools"))

    async def find() -> Path:
        with trio.fail_after(600):
            return await program.get(lambda phase: None)

    return trio.run(find)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """A kernel that another Jupyter program started: one for all tests, which leave it running and
    its namespace as it is."""
    with real_kernel(tmp_path_factory.mktemp("runtime")) as kernel:
        yield kernel
