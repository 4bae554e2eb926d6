"""Whoever is in a notebook that somebody closes hears that, and not that a daemon was lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from loopback_sessions import open_daemon

from runtimed import AsyncSession
from runtimed.errors import ConnectionLost
from waiting import wait_until_async


async def test_a_run_in_a_notebook_that_is_closed_ends_with_the_reason(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        cell_id = await session.create_cell("wait")
        errors: list[ConnectionLost] = []

        async def follow() -> None:
            events = await session.stream_execute(cell_id)
            try:
                async for _ in events:
                    pass
            except ConnectionLost as lost:
                errors.append(lost)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await wait_until_async(lambda: daemon.kernels.launched[0].executed)
            await daemon.rooms.shutdown_notebook("n")
        assert str(errors[0]) == "The notebook was closed"
        with pytest.raises(ConnectionLost, match="The notebook was closed"):
            await session.get_cells()
