"""An agent writes into a notebook, token by token, while somebody else watches; on Trio.

Run it with `python examples/agent_trio.py`. `agent_asyncio.py` is the same program for asyncio.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import trio

import runtimed

ANSWER = "squares = [n * n for n in range(5)]\nprint(*squares)\nsum(squares)"


async def tokens() -> AsyncIterator[str]:
    """What a language model would send."""
    for token in ANSWER.replace(" ", " \0").split("\0"):
        await trio.sleep(0.01)
        yield token


async def agent(path: Path) -> None:
    """Opens the notebook, writes a cell, runs it, and puts a heading above it."""
    async with await runtimed.AsyncSession.open_notebook(path, peer_label="Agent") as session:
        cell_id = await session.create_cell()
        async for token in tokens():
            await session.append_source(cell_id, token)

        async for event in await session.stream_execute(cell_id):
            if event.event_type == "execution_started":
                print("agent: started as", event.execution_count)
            elif event.output is not None:
                print("agent: output", event.output_index, event.output.output_type)

        heading = await session.create_cell("# Squares", cell_type="markdown")
        await session.move_cell(heading)  # to the top
        for cell in await session.get_cells():
            for output in cell.outputs:
                print("agent: reads", repr(output.text or (output.data or {})["text/plain"]))
        print("agent: saved", Path(await session.save()).name)


async def watch(path: Path, *, task_status: trio.TaskStatus[None]) -> None:
    """Sees the cell grow, and what it puts out, without having asked for anything."""
    async with await runtimed.AsyncSession.open_notebook(path, peer_label="Watcher") as session:
        subscription = session.subscribe(event_types=["output", "done"])
        task_status.started()
        seen = {""}
        while ANSWER not in seen:
            seen |= {cell.source for cell in await session.get_cells()}
            await trio.sleep(0.005)
        print("watcher: saw the cell grow:", len(seen) > 2)
        async for event in subscription:
            if event.output is not None and event.output.text is not None:
                print("watcher: output", repr(event.output.text))
            elif event.event_type == "done":
                break
        await subscription.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "squares.ipynb"
        async with trio.open_nursery() as nursery:
            await nursery.start(watch, path)
            nursery.start_soon(agent, path)


if __name__ == "__main__":
    trio.run(main)
