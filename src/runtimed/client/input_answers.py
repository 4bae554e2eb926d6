"""Answers to what running cells ask for: a handler that is called, or the program's own calls."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import trio

from runtimed.client.arguments import as_flag, as_optional_text, as_text
from runtimed.client.link import Link
from runtimed.client.membership import REQUEST_TIMEOUT, Membership
from runtimed.client.portal import on_trio
from runtimed.client.results import InputRequest
from runtimed.errors import RuntimedError
from runtimed.protocol import broadcasts, requests

__all__ = ["InputAnswers", "InputHandler", "input_request", "is_async"]

log = logging.getLogger(__name__)

InputHandler: TypeAlias = "Callable[[InputRequest], str | Awaitable[str | None] | None]"

#: A handler as it is called here, on Trio.
_Answer: TypeAlias = "Callable[[InputRequest], Awaitable[Any]]"

#: Threads in which handlers may wait for people at the same time.
_THREADS = trio.CapacityLimiter(40)


def input_request(broadcast: broadcasts.InputRequest) -> InputRequest:
    """What the user sees of a question."""
    return InputRequest(
        id=broadcast.request_id,
        cell_id=broadcast.cell_id,
        prompt=broadcast.prompt,
        password=broadcast.password,
    )


def is_async(handler: object) -> bool:
    """Whether calling this gives something to await."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - an object may have an async one
    )


class InputAnswers(Membership):
    """The part of a session that is about input for running cells."""

    def __init__(self, notebook_id: str | None = None, peer_label: str | None = None) -> None:
        super().__init__(notebook_id, peer_label)
        self._answer: _Answer | None = None
        self._input_allowed = False
        self._questions: _Questions | None = None

    async def set_input_handler(self, handler: InputHandler | None) -> None:
        """Have a function answer what cells ask with `input()` and `getpass()`; None removes it.

        It gets an InputRequest and returns the text, or None for the end of input, which is an
        EOFError in the cell. An async function runs in the program's own event loop; any other on a
        thread, so that it may wait. It is cancelled, or its answer ignored, when the question is
        answered by another peer or its cell ends. An exception in it is logged and ends the input.
        Cells that start while no peer can answer get an error from `input()` at once.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"handler must be callable, not {type(handler).__name__}")
        # Here, and not on Trio, because an asyncio program's loop is found by whoever runs in it.
        await self._set_input(None if handler is None else _calling(handler))

    @on_trio
    async def _set_input(self, answer: _Answer | None) -> None:
        self._answer = answer
        await self._tell_input()

    @on_trio
    async def allow_input(self, enabled: bool = True) -> None:
        """Say that this program answers with `answer_input` what it sees as `input_request` events.

        For programs that need no handler.
        """
        self._input_allowed = as_flag("enabled", enabled)
        await self._tell_input()

    @on_trio
    async def answer_input(self, request_id: str, value: str | None) -> None:
        """Answer a question; None is the end of input.

        Raises: RuntimedError if nobody waits for the answer: it was given, or the cell has ended.
        """
        request = requests.AnswerInput(
            as_text("request_id", request_id), as_optional_text("value", value)
        )
        await self._linked().request(request, REQUEST_TIMEOUT)

    async def _tell_input(self) -> None:
        """Let the daemon know whether there is somebody to ask, and who it is here."""
        if self._questions is not None and self._questions.link.alive:
            enabled = self._answer is not None or self._input_allowed
            self._questions.ask_open_ones()
            await self._questions.link.request(requests.SetStdin(enabled), REQUEST_TIMEOUT)

    async def _joined(self, link: Link) -> None:
        self._questions = _Questions(self, link)
        link.listen(self._questions)
        if self._answer is not None or self._input_allowed:
            await self._tell_input()


class _Questions:
    """The open questions of one connection, and the handler at work on each."""

    def __init__(self, session: InputAnswers, link: Link) -> None:
        self.link = link
        # Weak, because the link outlives a session that is let go of without being closed.
        self._session = weakref.ref(session)
        self._open: dict[str, InputRequest] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    def ask_open_ones(self) -> None:
        """Ask what is being asked already, if there is a handler now."""
        for question in self._open.values():
            self._ask(question)

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if isinstance(broadcast, broadcasts.InputRequest):
            question = self._open[broadcast.request_id] = input_request(broadcast)
            self._ask(question)
        elif isinstance(broadcast, broadcasts.InputDone):
            self._open.pop(broadcast.request_id, None)
            if (scope := self._scopes.get(broadcast.request_id)) is not None:
                scope.cancel()

    def end(self, error: RuntimedError) -> None:
        for scope in self._scopes.values():
            scope.cancel()

    def _ask(self, question: InputRequest) -> None:
        session = self._session()
        if session is None or session._answer is None or question.id in self._scopes:
            return
        self._scopes[question.id] = trio.CancelScope()
        session._start(partial(self._have_answered, question, session._answer))

    async def _have_answered(self, question: InputRequest, answer: _Answer) -> None:
        with self._scopes[question.id]:
            value = await _value(question, answer)
            try:
                await self.link.request(requests.AnswerInput(question.id, value), REQUEST_TIMEOUT)
            except RuntimedError as error:
                log.info("answer not wanted question=%s reason=%s", question.id, error)
        del self._scopes[question.id]


async def _value(question: InputRequest, answer: _Answer) -> str | None:
    try:
        return as_optional_text("what an input handler returns", await answer(question))
    except Exception:
        log.exception("input handler failed; the cell gets the end of input")
        return None


def _calling(handler: InputHandler) -> _Answer:
    """How to call a handler from Trio, for a program that runs where this is called."""
    if not is_async(handler):

        async def on_thread(question: InputRequest) -> Any:
            return await trio.to_thread.run_sync(
                handler, question, abandon_on_cancel=True, limiter=_THREADS
            )

        return on_thread
    if trio.lowlevel.in_trio_task():

        async def on_trio_itself(question: InputRequest) -> Any:
            result: Any = handler(question)
            return await result

        return on_trio_itself
    import asyncio

    loop = asyncio.get_running_loop()

    async def on_asyncio(question: InputRequest) -> Any:
        answered = trio.Event()
        token = trio.lowlevel.current_trio_token()
        coroutine: Any = handler(question)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # the program's loop is closed
            coroutine.close()
            raise
        future.add_done_callback(lambda _: token.run_sync_soon(answered.set))
        try:
            await answered.wait()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    return on_asyncio
