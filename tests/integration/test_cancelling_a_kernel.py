"""Calls about a real kernel, cancelled at each of their awaits: it goes on, as the session does."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))

from cancelling_calls import each_step, follow

from daemon_home import DaemonHome
from runtimed import AsyncSession, RuntimedError

pytestmark = pytest.mark.real

CALLS: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    "execute_cell": lambda s, c: s.execute_cell(c),
    "stream_execute": follow,
    "run_all_cells": lambda s, c: s.run_all_cells(),
    "interrupt": lambda s, c: s.interrupt(),
    "complete": lambda s, c: s.complete("imp", 3),
    "restart_kernel": lambda s, c: s.restart_kernel(),
    "shutdown_kernel": lambda s, c: s.shutdown_kernel(),
}


async def test_a_kernel_outlives_every_cancelled_call(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    runs = 0
    with trio.fail_after(180):
        async with AsyncSession() as session:
            await session.start_kernel()
            cell_id = await session.create_cell("x = 1")
            for name, call in CALLS.items():
                async for cancel in each_step("after"):
                    await session.set_source(cell_id, "import time; time.sleep(0.01); print('x')")
                    with suppress(RuntimedError):  # there may be no kernel just now
                        await cancel.run(lambda: call(session, cell_id))  # noqa: B023
                    runs += 1
                    result = await session.run(f"print({runs})")
                    if result.error is not None:  # dropped by an interrupt that was under way
                        assert name == "interrupt"
                        result = await session.run(f"print({runs})")
                    assert result.stdout == f"{runs}\n", name
                    await session.delete_cell(result.cell_id)
                    link = session._link
                    assert link is not None
                    assert link._pending == {}
            assert not (await session.get_queue_state()).queued
