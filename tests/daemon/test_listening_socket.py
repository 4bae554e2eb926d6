"""What the daemon does about what already lies where its socket is to be."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from runtimed.daemon.server import listening_socket
from runtimed.errors import StateDirectoryUnusable

pytestmark = pytest.mark.real


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "d.sock"


async def test_a_stale_socket_is_replaced_by_one_that_only_we_can_reach(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place))
    with listening_socket(place):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(place))
    assert not place.exists()


async def test_a_file_in_its_place_is_left_alone(place: Path) -> None:
    place.write_text("a thesis")
    with pytest.raises(StateDirectoryUnusable, match="is no socket"), listening_socket(place):
        pass
    assert place.read_text() == "a thesis"


async def test_another_programs_socket_is_left_alone(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen(0)
        refused = pytest.raises(StateDirectoryUnusable, match="Another program listens")
        with refused, listening_socket(place):
            pass
        assert place.is_socket()
