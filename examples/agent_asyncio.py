"""An agent writes into a notebook, token by token, while somebody else watches; on asyncio.

Run it with `python examples/agent_asyncio.py`. `agent_trio.py` is the same program for Trio.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import runtimed

ANSWER = "squares = [n * n for n in range(5)]\nprint(*squares)\nsum(squares)"


async def tokens() -> AsyncIterator[str]:
    """What a language model would send."""
    for token in ANSWER.replace(" ", " \0").split("\0"):
        await asyncio.sleep(0.01)
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


async def watch(path: Path, watching: asyncio.Event) -> None:
    """Sees the cell grow, and what it puts out, without having asked for anything."""
    async with await runtimed.AsyncSession.open_notebook(path, peer_label="Watcher") as session:
        subscription = session.subscribe(event_types=["output", "done"])
        watching.set()
        seen = {""}
        while ANSWER not in seen:
            seen |= {cell.source for cell in await session.get_cells()}
            await asyncio.sleep(0.005)
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
        watching = asyncio.Event()
        watcher = asyncio.create_task(watch(path, watching))
        await watching.wait()
        await asyncio.gather(agent(path), watcher)


if __name__ == "__main__":
    asyncio.run(main())
