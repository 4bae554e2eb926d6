from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import trio

from runtimed.client.portal import Portal, on_trio, portal


async def add(a: int, b: int = 1) -> int:
    await trio.lowlevel.checkpoint()
    return a + b


def test_a_call_returns_what_the_function_returns() -> None:
    assert portal().call(add, 1, b=2) == 3


def test_a_call_raises_what_the_function_raises() -> None:
    async def fail() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError):
        portal().call(fail)


def test_a_function_may_run_things_in_the_thread_that_waits_for_it() -> None:
    places: list[threading.Thread] = []

    async def work(run_here: Callable[[Callable[[], None]], None]) -> str:
        for _ in range(2):
            run_here(lambda: places.append(threading.current_thread()))
        await trio.lowlevel.checkpoint()
        return "done"

    assert portal().attend(work) == "done"
    assert places == [threading.current_thread()] * 2


async def test_a_call_can_be_made_where_trio_is_running() -> None:
    assert portal().call(add, 1) == 2


def test_a_call_can_be_made_where_asyncio_is_running() -> None:
    async def main() -> int:
        return portal().call(add, 1)

    assert asyncio.run(main()) == 2


def test_calls_of_several_threads_run_side_by_side() -> None:
    go = trio.Event()
    results: list[str] = []

    async def wait() -> str:
        await go.wait()
        return "waited"

    async def let_go() -> None:
        go.set()

    thread = threading.Thread(target=lambda: results.append(portal().call(wait)))
    thread.start()
    assert portal().call(add, 1) == 2
    portal().call(let_go)
    thread.join(30)
    assert results == ["waited"]


def test_a_call_on_the_portals_own_thread_is_refused() -> None:
    async def nested() -> int:
        return portal().call(add, 1)

    with pytest.raises(RuntimeError, match="thread that would have to answer"):
        portal().call(nested)


def test_ctrl_c_ends_a_call_at_once_and_cancels_it() -> None:
    cancelled = threading.Event()
    started = threading.Event()

    async def forever() -> None:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    def interrupt() -> None:
        started.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        portal().call(forever)
    assert cancelled.wait(30)
    assert portal().call(add, 1) == 2


class Service:
    @on_trio
    async def where(self) -> str:
        return threading.current_thread().name

    @on_trio
    async def forever(self, started: threading.Event, cancelled: threading.Event) -> None:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()


async def test_under_trio_a_method_runs_in_the_callers_loop() -> None:
    assert await Service().where() == threading.current_thread().name


def test_under_asyncio_a_method_runs_on_the_portal() -> None:
    async def main() -> tuple[str, str]:
        return await asyncio.gather(Service().where(), asyncio.create_task(Service().where()))

    assert tuple(asyncio.run(main())) == ("runtimed portal", "runtimed portal")


def test_cancelling_under_asyncio_cancels_the_call() -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def main() -> None:
        task = asyncio.create_task(Service().forever(started, cancelled))
        assert await asyncio.to_thread(started.wait, 30)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert cancelled.wait(30)


def test_a_stopped_portal_starts_again() -> None:
    own = Portal()
    assert own.call(add, 1) == 2
    own.stop()
    assert own.call(add, 1) == 2
    own.stop()


@pytest.mark.real
def test_a_forked_child_gets_its_own_and_neither_keeps_the_interpreter_alive() -> None:
    program = """
import os, trio, warnings
warnings.simplefilter("ignore")
from runtimed.client.portal import portal
async def pid():
    await trio.sleep(0)
    return os.getpid()
assert portal().call(pid) == os.getpid()
child = os.fork()
assert portal().call(pid) == os.getpid()
if child:
    assert os.waitpid(child, 0)[1] == 0
    print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
