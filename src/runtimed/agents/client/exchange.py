"""One request and all that comes until its end, whatever carries it.

The outcome is decided in one place, `Exchange.outcome`: an abort before an error, an error before a
missing end, and only then the answer.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from math import inf
from typing import Any, Generic

import trio

from runtimed.agents.client.bounds import Bounds
from runtimed.agents.client.call import Call
from runtimed.agents.client.callers import Invoke
from runtimed.agents.client.failures import AgentCallTimedOut, AgentConnectionLost
from runtimed.agents.client.ledger import TERMINALS
from runtimed.agents.client.request import R, Request
from runtimed.agents.client.transports import Message
from runtimed.agents.client.uploads import Uploads
from runtimed.agents.errors import AgentRuntimeError, CancelledException
from runtimed.agents.messages import (
    AgentRuntimeMessageInterface,
    ArtifactUploadRequestMessageInterface,
    AssistantMessageInterface,
    CancelMessage,
    ClientMessage,
    CommandOutputMessageInterface,
    EndSessionMessage,
    ErrorMessageInterface,
    parse_runtime_message,
    render_for_runtime,
)
from runtimed.errors import RemoteProtocolError

__all__ = ["ABORT_GRACE", "DRAIN_LIMIT", "Exchange", "log"]

#: Where the client logs unless the options name another logger.
log = logging.getLogger("runtimed.agents.client")

#: Seconds that a runtime is given to end a request that was aborted.
ABORT_GRACE = 10.0

#: Seconds for artifacts and post-agent commands behind the result of a one-shot call.
DRAIN_LIMIT = 60.0


class Exchange(Generic[R]):
    """The course of one request. Everything happens inside `bounds.scope`."""

    def __init__(self, request: Request[R], call: Call, invoke: Invoke) -> None:
        self.request = request
        self.options = request.options
        self.log = request.options.logger or log
        self.bounds = Bounds()
        self.uploads: Uploads | None = None
        if self.options.on_artifact_upload_request is not None:
            self.uploads = Uploads(
                self.options.on_artifact_upload_request,
                invoke,
                self.options.artifact_upload_callback_timeout,
            )
        #: Who answers requests of files when this call does not: an earlier call of the session.
        self.late_uploads: Uploads | None = None
        self.end: Message | None = None
        self._to_send, self.outgoing = trio.open_memory_channel[Message](inf)
        self._call = call
        self._invoke = invoke
        self._requested = False
        self._cancelled = False
        self._draining = False
        self._calling: trio.CancelScope | None = None
        self._lost: AgentConnectionLost | None = None
        self._count = 0
        self._last_type: str | None = None

    # What goes out

    def begin(self) -> None:
        """From now on the call's time runs, and it may be aborted."""
        self.bounds.set("timeout", self.options.timeout)
        self._call.begin(self._abort)

    def send(self, message: ClientMessage) -> None:
        """Put a message into the outgoing channel, which has no limit: there are few of them."""
        self._to_send.send_nowait(render_for_runtime(message))

    def send_request(self) -> None:
        """Ask."""
        self.send(self.request.message)
        self._requested = True

    def close(self) -> None:
        """Nothing more will be sent."""
        self._to_send.close()

    @property
    def in_flight(self) -> bool:
        """Whether the runtime may be at work on the request."""
        return self._requested and self.end is None

    @property
    def has_failed(self) -> bool:
        """Whether the request came to its end, and that is an error."""
        return self.end is not None and self.end.get("message_type") == "error_message"

    def cancel(self) -> None:
        """Tell the runtime that the request is not wanted any more, once."""
        if not self._cancelled:
            self._cancelled = True
            self.send(CancelMessage())

    def _abort(self) -> None:
        if self._calling is not None:
            self._calling.cancel()
        if self._cancelled:
            return
        unsent = not self._requested or self._to_send.statistics().current_buffer_used > 0
        if unsent or self._draining:
            # The runtime is not at work on it, so there is nothing to wait for. A connection that
            # does not come about, in particular.
            self.bounds.set("nothing to wait for", 0)
        elif self.in_flight:
            self.cancel()
            self.bounds.set("abort", ABORT_GRACE)

    # What comes in

    async def read(self, stream: AsyncGenerator[Message]) -> None:
        """Handle what comes, up to the end of the request or of the stream."""
        try:
            self.listen()
            async for message in stream:
                kind = self.hear(message)
                if kind in TERMINALS:
                    self.end = message
                    return
                await self._handle(kind, message)
                self.listen()
        except AgentConnectionLost as lost:
            self._lost = lost

    async def read_on(self, stream: AsyncGenerator[Message]) -> None:
        """Behind a result: let the runtime finish what it has to do.

        A current one is asked for the end of the session, which it confirms at once or when all
        files are up. An old one takes no notice; it runs its post-agent commands, asks for uploads
        and closes. Either may tell an error yet, which is the end then.
        """
        self._draining = True
        self.send(EndSessionMessage())
        self.bounds.set("drain", DRAIN_LIMIT)
        try:
            async for message in stream:
                kind = self.hear(message)
                if kind == "end_session_confirm_message":
                    return
                if kind == "error_message":
                    self.end = message
                    return
                if kind not in TERMINALS:
                    await self._handle(kind, message)
        except AgentConnectionLost as lost:
            self.log.warning("behind the result: %s", lost)

    def listen(self) -> None:
        """Silence counts from now on."""
        self.bounds.set("idle", self.options.idle_timeout)

    def hear(self, message: Message) -> str | None:
        """A message has come: silence does not count. Returns its type."""
        self.bounds.set("idle", None)
        kind = message.get("message_type")
        self._count += 1
        self._last_type = kind if isinstance(kind, str) else None
        self.log.debug("received %s", self._last_type)
        return self._last_type

    def parsed(self, message: Message) -> AgentRuntimeMessageInterface | None:
        """A message as a value; None, and a line in the log, if it can't be read."""
        try:
            return parse_runtime_message(message)
        except RemoteProtocolError as error:
            self.log.warning("skipped a message: %s", error)
            return None

    async def _handle(self, kind: str | None, message: Message) -> None:
        """Call back for a message that ends nothing. Once aborted, it is only passed over."""
        if self._call.aborted or kind == "heartbeat_message":
            return
        match self.parsed(message):
            case AssistantMessageInterface() as said:
                await self._tell_assistant_message(said)
            case CommandOutputMessageInterface() as printed:
                if self.options.on_command_output is not None:
                    await self._call_back(self.options.on_command_output, printed)
            case ArtifactUploadRequestMessageInterface() as wanted:
                await self._answer(wanted)

    async def _tell_assistant_message(self, message: AssistantMessageInterface) -> None:
        callback = self.options.on_assistant_message
        limit = self.options.assistant_callback_timeout
        if callback is not None and not await self._call_back(callback, message, limit):
            raise AgentRuntimeError(
                "on_assistant_message callback timed out",
                {
                    "timeout_type": "assistant_callback_timeout",
                    "timeout": limit,
                    "last_message_type": self._last_type,
                    "message_count": self._count,
                    "phase": "assistant_callback",
                },
            )

    async def _call_back(
        self, callback: Callable[[Any], Any], message: Any, limit: float | None = None
    ) -> bool:
        """Call a callback; whether it came back in time, or was cut short by an abort."""
        deadline = inf if limit is None else trio.current_time() + limit
        with trio.CancelScope(deadline=deadline) as self._calling:
            await self._invoke(callback, message)
        cut_short, self._calling = self._calling.cancelled_caught, None
        return self._call.aborted or not cut_short

    async def _answer(self, request: ArtifactUploadRequestMessageInterface) -> None:
        if self.uploads is None:
            await self.answer_late(request)
            return
        answer = None
        with trio.CancelScope() as self._calling:
            answer = await self.uploads.answer(request)
        self._calling = None
        if answer is not None:
            self.send(answer)

    async def answer_late(self, request: ArtifactUploadRequestMessageInterface) -> None:
        """Answer for an earlier call. What goes wrong is none of this call's business."""
        if self.late_uploads is None:
            self.log.warning("nobody is there to answer an upload request for %r", request.filename)
            return
        answer = None
        with trio.CancelScope() as self._calling:
            try:
                answer = await self.late_uploads.answer(request)
            except Exception:  # of an earlier caller's making
                self.log.exception("the callback failed for a file of an earlier call")
        self._calling = None
        if answer is not None:
            self.send(answer)

    # What became of it

    def outcome(self) -> R:
        """The answer.

        Raises: CancelledException, AgentRuntimeError, AgentCallTimedOut.
        """
        if self._call.aborted:
            raise CancelledException(self.request.cancelled)
        if self.end is None:
            raise self._failure() from self._lost
        if self.bounds.exceeded is not None:
            self.log.warning("left the runtime with its work behind the result unfinished")
        try:
            message = parse_runtime_message(self.end)
        except RemoteProtocolError as error:
            raise AgentRuntimeError(f"The runtime's answer cannot be read: {error}") from error
        if isinstance(message, ErrorMessageInterface):
            raise AgentRuntimeError(message.error, message.metadata)
        if not isinstance(message, self.request.answer):
            raise AgentRuntimeError(f"The runtime answered with a {message.message_type}")
        return message

    def _failure(self) -> Exception:
        """Why there is no end."""
        options = self.options
        match self.bounds.exceeded:
            case "timeout":
                return AgentCallTimedOut(f"The call took longer than {options.timeout:g} s")
            case "idle":
                return AgentRuntimeError(
                    f"No message received from agent runtime for {options.idle_timeout}s",
                    {
                        "timeout_type": "idle_timeout",
                        "idle_timeout": options.idle_timeout,
                        "last_message_type": self._last_type,
                        "message_count": self._count,
                        "phase": "waiting_for_message",
                    },
                )
            case None:
                # The text is the same, whatever ended the connection; beside it stands how.
                lost = self._lost
                how = None if lost is None else {"code": lost.code, "reason": lost.reason}
                return AgentRuntimeError("No result message received", how and {"closed": how})
            case other:
                return AgentRuntimeError(other)
