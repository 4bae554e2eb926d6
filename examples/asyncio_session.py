"""Two notebooks at the same time, from asyncio.

Run it with `python examples/asyncio_session.py`.
"""

from __future__ import annotations

import asyncio
import time

import runtimed


async def sleep_in_a_kernel(seconds: float) -> str:
    async with runtimed.AsyncSession() as session:
        await session.start_kernel()
        result = await session.run(f"import time\ntime.sleep({seconds})\nprint('slept')")
        return result.stdout.strip()


async def main() -> None:
    began = time.monotonic()
    print(await asyncio.gather(sleep_in_a_kernel(1.0), sleep_in_a_kernel(1.0)))
    print(f"{time.monotonic() - began:.1f} s for both, kernels included")

    # A wait that is given up does not end the cell: it is interrupted here.
    async with runtimed.AsyncSession() as session:
        await session.start_kernel()
        cell_id = await session.create_cell("import time\ntime.sleep(60)")
        try:
            await asyncio.wait_for(session.execute_cell(cell_id), timeout=1.0)
        except asyncio.TimeoutError:
            await session.interrupt()
            print("gave up after a second")
        print("still usable:", (await session.run("print('yes')")).stdout.strip())


if __name__ == "__main__":
    asyncio.run(main())
