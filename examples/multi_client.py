"""Several clients in one notebook: they share its cells and its kernel, from threads and programs.

Run it with `python examples/multi_client.py`. `shared_notebook.py` has clients in two processes.
"""

from __future__ import annotations

import asyncio
import os
import threading

import trio

import runtimed

NOTEBOOK = f"multi-client-example-{os.getpid()}"


async def on_any_loop(label: str) -> None:
    """Joins the notebook, uses the kernel that runs, and leaves it running for the others."""
    async with runtimed.AsyncSession(notebook_id=NOTEBOOK, peer_label=label) as session:
        await session.connect()
        await session.start_kernel()  # finds the one that runs
        result = await session.run(f"x += 1; print({label!r}, x)")
        print(result.stdout, end="")


def main() -> None:
    s1 = runtimed.Session(notebook_id=NOTEBOOK, peer_label="first")
    s2 = runtimed.Session(notebook_id=NOTEBOOK, peer_label="second")
    with s1, s2:
        s1.start_kernel()
        first = s1.create_cell("x = 42")
        s1.execute_cell(first)

        s2.connect()
        s2.start_kernel()
        assert first in [cell.id for cell in s2.get_cells()]
        events = s1.subscribe(event_types=["output"])
        print("s2 executes:", s2.execute_cell(s2.create_cell("print(x)")).stdout, end="")
        event = next(events)
        assert event.output is not None
        print("s1 hears of it:", event.output.text, end="")
        events.close()

        asyncio.run(on_any_loop("asyncio"))
        trio.run(on_any_loop, "trio")

        # One object may be used by several threads; their cells run one after the other.
        threads = [
            threading.Thread(target=s1.run, args=(f"x += {step}",)) for step in (100, 200, 300)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("and the threads:", s2.run("print(x)").stdout, end="")
        print("cells:", len(s2.get_cells()))


if __name__ == "__main__":
    main()
