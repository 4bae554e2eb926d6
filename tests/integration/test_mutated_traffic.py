"""Some hundred mutated messages against a daemon process, while a kernel of it works."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations import CONVERSATIONS, ROOM
from daemon_home import DaemonHome
from mutations import mutated
from runtimed import Session
from runtimed.protocol.connection import PREAMBLE

pytestmark = pytest.mark.real


def test_a_daemon_at_work_is_not_disturbed_by_mutated_messages(
    kernel_daemon: Callable[..., DaemonHome], open_session: Callable[..., Session]
) -> None:
    home = kernel_daemon()
    session = open_session(home, notebook_id=ROOM)
    session.start_kernel()
    session.run("number = 41")
    cell = session.create_cell("number += 1; print(number)")
    mutants = st.one_of([mutated(*talk) for name, talk in CONVERSATIONS.items()])

    @settings(
        max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.lists(mutants, min_size=20, max_size=25))
    def run(several: list[bytes]) -> None:
        for mutant in several:
            send(home, PREAMBLE + mutant)
        assert session.get_cell(cell).source == "number += 1; print(number)"

    run()
    assert session.is_connected
    result = session.execute_cell(cell)
    assert (result.success, result.stdout) == (True, "42\n")
    assert "Traceback" not in home.log
    assert home.process is not None
    assert home.process.poll() is None


def send(home: DaemonHome, data: bytes) -> None:
    """Say all that, and hear whatever there is to hear."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(home.socket))
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
