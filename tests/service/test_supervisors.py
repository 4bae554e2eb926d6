"""launchd and systemd as they are asked, with stand-ins that really start a program."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

import stand_in_launchctl
import stand_in_supervisor
from runtimed.errors import NoServiceManager, ServiceFailed
from runtimed.paths import Paths
from runtimed.service.installation import Service, installed_service, service_of, user_service
from runtimed.service.launchctl import Launchctl
from runtimed.service.supervisor import Supervisor, ask
from runtimed.service.systemctl import UNIT, Systemctl
from waiting import wait_until

linux_only = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has other directories")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    base = tmp_path / "a user" / "runt"
    return Paths(base=base, socket=base / "runtimed.sock")


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.real
def test_an_agent_of_launchd_from_install_to_removal(paths: Paths, tmp_path: Path) -> None:
    script = f"{shlex.quote(sys.executable)} {shlex.quote(stand_in_launchctl.__file__)}"
    _program(tmp_path / "tools/launchctl", f'#!/bin/sh\nexec {script} "$@"\n')
    state = tmp_path / "state"
    environ = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}/tools:/usr/bin:/bin",
        stand_in_supervisor.STATE: str(state),
    }
    file = tmp_path / "Library/LaunchAgents/io.nteract.runtimed.plist"
    service = Service(Launchctl(file, environ, domain=stand_in_launchctl.DOMAIN), paths, environ)
    program = _program(tmp_path / "a user/runtimed", "#!/bin/sh\nexec sleep 1000\n")
    try:
        assert not service.is_installed()
        assert service.write(program)
        assert not service.write(program)
        assert service.is_installed()
        assert service.program() == program
        assert not service.state().active

        service.start()
        first = wait_until(lambda: service.state().pid)
        service.start()
        assert service.state().pid == first
        assert first is not None
        os.kill(first, signal.SIGSEGV)  # what launchd calls a crash
        wait_until(lambda: service.state().pid not in (None, first))
        service.stop()
        service.stop()
        assert not service.state().active

        service.start()
        assert wait_until(lambda: service.state().pid)
        service.remove()
        service.remove()
        assert not file.exists()
        assert not service.state().active
    finally:
        stand_in_supervisor.stop(state)


@pytest.mark.real
@pytest.mark.parametrize("kind", [Systemctl, Launchctl])
def test_without_a_service_manager_nothing_is_written(
    paths: Paths, tmp_path: Path, kind: type[Systemctl] | type[Launchctl]
) -> None:
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    supervisor: Supervisor = kind(tmp_path / "units" / UNIT, environ)
    service = Service(supervisor, paths, environ)
    with pytest.raises(NoServiceManager, match="there is no program"):
        service.write(tmp_path / "runtimed")
    assert not service.is_reachable()
    assert list(tmp_path.iterdir()) == []
    service.remove()


@pytest.mark.real
def test_a_program_that_hangs_is_given_up(tmp_path: Path) -> None:
    _program(tmp_path / "systemctl", "#!/bin/sh\nexec sleep 1000\n")
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with pytest.raises(ServiceFailed, match="'systemctl show' has not ended within"):
        ask("systemctl", "show", environ=environ, timeout=0.2)


@pytest.mark.real
def test_a_refusal_is_told_in_the_words_of_systemctl(paths: Paths, tmp_path: Path) -> None:
    _program(tmp_path / "systemctl", "#!/bin/sh\necho 'Unit is masked.' >&2\nexit 1\n")
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    service = Service(Systemctl(tmp_path / UNIT, environ), paths, environ)
    with pytest.raises(ServiceFailed, match=r"^systemctl --user start .*: Unit is masked\.$"):
        service.start()


@linux_only
def test_the_unit_lies_where_systemd_looks() -> None:
    paths = Paths(base=Path("/c/runt"), socket=Path("/c/runt/runtimed.sock"))
    service = user_service(paths, {"HOME": "/home/u", "XDG_CACHE_HOME": "/c"})
    assert service.file == Path("/home/u/.config/systemd/user/runtimed.service")


@linux_only
def test_only_the_ordinary_daemon_has_a_service(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    base = tmp_path / ".cache/runt"
    ordinary = Paths(base=base, socket=base / "runtimed.sock")
    assert service_of(ordinary, environ) is not None
    for other in (
        Paths(base=base, socket=base / "x", explicit=True),
        Paths(base=base, socket=base / "x", workspace=tmp_path),
        Paths(base=tmp_path, socket=tmp_path / "x"),
    ):
        assert service_of(other, environ) is None
    assert installed_service(ordinary, environ) is None
    # A service for another cache folder than this environment's is none for it.
    unit = tmp_path / ".config/systemd/user/runtimed.service"
    unit.parent.mkdir(parents=True)
    unit.write_text('[Service]\nX-Base="/elsewhere/runt"\n')
    assert installed_service(ordinary, environ) is None
    unit.write_text(f'[Service]\nX-Base="{base}"\n')
    assert installed_service(ordinary, environ) is not None
