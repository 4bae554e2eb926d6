"""One client: reads what it wants, does one request after the other, and ends as the client does.

The reader never waits for anything but the socket: it hands on, and what takes long is a task of
its own. So pings are answered whatever a handler, a command or a slow upload does.
"""

from __future__ import annotations

from logging import Logger
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import LocalProtocolError

from runtimed.agents.handler import Handler
from runtimed.agents.legacy import closes_after_result, is_legacy
from runtimed.agents.messages import (
    AgentRuntimeMessageInterface,
    ArtifactUploadResponseMessageInterface,
    CancelMessage,
    CommandExecutionMessage,
    EndSessionConfirmMessage,
    EndSessionMessage,
    ErrorMessageInterface,
    InvocationMessage,
    encode,
    parse_client_message,
    parse_object,
    render_for_client,
)
from runtimed.agents.runtime.artifacts import Artifacts
from runtimed.agents.runtime.logs import LOGGER
from runtimed.agents.runtime.outbox import Outbox
from runtimed.agents.runtime.request import Desk, Request
from runtimed.agents.runtime.settings import RuntimeSettings
from runtimed.agents.runtime.uploads import Uploads
from runtimed.errors import RemoteProtocolError

__all__ = ["BUSY", "RuntimeConnection"]

BUSY = "Received request while another is in flight!"
#: How long a cancelled request may take to be over before its terminal is sent without that. Most
#: are: the client then knows that nothing of it runs any more.
_PROMPT = 0.025
#: For the closing handshake, which a client that is gone never finishes.
_CLOSING = 5.0
#: A message that has not gone out for so long will not: the client is gone.
_STUCK = 300.0
#: A session has ended by then, so that the client, which waits for a minute, learns of it.
_SESSION_END = 55.0
_REQUESTS = ("invocation_message", "command_execution_message")


class RuntimeConnection:
    """Serves one accepted WebSocket. It must be drained by nobody else."""

    def __init__(
        self,
        websocket: WebSocketConnection,
        handler: Handler,
        settings: RuntimeSettings | None = None,
        *,
        logger: Logger = LOGGER,
    ) -> None:
        self._websocket = websocket
        self._handler = handler
        self._settings = settings or RuntimeSettings()
        self._logger = logger
        self._outbox = Outbox(self._settings.max_waiting_bytes)
        self._desk: Desk
        self._current: Request | None = None
        self._next: Request | None = None
        self._ending: str | None = None  # why no further request is taken
        self._wake = trio.Event()
        self._close_code = 1000
        self._sending_since: float | None = None

    async def run(self) -> None:
        """Serve the client. Returns when the connection is closed and nothing of it runs."""
        async with trio.open_nursery() as nursery:
            uploads = Uploads(
                nursery, self._say, self._logger, put_timeout=self._settings.upload_timeout
            )
            artifacts = Artifacts(uploads.ask, self._logger)
            self._desk = Desk(
                self._handler, self._settings, self._logger, self._outbox, artifacts, uploads
            )
            nursery.start_soon(self._write)
            nursery.start_soon(self._ping)
            nursery.start_soon(artifacts.run)
            nursery.start_soon(self._serve_requests, nursery)
            await self._read()
            await self._wind_down()
            nursery.cancel_scope.cancel()

    def shut_down(self) -> None:
        """The server stops: abort the request in flight, drain the uploads, close."""
        self._end("shutdown", code=1001)

    def _end(self, why: str, *, code: int = 1000) -> None:
        self._ending = self._ending or why
        self._close_code = code
        metadata = {"reason": "shutdown"} if why == "shutdown" else None
        for request in (self._current, self._next):
            if request is not None:
                request.cancel(metadata)
        self._wake.set()

    # ------------------------------------------------------------------ what comes in

    async def _read(self) -> None:
        while True:
            try:
                message = await self._websocket.get_message()
            except ConnectionClosed:
                return
            self._received(message)

    def _received(self, message: str | bytes) -> None:
        data: dict[str, Any] = {}
        try:
            data = parse_object(message)
            parsed = parse_client_message(data)
        except RemoteProtocolError as error:
            self._refuse(str(error), asked=data.get("message_type") in _REQUESTS)
            return
        if isinstance(parsed, (InvocationMessage, CommandExecutionMessage)):
            self._asked(Request(parsed, self._desk, legacy=is_legacy(data)))
        elif isinstance(parsed, ArtifactUploadResponseMessageInterface):
            self._desk.uploads.answered(parsed)
        elif isinstance(parsed, CancelMessage):
            request = self._next or self._current  # the newest is the one that the client means
            if request is not None:
                request.logger.info("Cancelled by the client")
                request.cancel()
        elif isinstance(parsed, EndSessionMessage):
            self._end("session")

    def _refuse(self, error: str, *, asked: bool) -> None:
        """Answer what is no message. Whatever is in flight keeps its one terminal."""
        if asked:
            self._asked(Request(error, self._desk))
        elif self._in_flight:
            self._logger.warning("Ignored while a request is in flight: %s", error)
        else:
            self._say(ErrorMessageInterface(error=error, metadata={}))

    @property
    def _in_flight(self) -> bool:
        return self._current is not None or self._next is not None

    def _asked(self, request: Request) -> None:
        if self._ending is not None:
            self._say(ErrorMessageInterface(error="The session is ending", metadata={}))
            return
        if self._in_flight and self._settings.on_busy == "refuse":
            self._say(ErrorMessageInterface(error=BUSY, metadata={}))
            return
        for earlier in (self._current, self._next):
            if earlier is not None:
                # Clients ask one thing at a time, so this one has given up on the earlier one. A
                # terminal for that would be taken for the answer to this.
                earlier.logger.warning("Superseded by another request")
                earlier.cancel(unwanted=True)
        self._next = request
        self._wake.set()

    # ------------------------------------------------------------------ requests

    async def _serve_requests(self, nursery: trio.Nursery) -> None:
        while True:
            while self._next is None:
                if self._ending is not None:
                    await self._finish()
                    return
                self._wake = trio.Event()
                await self._wake.wait()
            await self._serve(nursery)

    async def _serve(self, nursery: trio.Nursery) -> None:
        request = self._current = self._next
        assert request is not None
        self._next = None
        nursery.start_soon(request.run)
        await request.wait_decided()
        if not request.done.is_set():
            with trio.move_on_after(_PROMPT):
                await request.done.wait()
        terminal = request.close()
        self._current = None
        if terminal is not None:
            self._outbox.put_always(terminal)
            option = self._settings.close_after_result
            if closes_after_result(option, legacy=request.legacy):
                self._ending = self._ending or "result"
        # The next one starts when nothing of this one runs, unless it clings to its life.
        if not request.done.is_set():
            with trio.move_on_after(self._settings.cancel_grace):
                await request.done.wait()
        if not request.done.is_set():
            request.logger.warning("The handler does not end though its request was cancelled")

    async def _finish(self) -> None:
        """Drain the artifacts, confirm where that is asked for, and close."""
        settings, uploads = self._settings, self._desk.uploads
        limit = settings.shutdown_wait if self._ending == "shutdown" else _SESSION_END
        with trio.move_on_after(limit):
            await self._desk.artifacts.drain(settings.post_invocation_delay)
            self._desk.artifacts.stop()
            with trio.move_on_after(settings.artifact_wait):
                await uploads.wait_answered()
            with trio.move_on_after(settings.upload_timeout):
                await uploads.wait_put()
        if self._ending == "session":
            self._say(EndSessionConfirmMessage())
        self._outbox.close()

    async def _wind_down(self) -> None:
        """The socket is closed: end what runs, let files arrive that are on their way."""
        closed = self._websocket.closed
        self._outbox.close()
        self._desk.artifacts.stop()
        requests = [each for each in (self._current, self._next) if each is not None]
        self._ending = self._ending or "closed"
        for request in requests:
            if closed is not None:
                request.logger.warning(
                    "The connection was closed during a request: %s %s",
                    closed.code,
                    closed.reason or "",
                )
            request.cancel(unwanted=True)
        self._wake.set()
        self._desk.uploads.forget_unanswered()
        with trio.move_on_after(self._settings.upload_timeout):
            await self._desk.uploads.wait_put()
        with trio.move_on_after(self._settings.cancel_grace):
            for request in requests:
                await request.done.wait()

    # ------------------------------------------------------------------ what goes out

    def _say(self, message: AgentRuntimeMessageInterface) -> None:
        self._outbox.put_always(encode(render_for_client(message)))

    async def _write(self) -> None:
        try:
            while (message := await self._outbox.take()) is not None:
                self._sending_since = trio.current_time()
                await self._websocket.send_message(message)
                self._sending_since = None
        except (ConnectionClosed, LocalProtocolError):
            self._outbox.close()  # nobody waits for room in it any more
            return
        with trio.move_on_after(_CLOSING):
            await self._websocket.aclose(self._close_code)

    async def _ping(self) -> None:
        """Notice a client that is gone without a word."""
        settings = self._settings
        if settings.ping_interval <= 0:
            return
        while True:
            await trio.sleep(settings.ping_interval)
            since = self._sending_since
            if since is not None and trio.current_time() - since < _STUCK:
                continue  # a ping would wait behind a large message on its slow way
            try:
                with trio.fail_after(settings.pong_timeout):
                    await self._websocket.ping()
            except (ConnectionClosed, LocalProtocolError):
                return
            except trio.TooSlowError:
                self._logger.warning("The client does not answer pings; the connection is closed")
                self._outbox.close()
                with trio.move_on_after(1):
                    await self._websocket.aclose(1011)
                return
