"""Three sessions edit one notebook of the daemon, each over a connection of its own speed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio
from loopback_sessions import open_daemon

from runtimed import AsyncSession, RuntimedError


class Slow(trio.abc.Stream):
    """Hands everything on in order, each piece after a while and cut anywhere."""

    def __init__(self, inner: trio.abc.Stream, chance: random.Random, slowness: float) -> None:
        self._inner = inner
        self._chance = chance
        self._slowness = slowness

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep(self._chance.random() * self._slowness)
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await trio.sleep(self._chance.random() * self._slowness)
        return await self._inner.receive_some(self._chance.choice([1, 100, 65536]))

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("seed", range(3))
async def test_sessions_of_different_speeds_end_with_one_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    speeds = iter([0.0, 0.002, 0.02])
    created: set[str] = set()
    deleted: set[str] = set()
    written: dict[str, list[str]] = {}

    async def edit(session: AsyncSession, label: str) -> None:
        for n in range(40):
            if chance.random() < 0.3:
                await trio.sleep(0.003)
            ids = [cell.id for cell in await session.get_cells()]
            token = f"<{label}{n}>"
            what = chance.choice(["create", "append", "append", "move", "delete", "run"])
            if what == "create" or not ids:
                cell_id = await session.create_cell(token, index=chance.randrange(5))
                created.add(cell_id)
                written[cell_id] = [token]
                continue
            cell_id = chance.choice(ids)
            try:
                if what == "append":
                    await session.append_source(cell_id, token)
                    written[cell_id].append(token)
                elif what == "move":
                    await session.move_cell(cell_id, chance.choice([None, *ids]))
                elif what == "delete" and chance.random() < 0.4:
                    await session.delete_cell(cell_id)
                    deleted.add(cell_id)
                elif what == "run":
                    await session.execute_cell(cell_id, 10)
            except RuntimedError as error:
                # Somebody was quicker to delete it.
                if "Cell not found" not in str(error):
                    raise

    with trio.fail_after(120):
        async with open_daemon(tmp_path) as daemon:

            async def open_stream(paths: Any) -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                return Slow(daemon.connect_raw(), chance, next(speeds))

            with monkeypatch.context() as patch:
                patch.setattr("runtimed.client.opening.open_stream", open_stream)
                async with AsyncSession("n") as a, AsyncSession("n") as b, AsyncSession("n") as c:
                    await a.start_kernel()
                    await b.connect()
                    await c.connect()
                    async with trio.open_nursery() as nursery:
                        for label, session in (("a", a), ("b", b), ("c", c)):
                            nursery.start_soon(edit, session, label)
                    for _ in range(2):
                        for session in (a, b, c):
                            await session._in_step()
                    first, *others = [await session.get_cells() for session in (a, b, c)]
            assert others == [first, first]
            assert {cell.id for cell in first} == created - deleted
            order = [(cell.position, cell.id) for cell in first]
            assert order == sorted(set(order))
            for cell in first:
                for token in written[cell.id]:
                    assert token in cell.source
