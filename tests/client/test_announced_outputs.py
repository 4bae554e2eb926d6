"""Outputs that are only announced, to a reader who comes when they have been revised."""

from __future__ import annotations

from pathlib import Path

import trio
from loopback_sessions import open_daemon

from runtimed import AsyncSession


async def test_an_output_revised_before_it_was_read_is_announced_while_the_cell_runs(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        [kernel] = daemon.kernels.launched
        cell_id = await session.create_cell("wait")
        events = await session.stream_execute(cell_id, timeout_secs=10, signal_only=True)
        with trio.fail_after(30):
            assert (await events.__anext__()).event_type == "execution_started"
            for shown in ("a", "ab"):
                kernel.print_more(shown[-1])
                while [  # noqa: ASYNC110
                    o.text for o in (await session.get_cell(cell_id)).outputs
                ] != [shown]:
                    await trio.sleep(0.01)
            event = await events.__anext__()
            assert (event.event_type, event.output, event.output_index) == ("output", None, 0)
            kernel.finish()
            assert [event.event_type async for event in events][-1] == "done"
