"""Answering what cells ask, through the daemon's rooms; the kernel is pretended."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from loopback_sessions import open_daemon

from loopback import Loopback
from runtimed import AsyncSession, InputRequest, RuntimedError, Session
from runtimed.messages.inputs import END_OF_INPUT


async def asking(session: AsyncSession, prompt: str = "name?") -> str:
    """A cell that will ask, in a session with a kernel."""
    await session.connect()
    await session.start_kernel()
    return await session.create_cell(f"ask {prompt}")


def inputs(daemon: Loopback) -> list[str]:
    return daemon.kernels.launched[-1].inputs


async def test_an_async_handler_answers(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        seen = []

        async def answer(question: InputRequest) -> str:
            await trio.lowlevel.checkpoint()
            seen.append(question)
            return "Ada"

        await session.set_input_handler(answer)
        cell = await asking(session)
        result = await session.execute_cell(cell)
        assert result.stdout == "Ada"
        assert seen == [InputRequest(id="input-1", cell_id=cell, prompt="name?")]


async def test_a_plain_handler_answers_on_a_thread(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.set_input_handler(lambda question: threading.current_thread().name)
        result = await session.execute_cell(await asking(session))
        assert result.stdout != threading.current_thread().name


@pytest.mark.parametrize("value", [None, 7], ids=["none", "no text"])
async def test_no_text_is_the_end_of_input(tmp_path: Path, value: Any) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.set_input_handler(lambda question: value)
        await session.execute_cell(await asking(session))
        assert inputs(daemon) == [END_OF_INPUT]


async def test_a_handler_that_fails_ends_the_input_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:

        def answer(question: InputRequest) -> str:
            raise ZeroDivisionError

        await session.set_input_handler(answer)
        with caplog.at_level(logging.ERROR):
            await session.execute_cell(await asking(session))
        assert inputs(daemon) == [END_OF_INPUT]
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()


async def test_without_a_handler_or_after_its_removal_cells_are_not_to_ask(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        cell = await asking(session)
        assert not (await session.execute_cell(cell)).success
        await session.set_input_handler(lambda question: "Ada")
        assert (await session.execute_cell(cell)).success
        await session.set_input_handler(None)
        assert not (await session.execute_cell(cell)).success
        assert inputs(daemon) == ["Ada"]


async def test_a_handler_is_cancelled_when_somebody_else_answers(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as one, AsyncSession("n") as two:
        cancelled = trio.Event()
        begun = trio.Event()

        async def never(question: InputRequest) -> str:
            begun.set()
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()

        async def when_asked(question: InputRequest) -> str:
            await begun.wait()
            return "Bob"

        await one.set_input_handler(never)
        await two.connect()
        await two.set_input_handler(when_asked)
        result = await one.execute_cell(await asking(one))
        assert result.stdout == "Bob"
        await cancelled.wait()


async def test_a_handler_set_while_a_cell_asks_is_asked(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.connect()
        await session.allow_input()
        cell = await asking(session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.execute_cell, cell)
            await trio.testing.wait_all_tasks_blocked()
            await session.set_input_handler(lambda question: "late")
        assert (await session.get_cell(cell)).outputs[0].text == "late"


async def test_a_program_may_answer_events_itself(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.connect()
        await session.allow_input()
        everything = session.subscribe(event_types=["input_request"])
        cell = await asking(session)
        asked = []
        async for event in await session.stream_execute(cell):
            if event.input_request is not None:
                asked.append(event)
                await session.answer_input(event.input_request.id, "Ada")
        assert asked == [await everything.__anext__()]
        assert asked[0].event_type == "input_request"
        assert (await session.get_cell(cell)).outputs[0].text == "Ada"
        with pytest.raises(RuntimedError, match="any more"):
            await session.answer_input("input-1", "Bob")


async def test_who_connects_again_can_still_answer(tmp_path: Path) -> None:
    async with open_daemon(tmp_path):
        session = AsyncSession("n")
        await session.set_input_handler(lambda question: "Ada")
        for _ in range(2):
            result = await session.execute_cell(await asking(session))
            assert result.stdout == "Ada"
            await session.close()


async def test_leaving_ends_a_handler_at_work(tmp_path: Path) -> None:
    ended = trio.Event()

    async def never(question: InputRequest) -> str:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with open_daemon(tmp_path):
        async with AsyncSession("n") as session:
            await session.set_input_handler(never)
            await session.queue_cell(await asking(session))
            await trio.testing.wait_all_tasks_blocked()
        assert ended.is_set()


@pytest.mark.parametrize("handler", ["text", 7])
async def test_a_handler_must_be_callable(handler: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        await AsyncSession("n").set_input_handler(handler)


def test_a_blocking_session_takes_plain_functions_only() -> None:
    async def answer(question: InputRequest) -> str:
        return ""

    with pytest.raises(TypeError, match="plain function"):
        Session("n").set_input_handler(answer)  # type: ignore[arg-type]


def test_an_asyncio_program_answers_in_its_own_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(question: InputRequest) -> str:
        await asyncio.sleep(0)  # would fail anywhere else
        return f"from {threading.current_thread() is threading.main_thread()}"

    from runtimed.client import input_answers
    from runtimed.client.portal import portal

    async def main() -> Any:
        calling = input_answers._calling(answer)
        question = InputRequest(id="q", cell_id="c")
        return await portal().call_from_asyncio(functools.partial(calling, question))

    assert asyncio.run(main()) == "from True"
