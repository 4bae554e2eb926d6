"""Many rooms of two daemons that want the same new environment at the same moment."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon_home import DaemonHome
from package_index import serve_packages
from runtimed import EnvironmentProgress, Session
from runtimed.environments.cache_folders import default_cache_folder, known_in
from runtimed.paths import cache_root
from wheels import make_wheel

pytestmark = pytest.mark.real

_PATIENCE = 60.0


def waits_elsewhere(step: EnvironmentProgress) -> bool:
    return step.phase == "starting" and step.details["elsewhere"] is True


def builds(step: EnvironmentProgress) -> bool:
    return step.phase == "installing_packages"


def test_ten_rooms_of_two_daemons_get_one_environment_that_is_built_once(
    bare_daemon: Callable[..., DaemonHome],
    open_session: Callable[..., Session],
    tmp_path: Path,
) -> None:
    make_wheel(tmp_path, "rttogether", "1.0")
    with serve_packages(tmp_path) as index, ThreadPoolExecutor(10) as threads:
        index.hold("rttogether")
        environ = {"UV_INDEX": index.url, "UV_HTTP_TIMEOUT": "300"}
        one = bare_daemon(environ=environ)
        shared = {"XDG_CACHE_HOME": one.env["XDG_CACHE_HOME"]}
        other = bare_daemon(start=False, environ=environ | shared)
        other.env["RUNTIMED_SOCKET_PATH"] = str(other.home / "socket")
        other.start()
        assert other.socket != one.socket
        sessions: list[Session] = []
        heard: list[list[EnvironmentProgress]] = []
        for number in range(10):
            home = (one, other)[number % 2]
            session = open_session(home, notebook_id=f"n-{uuid.uuid4().hex[:8]}")
            session.add_uv_dependency("rttogether")
            heard.append([])
            session.set_progress_handler(heard[-1].append)
            sessions.append(session)
        launches = [threads.submit(session.start_kernel) for session in sessions]
        try:
            assert index.held.wait(_PATIENCE)
            deadline = time.monotonic() + _PATIENCE
            while not all(any(map(_told, steps)) for steps in heard):
                assert time.monotonic() < deadline, heard
                time.sleep(0.05)
        finally:
            index.release()
        for launch in launches:
            launch.result(_PATIENCE)
        runs = [
            threads.submit(session.run, "import sys, rttogether; print(sys.prefix)", _PATIENCE)
            for session in sessions
        ]
        prefixes = {run.result(_PATIENCE).stdout.strip() for run in runs}
    folder = default_cache_folder(cache_root(one.env))
    assert len(prefixes) == 10, "each has a copy of its own"
    assert {Path(prefix).parent for prefix in prefixes} == {folder}
    made = [one.record for one in known_in(folder) if one.record and not one.name.own]
    assert sorted(record.packages for record in made) == [(), ("rttogether",)]
    logs = one.log + other.log
    assert logs.count("environment built path=") == 2, "the base and what was added"
    assert index.wheels == ["rttogether-1.0-py3-none-any.whl"]
    builder = next(number for number in (0, 1) if any(map(builds, heard[number])))
    for number, steps in enumerate(heard):
        ours = number % 2 == builder
        assert any(map(builds, steps)) is ours, steps
        assert any(map(waits_elsewhere, steps)) is not ours, steps
        assert steps[-1].phase == "ready"


def _told(step: EnvironmentProgress) -> bool:
    return waits_elsewhere(step) or builds(step)
