"""The daemon as a service, from install to uninstall, under a service manager of the tests'."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import stand_in_supervisor
import stand_in_systemctl
from daemon_home import MARKER, DaemonHome
from processes import wait_none_carrying
from runtimed import DaemonClient
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.real

#: A daemon program with small pools, and with a blank in its path.
_PROGRAM = """\
#!/bin/sh
[ $# -gt 0 ] && exec {python} -m runtimed "$@"
exec {python} -m runtimed run --uv-pool-size 0 --conda-pool-size 0 --warm-kernels 0
"""

#: What a program does that needs a daemon.
_CONNECT = "import runtimed\nwith runtimed.Session() as session: session.connect()"


class ServiceHome:
    """A home folder with a blank in its name, a daemon program, and `systemctl` on PATH."""

    def __init__(self, home: DaemonHome) -> None:
        self.home = home
        self.folder = home.home / "a user"
        self.program = self.folder / "venv" / "runtimed"
        self.program.parent.mkdir(parents=True)
        _make_program(self.program, _PROGRAM.format(python=shlex.quote(sys.executable)))
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        script = shlex.quote(stand_in_systemctl.__file__)
        python = shlex.quote(sys.executable)
        _make_program(self.tools / "systemctl", f'#!/bin/sh\nexec {python} {script} "$@"\n')
        self.state = home.home / "manager"
        home.env |= {
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / "c"),
            "PATH": f"{self.tools}:/usr/bin:/bin",
            stand_in_supervisor.STATE: str(self.state),
            stand_in_systemctl.PAUSE: "0.05",
            "RUNTIMED_WARM_KERNELS": "0",
        }
        del home.env["XDG_CONFIG_HOME"]
        self.unit = self.folder / ".config/systemd/user/runtimed.service"

    def runt(self, *arguments: str) -> tuple[int, str, str]:
        done = self.home.runt(*arguments)
        return done.returncode, done.stdout, done.stderr

    def install(self, *flags: str) -> tuple[int, str, str]:
        return self.runt("daemon", "install", "--binary", str(self.program), *flags)

    @property
    def service(self) -> dict[str, Any]:
        """What the service manager knows."""
        return stand_in_supervisor.state(self.state)

    @property
    def daemon_pid(self) -> int:
        pid = json.loads(self.home.paths.info.read_bytes())["pid"]
        assert isinstance(pid, int)
        return pid

    def close(self) -> None:
        stand_in_supervisor.stop(self.state)
        # Nothing of a service outlives it; a daemon by hand is ended by the test.
        assert wait_none_carrying(MARKER, str(self.home.home), LIMIT) == []


def _make_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def home(fresh_daemon: Callable[..., DaemonHome]) -> Iterator[ServiceHome]:
    made = ServiceHome(fresh_daemon(start=False))
    yield made
    made.close()


def test_a_service_from_install_to_uninstall(home: ServiceHome) -> None:
    heading = f"Installing runtimed service...\nSource binary: {home.program}\n"
    installed = heading + "Service installed. Run 'runt daemon start' to start it.\n"
    assert home.install() == (0, installed, "")
    assert f'ExecStart="{home.program}"' in home.unit.read_text()
    assert stat.S_IMODE(home.unit.stat().st_mode) == 0o600
    assert (home.unit.parent / "default.target.wants/runtimed.service").exists()
    assert home.service["state"] == "inactive"

    started = "Starting runtimed service...\nService started.\n"
    assert home.runt("daemon", "start") == (0, started, "")
    assert home.service["pid"] == home.daemon_pid
    assert psutil.Process(home.daemon_pid).environ()["HOME"] == str(home.folder)
    running = f"Daemon already running (pid {home.daemon_pid}).\n"
    assert home.runt("daemon", "start") == (0, running, "")
    code, _, err = home.runt("daemon", "run")
    assert code == 75
    assert err.startswith("The service is installed, too; ")
    assert f"Running daemon: pid={home.daemon_pid}, " in err
    report = json.loads(home.runt("daemon", "status", "--json")[1])
    assert (report["installed"], report["running"]) == (True, True)

    # Once more: nothing has changed, and nothing happens to the daemon.
    before = home.daemon_pid
    again = heading + "Service already installed, upgrading...\n"
    assert home.install() == (0, again + "Service is up to date and running.\n", "")
    assert home.daemon_pid == before
    # Another program: the running service is replaced.
    home.program = home.program.rename(home.program.with_name("runtimed of another version"))
    code, out, _ = home.install()
    assert (code, out.splitlines()[-1]) == (0, "Service upgraded and restarted.")
    assert home.service["pid"] == home.daemon_pid != before

    before = home.daemon_pid
    restarted = "Restarting runtimed service...\nService restarted.\n"
    assert home.runt("daemon", "restart") == (0, restarted, "")
    assert home.service["pid"] == home.daemon_pid != before

    stopped = "Stopping runtimed service...\nService stopped.\n"
    assert home.runt("daemon", "stop") == (0, stopped, "")
    assert home.service["state"] == "inactive"
    assert not home.home.socket.exists()
    assert home.runt("daemon", "stop") == (3, "", "Daemon not running.\n")

    removed = "Uninstalling runtimed service...\nService uninstalled.\n"
    assert home.runt("daemon", "uninstall") == (0, removed, "")
    assert not home.unit.exists()
    assert list(home.unit.parent.rglob("*.service")) == []
    assert home.runt("daemon", "uninstall") == (0, "Service not installed.\n", "")


def test_a_service_that_was_killed_comes_back_to_its_rooms(
    home: ServiceHome, open_session: Callable[..., Any]
) -> None:
    code, out, err = home.install("--now")
    assert (code, err) == (0, "")
    assert "Service installed and running!\n" in out
    first = open_session(home.home, notebook_id="kept")
    cells = [first.create_cell(f"x = {number}") for number in range(5)]
    wait_until(lambda: _is_saved(home, "x = 4"))

    before = home.daemon_pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: home.service.get("pid") not in (None, before))
    wait_until(DaemonClient(home.home.socket).ping)
    again = open_session(home.home, notebook_id="kept")
    assert [cell.id for cell in again.get_cells()] == cells
    assert [cell.source for cell in again.get_cells()] == [f"x = {n}" for n in range(5)]

    # Stopped, it is what programs start when they need a daemon.
    again.close()
    assert home.runt("daemon", "stop")[0] == 0
    done = home.home.run(sys.executable, "-c", _CONNECT)
    log = home.home.paths.log
    assert (done.returncode, done.stderr) == (0, f"runtimed: started the service (log {log})\n")
    assert home.service["pid"] == home.daemon_pid
    # Uninstalled while it runs: it ends.
    assert home.runt("daemon", "uninstall")[0] == 0
    assert home.service["state"] == "inactive"


def _is_saved(home: ServiceHome, source: str) -> bool:
    # Text of one change is stored as it is.
    return any(
        source.encode() in file.read_bytes()
        for file in home.home.paths.documents.iterdir()
        if file.is_file()
    )


def test_a_daemon_by_hand_and_the_service_do_not_fight(home: ServiceHome) -> None:
    assert home.install()[0] == 0
    by_hand = home.home
    by_hand.flags = ("--uv-pool-size", "0", "--conda-pool-size", "0")
    by_hand.start()
    code, out, err = home.runt("daemon", "start")
    assert (code, out) == (0, f"Daemon already running (pid {by_hand.pid}).\n")
    assert "started by hand" in err
    assert "'runt daemon restart'" in err
    assert "started by hand" in home.install("--now")[2]

    # Started all the same, the service gives way at once, and is not tried for ever.
    assert by_hand.run("systemctl", "--user", "start", "runtimed.service").returncode == 0
    wait_until(lambda: home.service["state"] == "failed")
    assert (home.service["code"], home.service["starts"]) == (75, 1)
    assert DaemonClient(by_hand.socket).ping()

    assert home.runt("daemon", "restart")[0] == 0
    assert by_hand.process is not None
    assert by_hand.process.wait(30) == 0
    assert home.service["pid"] == home.daemon_pid != by_hand.pid


def test_where_no_service_manager_runs_the_daemon_is_detached(home: ServiceHome) -> None:
    assert home.install()[0] == 0
    (home.tools / "systemctl").write_text(
        "#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n"
    )
    code, out, err = home.runt("daemon", "start")
    pid = home.daemon_pid
    assert (code, out) == (0, f"Starting runtimed service...\nDaemon started (pid {pid}).\n")
    assert "the daemon runs detached" in err
    assert "No medium found" in err
    assert home.runt("daemon", "stop")[:2] == (0, "Daemon stopped.\n")
    # What was installed can be removed there, too, and nothing new is installed.
    assert home.runt("daemon", "uninstall")[0] == 0
    assert list(home.unit.parent.rglob("*.service")) == []
    code, out, err = home.install()
    assert (code, out) == (1, "")
    assert "No service manager runs here (systemctl --user: Failed to connect to bus" in err
    assert "'runt daemon start' starts a daemon without one" in err
    assert not home.unit.exists()


def test_a_program_that_can_not_be_the_daemon_is_refused(home: ServiceHome) -> None:
    home.program.unlink()
    code, _, err = home.install()
    assert code == 1
    assert err.startswith(f"Error: Daemon binary not found at: {home.program}. ")
    home.program.write_text("#!/no/such/python\n")
    home.program.chmod(0o755)
    code, _, err = home.install()
    assert (code, err) == (
        1,
        f"Error: The daemon {home.program} can't be run: No such file or directory\n",
    )
    assert not home.unit.exists()


def test_a_home_that_can_not_be_written_is_named(
    home: ServiceHome, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("ro")
    home.home.env |= {"HOME": str(disk), "XDG_CACHE_HOME": str(disk / "c")}
    base = disk / "c/runt"
    heading = f"Installing runtimed service...\nSource binary: {home.program}\n"
    why = f"Error: The service can't be installed: Read-only file system ({base.parent})\n"
    assert home.install() == (1, heading, why)
    code, out, err = home.runt("daemon", "start")
    assert (code, out) == (3, "")
    assert f"none can be started: Read-only file system ({base.parent})" in err
    assert err.count("\n") == 1
    assert home.runt("daemon", "uninstall") == (0, "Service not installed.\n", "")


def test_the_default_program_is_that_of_this_environment(home: ServiceHome) -> None:
    out = home.runt("daemon", "install")[1]
    assert f"Source binary: {Path(sys.executable).with_name('runtimed')}\n" in out
    assert home.runt("daemon", "uninstall")[0] == 0


def test_another_daemon_than_the_ordinary_one_has_no_service(home: ServiceHome) -> None:
    assert home.install()[0] == 0
    unit = home.unit.read_bytes()
    for command, variable, value in (
        ("install", "RUNTIMED_WORKSPACE_PATH", "/tmp/some workspace"),
        ("uninstall", "RUNTIMED_SOCKET_PATH", "/tmp/x/y.sock"),
    ):
        home.home.env[variable] = value
        code, out, err = home.runt("daemon", command)
        assert (code, out) == (1, "")
        assert err.startswith(f"Cannot {command} the service")
        assert "Unset" in err
        assert value in err
    asked = (home.state / "asked").read_bytes()
    assert home.runt("daemon", "stop") == (3, "", "Daemon not running.\n")
    assert (home.state / "asked").read_bytes() == asked  # nobody was bothered

    # Nor has the ordinary one of another cache folder a service: this one is not its.
    del home.home.env["RUNTIMED_WORKSPACE_PATH"], home.home.env["RUNTIMED_SOCKET_PATH"]
    cache = home.home.env["XDG_CACHE_HOME"]
    home.home.env["XDG_CACHE_HOME"] = str(home.folder / "d")
    assert json.loads(home.runt("daemon", "status", "--json")[1])["installed"] is False
    for code, out, err in (home.install(), home.runt("daemon", "uninstall")):
        assert (code, out) == (1, "")
        assert f"is for the daemon of {cache}/runt, " in err
    assert home.unit.read_bytes() == unit


def test_the_daemons_own_commands_are_those_of_runt(home: ServiceHome) -> None:
    done = home.home.run(sys.executable, "-m", "runtimed", "install", "--binary", str(home.program))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Service installed and running!" in done.stdout
    for old, new in (("stop", "stop"), ("uninstall", "uninstall"), ("flush-pool", "flush")):
        done = home.home.run(sys.executable, "-m", "runtimed", old)
        assert done.stderr.startswith(
            f"Warning: 'runtimed {old}' is deprecated. Use 'runt daemon {new}' instead.\n"
        )
        assert done.returncode == (3 if old == "flush-pool" else 0)
    assert home.service["state"] == "inactive"
    assert not home.unit.exists()
