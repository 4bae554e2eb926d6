"""A lost connection, and the same object joining again: nothing that can be kept is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from loopback_sessions import open_daemon

from runtimed import AsyncSession, RuntimedError

LOST = r"^Connection to daemon lost$"


async def lose(session: AsyncSession) -> None:
    """Break the connection before anything more can be sent."""
    link = session._link
    assert link is not None
    assert isinstance(link._stream, trio.StapledStream)
    link._stream.send_stream.close()
    link._stream.receive_stream.close()
    await link._finished.wait()


async def test_a_lost_connection_is_told_and_noticed(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.start_kernel()
        cell_id = await session.create_cell("print x")
        events = session.subscribe()
        await lose(session)
        assert not await session.is_connected()
        assert not await session.kernel_started()
        for call in (session.get_cells(), session.set_source(cell_id, ""), session.interrupt()):
            with pytest.raises(RuntimedError, match=LOST):
                await call
        assert [event async for event in events] == []


async def test_edits_that_were_under_way_are_brought_along(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.connect()
        first = await session.create_cell("a")
        await session._in_step()
        second = await session.create_cell("b")
        session._document.append_source(first, "!")
        await lose(session)
        other = await daemon.join("n")
        assert other.replica.document.cell_ids() == [first]
        other.replica.document.append_source(first, "?")
        await other.sync()
        await session.connect()
        cells = await session.get_cells()
        assert [cell.id for cell in cells] == [first, second]
        assert sorted(cells[0].source) == ["!", "?", "a"]
        await session._in_step()
        await other.sync()
        assert other.replica.document.cell_ids() == [first, second]
        assert other.replica.document.source(first) == cells[0].source
        assert (await session.execute_cell(await session.create_cell("print x"))).stdout == "x"


async def test_what_needs_no_connection_joins_again_by_itself(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.start_kernel()
        cell_id = await session.create_cell("print x")
        await lose(session)
        assert (await session.execute_cell(cell_id)).stdout == "x"
        assert await session.kernel_started()


async def test_edits_of_a_document_that_the_daemon_has_begun_anew_are_lost_and_that_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    async with AsyncSession("n") as session:
        async with open_daemon(tmp_path / "1"):
            await session.connect()
            await session.create_cell("a")
        async with open_daemon(tmp_path / "2"):
            assert not await session.is_connected()
            await session.connect()
            assert await session.get_cells() == []
            assert "edits made before the connection was lost are lost" in caplog.text
            assert (await session.run("print x")).stdout == "x"
            await session.close()


async def test_after_closing_there_is_nothing_to_bring_along(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.connect()
        cell_id = await session.create_cell("a")
        await session.close()
        with pytest.raises(RuntimedError, match=r"^Not connected$"):
            await session.get_cells()
        await session.connect()
        assert [cell.id for cell in await session.get_cells()] == [cell_id]
