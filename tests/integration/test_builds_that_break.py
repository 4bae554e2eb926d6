"""Builds of environments that are broken off in the middle, by real tools: nothing that they leave
looks ready, and the next attempt succeeds."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

from channel_server import ChannelServer, serve_channel
from conda_channel import CondaChannel
from daemon_home import MARKER, DaemonHome
from package_index import PackageIndex, serve_packages
from processes import carrying, wait_none_carrying
from runtimed import RuntimedError, Session
from runtimed.environments.cache_folders import Known, default_cache_folder, known_in
from runtimed.paths import cache_root
from wheels import make_wheel

pytestmark = pytest.mark.real

OpenSession = Callable[..., Session]

_PATIENCE = 60.0
_WORKER = "runtimed.environments.conda.worker"
_SIZES = ("--uv-pool-size", "0", "--conda-pool-size", "0", "--warm-kernels", "0")


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@attrs.define
class Machine:
    """A daemon, and what its environments are made from."""

    home: DaemonHome
    index: PackageIndex
    channel: ChannelServer

    @property
    def cached(self) -> Path:
        return default_cache_folder(cache_root(self.home.env))

    def known(self, package: str) -> list[Known]:
        """The environments with a package that anybody would get."""
        found = known_in(self.cached)
        return [one for one in found if one.record and package in one.record.packages]

    def half_built(self) -> list[Path]:
        return [one.path for one in known_in(self.cached) if not one.record and not one.name.own]

    def processes(self, words: set[str]) -> list[psutil.Process]:
        """Those of the daemon whose command line has all the words."""
        found = []
        for process in carrying(MARKER, str(self.home.home)):
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if words <= {*line[1:], Path(line[0]).name}:
                found.append(process)
        return found


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory, conda_channel: CondaChannel
) -> Iterator[Machine]:
    """One daemon for all tests here that need not be the first to build the base."""
    wheels = tmp_path_factory.mktemp("wheels")
    for name in ("rtkilled", "rtorphan"):
        make_wheel(wheels, name, "1.0")
    make_wheel(wheels, "rtlarge", "1.0", bulk=4 << 20)
    with serve_packages(wheels) as index, serve_channel(conda_channel.folder) as channel:
        environ = {
            "UV_INDEX": index.url,
            "UV_HTTP_TIMEOUT": "300",
            "RUNTIMED_CONDA_CHANNEL_URLS": f"conda-forge={channel.url}",
            "RATTLER_CACHE_DIR": str(tmp_path_factory.mktemp("packages")),
        }
        home = DaemonHome(*_SIZES, environ=environ)
        try:
            home.start()
            yield Machine(home, index, channel)
        finally:
            home.close()


@attrs.frozen
class Held:
    """A package of one kind whose download is held back."""

    machine: Machine
    kind: str
    package: str

    def hold(self) -> None:
        if self.kind == "uv":
            self.machine.index.hold(self.package)
        else:
            self.machine.channel.hangs = self.archive

    def wait(self) -> None:
        """Until the builder has asked for it: then it is in the middle of its work."""
        if self.kind == "uv":
            assert self.machine.index.held.wait(_PATIENCE)
        else:
            wait_until(lambda: any(self.archive in path for path in self.machine.channel.requests))
        assert self.builders()
        assert self.machine.half_built()

    def release(self) -> None:
        self.machine.index.release()
        self.machine.channel.hangs = None

    @property
    def archive(self) -> str:
        return f"{self.package}-1.0-0.conda"

    def builders(self) -> list[psutil.Process]:
        words = {"uv", "pip", "install"} if self.kind == "uv" else {_WORKER}
        return self.machine.processes(words)

    def list_in(self, session: Session) -> Session:
        if self.kind == "uv":
            session.add_uv_dependency(self.package)
        else:
            session.add_conda_dependency(f"{self.package} 1.0")
        return session


def fresh(open_session: OpenSession, machine: Machine) -> Session:
    return open_session(machine.home, notebook_id=f"n-{uuid.uuid4().hex[:8]}")


@contextmanager
def in_the_middle(held: Held, open_session: OpenSession) -> Iterator[tuple[Session, Future[None]]]:
    """A session, and its launch while that waits for the package."""
    held.hold()
    session = held.list_in(fresh(open_session, held.machine))
    with ThreadPoolExecutor() as threads:
        launch = threads.submit(session.start_kernel)
        held.wait()
        yield session, launch


def assert_works(session: Session, package: str) -> None:
    result = session.run(f"import {package}; print({package}.version)", _PATIENCE)
    assert result.success, result.stderr
    assert "1.0" in result.stdout


@pytest.mark.parametrize(("kind", "package"), [("uv", "rtkilled"), ("conda", "moonstone")])
def test_a_daemon_killed_in_the_middle_of_a_build_leaves_nothing_that_looks_ready(
    machine: Machine, open_session: OpenSession, kind: str, package: str
) -> None:
    held = Held(machine, kind, package)
    with in_the_middle(held, open_session) as (_, launch):
        left = machine.half_built()
        machine.home.kill()
        with pytest.raises(RuntimedError):
            launch.result(_PATIENCE)
    assert not wait_none_carrying(MARKER, str(machine.home.home), _PATIENCE)
    assert not [one for one in known_in(machine.cached) if one.record and one.path in left]
    assert [path for path in left if path.exists()] == left
    held.release()
    machine.home.paths.info.unlink()  # `start` waits for the new one
    machine.home.start()
    other = held.list_in(fresh(open_session, machine))
    other.start_kernel()
    assert_works(other, package)
    wait_until(lambda: not any(path.exists() for path in left))
    other.close()


@pytest.mark.parametrize(("kind", "package"), [("uv", "rtorphan"), ("conda", "lodestone")])
def test_a_builder_killed_in_the_middle_is_an_error_and_the_next_one_succeeds(
    machine: Machine, open_session: OpenSession, kind: str, package: str
) -> None:
    held = Held(machine, kind, package)
    with in_the_middle(held, open_session) as (session, launch):
        for builder in held.builders():
            builder.kill()
        with pytest.raises(RuntimedError, match="SIGKILL"):
            launch.result(_PATIENCE)
    wait_until(lambda: not machine.half_built())
    assert not held.builders()
    held.release()
    session.start_kernel()
    assert_works(session, package)
    session.close()


# ---------------------------------------------------------------------- full disks


@pytest.mark.skipif(sys.platform != "linux", reason="limits of others are set on Linux alone")
def test_a_file_above_the_limit_is_an_error_with_a_remedy(
    machine: Machine, open_session: OpenSession
) -> None:
    """What a full disk is without being root: the daemon may write no larger file."""
    _, most = resource.prlimit(machine.home.pid, resource.RLIMIT_FSIZE)
    session = fresh(open_session, machine)
    session.add_uv_dependency("rtlarge")
    steps: list[Any] = []
    session.set_progress_handler(steps.append)
    resource.prlimit(machine.home.pid, resource.RLIMIT_FSIZE, (1 << 20, most))
    try:
        with pytest.raises(RuntimedError, match="ulimit -f") as caught:
            session.start_kernel()
        assert "File too large" in str(caught.value)
        wait_until(lambda: steps and steps[-1].phase == "error")
        assert "ulimit -f" in steps[-1].message
        wait_until(lambda: not machine.half_built())
    finally:
        resource.prlimit(machine.home.pid, resource.RLIMIT_FSIZE, (most, most))
    assert not machine.known("rtlarge")
    session.start_kernel()
    assert_works(session, "rtlarge")
    session.close()


def test_a_full_disk_is_named_with_a_remedy_and_once_there_is_room_it_goes_on(
    machine: Machine,
    open_session: OpenSession,
    bare_daemon: Callable[..., DaemonHome],
    small_disk: Callable[..., Path],
) -> None:
    disk = small_disk("size=20m")
    home = bare_daemon(start=False, environ={"UV_INDEX": machine.index.url})
    on_disk = Machine(home, machine.index, machine.channel)
    on_disk.cached.parent.mkdir(parents=True, exist_ok=True)
    on_disk.cached.symlink_to(disk)
    home.start()
    session = fresh(open_session, on_disk)
    session.add_uv_dependency("rtkilled")
    steps: list[Any] = []
    session.set_progress_handler(steps.append)
    with pytest.raises(RuntimedError, match=r"[Tt]he disk .*is full") as caught:
        session.start_kernel()
    assert "runt env clean" in str(caught.value)
    wait_until(lambda: steps and steps[-1].phase == "error")
    assert "is full" in steps[-1].message
    wait_until(lambda: not known_in(on_disk.cached))
    subprocess.run(["mount", "-o", "remount,size=2g", str(disk)], check=True)
    session.start_kernel()
    assert_works(session, "rtkilled")
    session.close()
