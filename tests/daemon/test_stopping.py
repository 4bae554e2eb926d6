from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from runtimed.daemon.stopping import Stopping


async def test_an_end_that_is_asked_for_before_the_start_ends_it() -> None:
    stopping = Stopping()
    stopping.ask()
    with stopping.starting:
        await trio.sleep_forever()
    assert stopping.asked.is_set()


async def test_an_end_that_is_asked_for_during_the_start_ends_it(
    nursery: trio.Nursery,
) -> None:
    stopping = Stopping()
    nursery.start_soon(_ask_when_quiet, stopping)
    with stopping.starting:
        await trio.sleep_forever()


async def test_an_end_that_is_asked_for_later_is_waited_for() -> None:
    stopping = Stopping()
    with stopping.starting as scope:
        stopping.ready()
        stopping.ask()
        stopping.ask()
        await stopping.asked.wait()
        await trio.lowlevel.checkpoint()
    assert not scope.cancel_called


async def _ask_when_quiet(stopping: Stopping) -> None:
    await wait_all_tasks_blocked()
    stopping.ask()
