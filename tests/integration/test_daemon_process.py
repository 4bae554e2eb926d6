"""The daemon as a process: how it starts, who may reach it, what it refuses."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
import pytest

from daemon_home import DaemonHome
from runtimed import DaemonClient
from runtimed.paths import MAX_SOCKET_PATH
from waiting import wait_until

pytestmark = pytest.mark.real

MakeDaemon = Callable[..., DaemonHome]

RUNTIMED = (sys.executable, "-m", "runtimed", "run")
NO_POOL = ("--uv-pool-size", "0", "--warm-kernels", "0", "--conda-pool-size", "0")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_daemon_names_the_first_and_leaves_it_alone(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon()
    info = home.paths.info.read_bytes()
    second = home.run(*RUNTIMED, *NO_POOL)
    assert second.returncode == 75
    assert "Error: Another daemon is already running: " in second.stderr
    assert f"\nRunning daemon: pid={home.pid}, endpoint={home.socket}\n" in second.stderr
    assert "Traceback" not in second.stderr
    assert home.paths.info.read_bytes() == info
    assert DaemonClient(home.socket).ping()


def test_a_signal_while_the_daemon_starts_ends_it_and_leaves_nothing(
    bare_daemon: MakeDaemon,
) -> None:
    home = bare_daemon(start=False)
    lock, socket_path = home.paths.lock, home.socket
    # Once the lock is there the daemon is being started, and each signal is to be heard.
    for looked_for, number in ((lock, signal.SIGTERM), (socket_path, signal.SIGINT)):
        lock.unlink(missing_ok=True)
        process = subprocess.Popen(
            [*RUNTIMED, *NO_POOL], env=home.env, stderr=subprocess.PIPE, text=True
        )
        wait_until(looked_for.exists)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        assert not socket_path.exists()
        assert not home.paths.info.exists()


def test_a_crash_is_in_the_log(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    crash = (
        "import runtimed.daemon.run as run\n"
        "async def crash(*arguments): raise ZeroDivisionError('a bug')\n"
        "run._serve = crash\n"
        "from runtimed.daemon.main import main\n"
        "main()"
    )
    done = home.run(sys.executable, "-c", crash, "run")
    assert done.returncode == 1
    assert "[CRITICAL] runtimed.daemon.main: the daemon crashed" in home.log
    assert "ZeroDivisionError: a bug" in home.log


def test_without_a_home_the_daemon_says_what_it_needs(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        del home.env[name]
    # A user whom the system does not know, as in some containers.
    nobody = "import pwd\ndef unknown(user): raise KeyError(user)\npwd.getpwuid = unknown\n"
    runtimed = nobody + "from runtimed.daemon.main import main; main()"
    runt = nobody + "from runt_cli import main; main()"
    for program, command in ((runtimed, "run"), (runt, "ps"), (runt, "daemon start")):
        done = home.run(sys.executable, "-c", program, *command.split())
        assert done.returncode == 1
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        assert "No home folder is known for this user: set HOME to one that can" in done.stderr


def test_only_this_user_reaches_socket_and_state(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon()
    assert mode(home.socket) == 0o600
    assert mode(home.paths.base) == 0o700
    for folder in (home.paths.documents, home.paths.connections, home.paths.blobs):
        assert mode(folder) == 0o700


def test_what_a_killed_daemon_left_is_replaced(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon()
    home.kill()
    assert home.socket.exists()
    assert home.paths.info.exists()
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home.socket))
    home.start_after_kill()
    assert DaemonClient(home.socket).ping()
    assert orjson.loads(home.paths.info.read_bytes())["pid"] == home.pid


def test_a_daemon_with_another_socket_in_the_same_folder_is_found(
    bare_daemon: MakeDaemon,
) -> None:
    home = bare_daemon(start=False)
    home.paths.base.mkdir(mode=0o700, parents=True)
    other = home.paths.base / "other.sock"
    home.flags += ("--socket", str(other))
    home.start()
    assert home.socket == other  # as every program in this environment has it
    assert home.runt("daemon", "ping").stdout == "pong\n"
    assert home.run(sys.executable, "-c", CONNECT).stderr == ""
    # What a killed one leaves leads nobody astray.
    home.kill()
    assert home.runt("daemon", "start").returncode == 0
    assert home.socket == home.paths.base / "runtimed.sock"
    assert home.runt("daemon", "stop").returncode == 0


def test_an_orderly_end_removes_socket_and_info(bare_daemon: MakeDaemon) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        home = bare_daemon()
        assert home.process is not None
        home.process.send_signal(number)
        assert home.process.wait(30) == 0
        assert not home.socket.exists()
        assert not home.paths.info.exists()


def test_a_shutdown_request_ends_the_daemon_in_order(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon()
    DaemonClient(home.socket).shutdown()
    assert home.process is not None
    assert home.process.wait(30) == 0
    assert not home.socket.exists()
    assert not home.paths.info.exists()


def test_a_state_directory_below_a_file_is_a_clear_error(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    file = home.home / "file"
    file.touch()
    result = home.run(*RUNTIMED, *NO_POOL, env=home.env | {"XDG_CACHE_HOME": str(file / "c")})
    assert result.returncode == 1
    assert "can't be used" in result.stderr
    assert str(file) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_read_only_state_directory_is_a_clear_error(
    bare_daemon: MakeDaemon, small_disk: Callable[..., Path]
) -> None:
    home = bare_daemon(start=False)
    disk = small_disk("ro")
    result = home.run(*RUNTIMED, *NO_POOL, env=home.env | {"XDG_CACHE_HOME": str(disk)})
    assert result.returncode == 1
    assert str(disk) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_log_that_can_not_be_opened_is_a_clear_error(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    home.paths.log.mkdir(parents=True)
    result = home.run(*RUNTIMED, *NO_POOL)
    assert result.returncode == 1
    assert str(home.paths.log) in result.stderr
    assert "Traceback" not in result.stderr


def test_too_long_a_socket_path_is_a_clear_error(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    deep = home.home / ("x" * MAX_SOCKET_PATH)
    for extra in ({"XDG_CACHE_HOME": str(deep)}, {"RUNTIMED_SOCKET_PATH": f"{deep}.sock"}):
        result = home.run(*RUNTIMED, *NO_POOL, env=home.env | extra)
        assert result.returncode == 1
        assert "longer than" in result.stderr
        assert "RUNTIMED_SOCKET_PATH" in result.stderr
        assert "Traceback" not in result.stderr


def test_flags_put_everything_where_they_say(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    place = home.home / "p"
    place.mkdir(mode=0o700)
    flags = ("--socket", str(place / "d.sock"), "--cache-dir", str(home.home / "envs"),
             "--blob-store-dir", str(home.home / "blobs"), "--keep-alive", "1")  # fmt: skip
    process = subprocess.Popen(
        [*RUNTIMED, *NO_POOL, *flags], env=home.env, stderr=subprocess.DEVNULL
    )
    try:
        client = DaemonClient(place / "d.sock")
        wait_until(client.ping)
        assert (place / "daemon.json").exists()
        assert (home.home / "envs").is_dir()
        assert (home.home / "blobs").is_dir()
        assert not home.paths.base.exists()
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_daemons_of_two_workspaces_live_side_by_side(bare_daemon: MakeDaemon) -> None:
    cache = Path(bare_daemon(start=False).env["XDG_CACHE_HOME"])
    homes = [
        bare_daemon(environ={variable: f"/tmp/{name}", "XDG_CACHE_HOME": str(cache)})
        for variable, name in [
            ("RUNTIMED_WORKSPACE_PATH", "one"),
            ("RUNTIMED_WORKSPACE_PATH", "two"),
            ("CONDUCTOR_WORKSPACE_PATH", "three"),
        ]
    ]
    sockets = {home.socket for home in homes}
    assert len(sockets) == 3
    assert all(socket.parent.parent == cache / "runt" / "worktrees" for socket in sockets)
    for home in homes:
        info = orjson.loads(home.paths.info.read_bytes())
        assert info["pid"] == home.pid
        assert info["worktree_path"].startswith("/tmp/")
        assert DaemonClient(home.socket).ping()
    homes[0].stop()
    assert DaemonClient(homes[1].socket).ping()


CONNECT = "import runtimed\nwith runtimed.Session() as session: session.connect()"


def test_clients_that_start_at_once_end_up_at_one_daemon(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CONNECT],
            env=home.env | {"RUNTIMED_WARM_KERNELS": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [client.communicate(timeout=60) for client in clients]
    try:
        assert [client.returncode for client in clients] == [0, 0, 0], said
        pid = orjson.loads(home.paths.info.read_bytes())["pid"]
        told = [line for _, errors in said for line in errors.splitlines() if line]
        assert told
        assert all(f"started a daemon (pid {pid}" in line for line in told), told
        again = home.run(sys.executable, "-c", CONNECT)
        assert again.stderr == ""
    finally:
        daemon = psutil.Process(orjson.loads(home.paths.info.read_bytes())["pid"])
        daemon.terminate()
        daemon.wait(30)


def test_a_daemon_that_was_named_is_never_started(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon(start=False)
    named = home.home / "mine.sock"
    result = home.run(
        sys.executable, "-c", CONNECT, env=home.env | {"RUNTIMED_SOCKET_PATH": str(named)}
    )
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert "DaemonUnreachable" in last
    assert "run 'runtimed run' with the same variable" in last
    assert list(home.home.iterdir()) == [] or not named.exists()


def test_two_hundred_connections_at_once_are_all_served(bare_daemon: MakeDaemon) -> None:
    home = bare_daemon()
    ping = b"\xc0\xde\x01\xac\x02\0\0\0\x12" + b'{"channel":"pool"}' + b"\0\0\0\x0f"
    connections = []
    try:
        for _ in range(200):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(30)
            connection.connect(str(home.socket))
            connections.append(connection)
        assert DaemonClient(home.socket).ping()  # they say nothing yet, and hold up nobody
        for connection in connections:
            connection.sendall(ping + b'{"type":"ping"}')
        for connection in connections:
            assert connection.recv(100).endswith(b'{"type":"pong"}')
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: psutil.Process(home.pid).num_fds() <= 60)
    assert "Traceback" not in home.log


def test_garbage_from_many_sides_leaves_the_log_without_a_traceback(
    bare_daemon: MakeDaemon,
) -> None:
    home = bare_daemon()
    pool = b"\xc0\xde\x01\xac\x02\0\0\0\x12" + b'{"channel":"pool"}'
    announced = b"\xc0\xde\x01\xac\x02\xff\xff\xff\xff"
    for garbage in (b"", b"\0", os.urandom(5000), announced, pool + b"\0\0"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(home.socket))
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert DaemonClient(home.socket).ping()
    assert "Traceback" not in home.log
