"""Sessions that see each other, through a real daemon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from daemon_home import DaemonHome
from runtimed import AsyncSession, RuntimedError, Session
from waiting import wait_until

pytestmark = pytest.mark.real


def places(session: Session) -> list[tuple[str, str, int, int]]:
    """The cursors of others without their ids."""
    return [cursor[1:] for cursor in session.get_remote_cursors()]


def test_sessions_see_each_other_from_the_start(session_factory: Callable[..., Session]) -> None:
    ada = session_factory(peer_label="  A\u200bda ")
    assert ada.get_peers() == []
    bob = session_factory(notebook_id=ada.notebook_id)
    [(ada_id, label)] = bob.get_peers()
    assert (len(ada_id), label) == (36, "Ada")
    [(bob_id, label)] = wait_until(ada.get_peers)
    assert (len(bob_id), label) == (36, "peer")
    assert ada.get_remote_cursors() == bob.get_remote_cursors() == []
    bob.close()
    wait_until(lambda: ada.get_peers() == [])
    with pytest.raises(RuntimedError, match="Not connected"):
        bob.get_peers()


def test_cursors_and_selections_go_where_they_are_set(
    session_factory: Callable[..., Session],
) -> None:
    ada = session_factory(peer_label="Ada")
    bob = session_factory(notebook_id=ada.notebook_id)
    ada.set_cursor("no such cell", 3, column=2**32 - 1)
    wait_until(lambda: places(bob) == [("Ada", "no such cell", 3, 2**32 - 1)])
    ada.set_selection("c", 0, 1, head_line=2, head_col=3)
    for line in range(2000):
        ada.set_cursor("c", line, 0)
    wait_until(lambda: places(bob) == [("Ada", "c", 1999, 0)])
    for bad in (("c", -1, 0), ("c", 0, 2**32)):
        with pytest.raises(OverflowError):
            ada.set_cursor(*bad)
    with pytest.raises(TypeError):
        ada.set_cursor("c", 1.5, 0)  # type: ignore[arg-type]
    with pytest.raises(RuntimedError, match="presence too large"):
        ada.set_cursor("c" * 5000, 0, 0)
    with pytest.raises(RuntimedError, match="presence can't be sent"):
        ada.set_selection("\ud800", 0, 0, 0, 0)
    assert ada.is_connected


def test_a_cursor_follows_what_its_session_does(session_factory: Callable[..., Session]) -> None:
    ada = session_factory(peer_label="Ada")
    bob = session_factory(notebook_id=ada.notebook_id)
    first = ada.create_cell("x = 1")
    wait_until(lambda: places(bob) == [("Ada", first, 0, 0)])
    ada.set_source(first, "# h\u00e9 \U0001f600\nx = 2")
    wait_until(lambda: places(bob) == [("Ada", first, 1, 5)])
    ada.append_source(first, "1 # \U0001f600")
    wait_until(lambda: places(bob) == [("Ada", first, 1, 10)])
    ada.append_source(first, "\n\u00e9\u00e9")
    wait_until(lambda: places(bob) == [("Ada", first, 2, 2)])
    second = ada.create_cell("y = 1")
    wait_until(lambda: places(bob) == [("Ada", second, 0, 0)])
    ada.create_cell("text", cell_type="markdown")
    ada.move_cell(first, second)
    wait_until(lambda: places(bob) == [("Ada", first, 0, 0)])
    ada.execute_cell(second)
    wait_until(lambda: places(bob) == [("Ada", second, 0, 0)])
    ada.set_source(first, "x = 3")
    wait_until(lambda: places(bob) == [("Ada", first, 0, 5)])
    list(ada.stream_execute(second))
    wait_until(lambda: places(bob) == [("Ada", second, 0, 0)])
    ada.clear_outputs(first)
    wait_until(lambda: places(bob) == [("Ada", first, 0, 0)])
    last_code_cell = [cell.id for cell in ada.get_cells() if cell.cell_type == "code"][-1]
    ada.set_cursor("elsewhere", 1, 1)
    ada.run_all_cells()
    wait_until(lambda: places(bob) == [("Ada", last_code_cell, 0, 0)])
    assert [label for _, label in bob.get_peers()] == ["Ada"]  # the daemon, with a kernel, is none


def test_presence_that_arrives_during_a_request_is_kept(
    session_factory: Callable[..., Session], tmp_path: Path
) -> None:
    ada = session_factory(peer_label="Ada")
    bob = session_factory(notebook_id=ada.notebook_id)
    bob.start_kernel()
    go = tmp_path / "go"
    wait = f"import time, pathlib\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    runner = threading.Thread(target=bob.run, args=(wait,))
    runner.start()
    wait_until(lambda: bob.get_queue_state().executing)
    ada.set_cursor("during", 1, 1)
    wait_until(lambda: places(bob) == [("Ada", "during", 1, 1)])
    assert runner.is_alive()
    go.touch()
    runner.join(30)
    assert places(bob) == [("Ada", "during", 1, 1)]


async def test_async_sessions_see_each_other_under_trio(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    with trio.fail_after(30):
        await see_each_other(trio.sleep)


def test_async_sessions_see_each_other_under_asyncio(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    asyncio.run(asyncio.wait_for(see_each_other(asyncio.sleep), 30))


async def see_each_other(sleep: Callable[[float], Any]) -> None:
    async with AsyncSession(peer_label="Ada") as ada:
        await ada.connect()
        async with AsyncSession(ada.notebook_id, "Bob") as bob:
            await bob.connect()
            assert [label for _, label in await bob.get_peers()] == ["Ada"]
            await bob.set_cursor("c", 1, 2)
            await bob.set_selection("c", 0, 0, 1, 2)
            while not await ada.get_remote_cursors():
                await sleep(0.005)
            [(peer_id, *cursor)] = await ada.get_remote_cursors()
            assert cursor == ["Bob", "c", 1, 2]
            assert await ada.get_peers() == [(peer_id, "Bob")]
        while await ada.get_peers():
            await sleep(0.005)
