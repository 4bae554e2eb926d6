"""A session on Trio: its tasks run in the program's own loop, and cancel scopes reach it.

Run it with `python examples/trio_session.py`.
"""

from __future__ import annotations

import trio

import runtimed


async def report_progress(session: runtimed.AsyncSession, cell_id: str) -> None:
    """Follow a cell's output; returns when the cell has ended."""
    async for event in await session.stream_execute(cell_id):
        if event.event_type == "execution_started":
            print(f"[{event.execution_count}] started")
        elif event.output is not None and event.output.text is not None:
            print("   ", event.output.text.splitlines()[-1])


async def main() -> None:
    async with runtimed.AsyncSession(peer_label="example") as session:
        await session.start_kernel()
        cell_id = await session.create_cell(
            "import time\nfor n in range(5):\n    print('line', n, flush=True)\n    time.sleep(0.2)"
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_progress, session, cell_id)

        # A deadline of the program's own; the cell is interrupted when it passes.
        endless = await session.create_cell("while True:\n    pass")
        with trio.move_on_after(1.0) as limit:
            await session.execute_cell(endless)
        if limit.cancelled_caught:
            await session.interrupt()
        print("interrupted:", limit.cancelled_caught)


if __name__ == "__main__":
    trio.run(main)
