"""Editing the shared document: creating a cell, and seeing it elsewhere."""

from __future__ import annotations

import time

import trio

from benchmarks.measure import Limit, Measurement, Sample
from benchmarks.row import Bench, Row, expect
from runtimed import AsyncSession, RuntimedError, Session

LONG = 5_000
BATCH = 200
SETTLING = 1.5


def create_cell(bench: Bench) -> list[Measurement]:
    """Single calls of the blocking client, in an empty notebook and behind 5,000 cells.

    The calls return with the local document changed. Before the second batch the daemon gets time
    to catch up with the 5,000 and to save them: that work belongs to the filling.
    """

    def batch(session: Session) -> Sample:
        values = []
        for n in range(BATCH):
            start = time.perf_counter()
            session.create_cell(f"value = {n}")
            values.append((time.perf_counter() - start) * 1000)
        return Sample(values)

    short: list[float] = []
    long: list[float] = []
    for _ in range(bench.rounds(2, 1)):
        with Session() as session:
            session.connect()
            session.create_cell("warm up")
            short.extend(batch(session).values)
            start = time.perf_counter()
            while len(session.get_cells()) < LONG:
                for n in range(500):
                    session.create_cell(f"value = {n}")
            filling = time.perf_counter() - start
            with Session(session.notebook_id) as second:
                second.connect()  # in step with the daemon, which then has every cell
                expect(len(second.get_cells()) >= LONG, "the second peer misses cells")
            time.sleep(SETTLING)
            long.extend(batch(session).values)

    at_0, at_long = Sample(short), Sample(long)
    return [
        Measurement(
            name="create-cell: 0 cells",
            unit="ms",
            ours=at_0,
            limits=(Limit(1, "mean"),),
            reference="11 ms",
            note=f"mean {at_0.mean:.3f} ms",
        ),
        Measurement(
            name="create-cell: 5,000 cells",
            unit="ms",
            ours=at_long,
            theirs=at_0,
            against="ours at 0 cells",
            limits=(Limit(1, "mean"), Limit(1.5, "mean", ratio=True)),
            reference="71 ms",
            note=f"mean {at_long.mean:.3f} ms; filling up took {filling:.1f} s",
        ),
    ]


def second_peer(bench: Bench) -> list[Measurement]:
    """Two connections in one Trio loop; the second looks for the cell as often as the loop turns.

    The clock runs from before `create_cell` until the second peer's own document has the cell. With
    both peers in one loop no thread or process has to be woken for the look, so what is measured is
    the way through the daemon; and the look costs the daemon nothing.
    """
    return [
        Measurement(
            name="second-peer",
            unit="ms",
            ours=Sample(trio.run(_second_peer, bench.rounds(300, 60))),
            limits=(Limit(3),),
            reference="38 ms",
        )
    ]


async def _second_peer(rounds: int) -> list[float]:
    values = []
    async with AsyncSession() as writer:
        await writer.connect()
        async with AsyncSession(writer.notebook_id) as reader:
            await reader.connect()
            for n in range(rounds):
                with trio.fail_after(10):
                    start = time.perf_counter()
                    cell_id = await writer.create_cell(f"value = {n}")
                    await _wait_visible(reader, cell_id)
                    values.append((time.perf_counter() - start) * 1000)
                await writer.delete_cell(cell_id)
                await trio.sleep(0.01)
    return values[rounds // 10 :]


async def _wait_visible(session: AsyncSession, cell_id: str) -> None:
    """Return once the session's own document has the cell."""
    while True:
        try:
            await session.get_cell(cell_id)
        except RuntimedError:
            await trio.lowlevel.checkpoint()
        else:
            return


ROWS = (
    Row("create-cell", "create a cell, in a short and in a long notebook", create_cell, alone=True),
    Row("second-peer", "a created cell is visible at a second peer", second_peer, alone=True),
)
