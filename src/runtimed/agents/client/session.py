"""A session: one connection for one request after another.

Answers carry no ids. A request is only sent once everything that belongs to earlier ones has come,
which the session's ledger knows, or there is no telling whose answer comes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any

import trio

from runtimed.agents.client.call import Call, Calls
from runtimed.agents.client.callers import Invoke, anywhere
from runtimed.agents.client.exchange import ABORT_GRACE, Exchange, log
from runtimed.agents.client.failures import AgentConnectionLost
from runtimed.agents.client.held import HeldConnection
from runtimed.agents.client.ledger import Ledger
from runtimed.agents.client.options import ExecuteCommandsOptions, QueryOptions
from runtimed.agents.client.plain_trio import take
from runtimed.agents.client.request import R, Request, as_commands, as_query
from runtimed.agents.client.transports import Message, PersistentTransport
from runtimed.agents.client.uploads import Uploads
from runtimed.agents.errors import AgentRuntimeError
from runtimed.agents.messages import (
    ArtifactUploadRequestMessageInterface,
    CommandExecutionResult,
    CommandInterface,
    QueryResult,
    parse_runtime_message,
    render_for_runtime,
)
from runtimed.errors import RemoteProtocolError

__all__ = ["RuntimeUseSession"]

#: Seconds for the runtime to confirm the end of the session.
_LEAVE_LIMIT = 60.0

#: Seconds between two looks whether the runtime is still busy: at first, at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0

_DEAF = "The session is broken: the runtime did not end an earlier request"
_LOST = "The session is broken: its connection has ended"
_LEFT = "The session has ended"


class RuntimeUseSession:
    """Requests one after another on one connection, in `async with`.

    Made by `RuntimeUseClient.session()`. Calls from several tasks wait for each other, in order of
    arrival. Leaving the block lets the runtime finish its uploads, for a minute at most.
    """

    def __init__(self, transport: PersistentTransport) -> None:
        self._held = HeldConnection(transport)
        self._calls = Calls()
        self._turn = trio.Lock()
        self._ledger = Ledger()
        self._broken: str | None = "A session is used in `async with`"
        self._current: Exchange[Any] | None = None
        self._uploads: Uploads | None = None  # the most recent ones

    async def query(self, prompt: str, options: QueryOptions) -> QueryResult:
        """Run the agent. As `RuntimeUseClient.query`, on this connection."""
        request = as_query(prompt, options)
        with self._calls.one_more() as call:
            message = await anywhere(partial(self._call, request, call))
        return QueryResult(data=message.data, metadata=message.metadata)

    async def execute_commands(
        self, commands: Sequence[CommandInterface], options: ExecuteCommandsOptions | None = None
    ) -> CommandExecutionResult:
        """Run commands. As `RuntimeUseClient.execute_commands`, on this connection."""
        request = as_commands(commands, options)
        with self._calls.one_more() as call:
            message = await anywhere(partial(self._call, request, call))
        return CommandExecutionResult(results=message.results)

    def abort(self) -> None:
        """Cancel the calls of this session that are under way. From any task or thread."""
        self._calls.abort()

    # A call

    async def _call(self, request: Request[R], call: Call, invoke: Invoke) -> R:
        self._held.check_loop()
        exchange = Exchange(request, call, invoke)
        with exchange.bounds.scope:
            exchange.begin()
            await take(self._turn)
            try:
                if self._broken is not None:
                    raise AgentRuntimeError(self._broken)
                self._current = exchange
                await self._converse(exchange)
            finally:
                self._current = None
                self._turn.release()
        if exchange.bounds.exceeded in ("abort", _DEAF):
            self._broken = _DEAF
            await self._held.connection.close()
        return exchange.outcome()

    async def _converse(self, exchange: Exchange[Any]) -> None:
        if exchange.uploads is not None:
            self._uploads = exchange.uploads
        exchange.late_uploads = self._uploads
        secrets = exchange.options.secrets_to_redact
        try:
            async with aclosing(self._held.connection.request(exchange.outgoing)) as stream:
                try:
                    await self._settle(exchange, stream)
                    exchange.send_request()
                    await exchange.read(stream)
                except StopAsyncIteration:
                    pass
                if exchange.end is None:
                    self._broken = _LOST
                else:
                    self._ledger.ended(exchange.end, secrets)
        finally:
            if exchange.in_flight:
                exchange.cancel()
                self._ledger.given_up(secrets)
            exchange.close()

    async def _settle(self, exchange: Exchange[Any], stream: AsyncGenerator[Message]) -> None:
        """Read up to where nothing of an earlier request can come any more.

        Raises: StopAsyncIteration when the connection ends before.
        """
        pause = _FIRST_PAUSE
        if self._ledger.owes_an_end:
            exchange.bounds.set(_DEAF, ABORT_GRACE)
        while not self._ledger.settled:
            if not self._ledger.owes_an_end:
                exchange.bounds.set(_DEAF, None)
            if (barrier := self._ledger.barrier()) is not None:
                exchange.send(barrier)
            exchange.listen()
            message = await anext(stream)
            if exchange.hear(message) == "artifact_upload_request_message":
                wanted = exchange.parsed(message)
                if isinstance(wanted, ArtifactUploadRequestMessageInterface):
                    await exchange.answer_late(wanted)
            elif self._ledger.hear(message):
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        exchange.bounds.set(_DEAF, None)

    # Entering and leaving

    async def __aenter__(self) -> RuntimeUseSession:
        await self._held.open()
        self._broken = None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._held.close(error, self._leave)

    async def _leave(self) -> None:
        """End the session in order, on the connection's loop."""
        usable, self._broken = self._broken is None, _LEFT
        if self._current is not None:
            self._current.bounds.set(_LEFT, 0)
        async with self._turn:
            if not usable or self._broken is not _LEFT:
                return
            try:
                await self._held.connection.end_session(self._answer_late, _LEAVE_LIMIT)
            except AgentConnectionLost as lost:
                log.warning("at the end of a session: %s", lost)

    async def _answer_late(self, message: Message) -> Message | None:
        """The answer to an upload request that comes while the session ends."""
        if message.get("message_type") != "artifact_upload_request_message":
            return None
        try:
            wanted = parse_runtime_message(message)
        except RemoteProtocolError as error:
            log.warning("skipped a message: %s", error)
            return None
        if self._uploads is None or not isinstance(wanted, ArtifactUploadRequestMessageInterface):
            log.warning("nobody is there to answer an upload request")
            return None
        try:
            return render_for_runtime(await self._uploads.answer(wanted))
        except Exception:  # of the caller's making, and its calls are over
            log.exception("the callback failed for a file at the end of the session")
            return None
