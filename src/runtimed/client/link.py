"""One notebook connection to the daemon: a task that reads, a task that writes.

Requests carry ids and are answered in any order. The reader hands everything on synchronously and
never waits, so whoever listens misses nothing; the writer puts pending edits before pending
requests and sends both in one piece, with what is to be announced to other peers.
"""

from __future__ import annotations

import itertools
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

import trio

from runtimed.client.presence import Announcer, RemotePeers
from runtimed.client.replica import Replica
from runtimed.client.resolve import OutputReader
from runtimed.client.widgets import WidgetMirror
from runtimed.document.settings_values import Settings
from runtimed.errors import ConnectionLost, RemoteProtocolError, RequestFailed, RuntimedError
from runtimed.protocol import broadcasts, events, requests, responses
from runtimed.protocol.connection import NEED_DATA, Connection
from runtimed.sockets import write_at_once

__all__ = ["Link", "Listener"]

log = logging.getLogger(__name__)

#: How much is read at once, in bytes; large outputs arrive in few pieces.
_CHUNK = 262_144

#: Seconds that an acknowledgement may wait for something to travel with.
_ACK_DELAY = 0.02

#: Seconds after which a daemon that lacks an edit is asked again which version it holds.
_ASK_AGAIN = 0.25

Answer: TypeAlias = "responses.NotebookResponse | RuntimedError"


class Listener(Protocol):
    """Something that wants to hear every broadcast. Called on the link's loop; must not block."""

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None: ...
    def end(self, error: RuntimedError) -> None: ...


class Link:
    """A connection after its handshake.

    Ends when the daemon closes it, when it breaks the protocol, or by `close`. From then on `alive`
    is False, and every request and listener has been told.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        connection: Connection,
        replica: Replica,
        outputs: OutputReader,
        announcer: Announcer,
        *,
        shield: bool = False,
    ) -> None:
        self.replica = replica
        self.outputs = outputs
        self.settings: Settings | None = None  # the user's, as they were on connecting
        self.announcer = announcer
        self.peers = RemotePeers()
        self.token = trio.lowlevel.current_trio_token()
        self.alive = True
        self._stream = stream
        self._connection = connection
        self._scope = trio.CancelScope(shield=shield)
        self._closing = False
        self._echoes = False  # the daemon says which request it answers
        self._last_words: str | None = None  # why the daemon is about to end the connection
        self._finished = trio.Event()
        self._ids = itertools.count(1)
        self._pending: dict[int | str, Callable[[Answer], None]] = {}
        self.widgets = WidgetMirror()
        self._listeners: dict[Listener, None] = {self.widgets: None}
        self._outbox: list[bytes] = []
        self._first: list[bytes] = []  # goes before the next sync message
        self._edited = True  # the very first sync message says what we have: nothing
        self._unacknowledged = False
        self._something_to_send = trio.Event()
        self._something_to_send.set()
        self._patience = trio.CancelScope()  # how long the writer waits for something to send
        self._synced = trio.lowlevel.ParkingLot()
        _links.add(self)

    async def run(self) -> None:
        """Carry messages until the connection ends. Never raises anything but Cancelled."""
        try:
            with self._scope:
                async with trio.open_nursery() as tasks:
                    tasks.start_soon(self._write)
                    await self._read()
                    tasks.cancel_scope.cancel()
        finally:
            self._end()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
            self._finished.set()

    async def close(self) -> None:
        """End the connection at once; returns when its tasks have."""
        self._closing = True
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._finished.wait()

    def abandon(self) -> None:
        """End the connection from any thread, without waiting."""
        try:
            self.token.run_sync_soon(self._scope.cancel)
        except trio.RunFinishedError:
            pass

    # Talking

    def send(self, request: requests.NotebookRequest, deliver: Callable[[Answer], None]) -> int:
        """Queue a request behind all local edits; `deliver` gets the answer, exactly once.

        Returns the request's id, for `forget`.
        Raises: ConnectionLost, or RuntimedError "Not connected" after `close`.
        """
        if not self.alive:
            raise self.error()
        number = next(self._ids)
        data = self._connection.send(events.Request(request, number))
        self._pending[number] = deliver
        self._outbox.append(data)
        self._something_to_send.set()
        return number

    def forget(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._pending.pop(number, None)

    async def request(
        self,
        request: requests.NotebookRequest,
        timeout: float,
        note: Callable[[Answer], None] = lambda answer: None,
    ) -> responses.NotebookResponse:
        """Send a request and wait for its answer.

        `note` gets the answer at once, before anything that comes after it is heard.
        Raises: RequestFailed with the daemon's text; RuntimedError "Connection timed out" after
            `timeout` seconds; ConnectionLost.
        """
        answered = trio.Event()
        answers: list[Answer] = []

        def deliver(answer: Answer) -> None:
            note(answer)
            answers.append(answer)
            answered.set()

        number = self.send(request, deliver)
        try:
            with trio.move_on_after(timeout):
                await answered.wait()
        finally:
            self.forget(number)
        if not answers:
            raise RuntimedError("Connection timed out")
        answer = answers[0]
        if isinstance(answer, RuntimedError):
            raise answer
        if isinstance(answer, responses.Error):
            raise RequestFailed(answer.error)
        return answer

    def edited(self) -> None:
        """The local document has changed: tell the daemon as soon as the socket takes it."""
        self._edited = True
        self._something_to_send.set()

    def announce(self) -> None:
        """Send what the announcer has; what goes along with an edit or a request need not ask."""
        self._something_to_send.set()

    @property
    def has_unsent_edits(self) -> bool:
        """Whether the writer has not yet taken what was last edited."""
        return self._edited

    def listen(self, listener: Listener) -> None:
        if not self.alive:
            raise self.error()
        self._listeners[listener] = None

    def unlisten(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the replica holds. Looks again after each sync message.

        Raises: ConnectionLost if the connection ends before.
        """
        while not condition():
            if not self.alive:
                raise self.error()
            await self._synced.park()

    async def caught_up(self, heads: Iterable[str], timeout: float) -> None:
        """Wait until what the daemon has said in an answer to hold is here.

        Raises: RuntimedError "Connection timed out"; ConnectionLost.
        """
        with trio.move_on_after(timeout) as limit:
            await self.wait_until(lambda: self.replica.in_step)
        if limit.cancelled_caught:
            raise RuntimedError("Connection timed out")

    async def confirm(self, timeout: float) -> None:
        """Wait until the daemon has all local edits, and its document as of then is here.

        Raises: RuntimedError "Connection timed out"; ConnectionLost.
        """
        edits = self.replica.version
        with trio.move_on_after(timeout) as limit:
            while True:
                answer = await self.request(requests.GetHeads(), timeout)
                if not isinstance(answer, responses.Heads):
                    raise RuntimedError("Protocol error: the daemon does not say what it holds")
                await self.wait_until(lambda: self.replica.in_step)
                if self.replica.daemon_has(edits):
                    return
                # Something was left out of a sync message; the daemon is about to ask for it.
                with trio.move_on_after(_ASK_AGAIN):
                    await self._synced.park()
        if limit.cancelled_caught:
            raise RuntimedError("Connection timed out")

    # The two tasks

    async def _read(self) -> None:
        try:
            while self._take_in_events():
                self._connection.receive_data(await self._stream.receive_some(_CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except RemoteProtocolError as error:
            log.warning("the daemon broke the protocol error=%r", str(error))
        except Exception:
            log.exception("connection to the daemon failed")

    def _take_in_events(self) -> bool:
        """Handle all that has arrived. False when nothing more will."""
        synced = False
        open_ = True
        while (event := self._connection.next_event()) is not NEED_DATA:
            if isinstance(event, events.SyncMessage):
                self.announcer.touched(self.replica.receive(event.data).cells)
                self._tell_moved()
                synced = True
            elif isinstance(event, events.Broadcast):
                self._hear(event.broadcast)
            elif isinstance(event, events.Response):
                if isinstance(event.response, responses.Heads):
                    # Here and not where it is waited for: the next event may begin an epoch.
                    self.replica.announced(event.response.heads)
                    self._tell_moved()
                self._answer(event.response, event.id)
            elif isinstance(event, events.PresenceMessage):
                self.peers.receive(event.data)
            elif isinstance(event, events.Closed):
                open_ = False
                break
        if synced:
            self._synced.unpark_all()
            self._unacknowledged = True
            if self.replica.confirmed:
                # Neither side misses anything: what was received can be acknowledged along with
                # whatever is sent next, which spares the daemon a message for each run of a cell.
                self._patience.deadline = min(
                    self._patience.deadline, trio.current_time() + _ACK_DELAY
                )
            else:
                self.edited()
        return open_

    def _hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if isinstance(broadcast, broadcasts.Epoch):
            self.replica.follow(broadcast.epoch, broadcast.heads)
            self._first.append(self._encode(requests.FollowEpoch(broadcast.epoch)))
            self.edited()
            return
        if isinstance(broadcast, broadcasts.Output) and broadcast.manifest is not None:
            self.outputs.remember(broadcast.output_json, broadcast.manifest)
        for listener in tuple(self._listeners):
            listener.hear(broadcast)

    def _tell_moved(self) -> None:
        """Tell the daemon once that an epoch has been followed with all edits."""
        moved = self.replica.take_moved()
        if moved is not None:
            # Behind the requests that name heads of the epoch before.
            self._outbox.append(self._encode(requests.EditsMoved(moved.epoch, moved.heads)))
            self._synced.unpark_all()
            self.edited()

    def _encode(self, request: requests.NotebookRequest) -> bytes:
        """A request whose answer nobody waits for."""
        return self._connection.send(events.Request(request, next(self._ids)))

    def _answer(self, response: responses.NotebookResponse, number: int | str | None) -> None:
        if number is None:
            if isinstance(response, responses.Error) and (self._echoes or not self._pending):
                self._last_words = response.error  # everybody hears it when the connection ends
                return
            # An older daemon answers in order.
            number = next(iter(self._pending), None)
            if number is None:
                return
        else:
            self._echoes = True
        deliver = self._pending.pop(number, None)
        if deliver is not None:
            deliver(response)

    async def _write(self) -> None:
        try:
            while True:
                with self._patience:
                    await self._something_to_send.wait()
                self._patience = trio.CancelScope()
                self._something_to_send = trio.Event()
                if data := self._take_outgoing():
                    sent = write_at_once(self._stream, data)
                    if sent < len(data):
                        await self._stream.send_all(memoryview(data)[sent:])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the reader finds out why
        except Exception:
            log.exception("sending to the daemon failed")
            self._scope.cancel()

    def _take_outgoing(self) -> bytes:
        pieces, self._first = self._first, []
        if self._edited or self._unacknowledged:
            self._edited = self._unacknowledged = False
            if (message := self.replica.outgoing()) is not None:
                pieces.append(self._connection.send(events.SyncMessage(message)))
        for body in self.announcer.take():
            pieces.append(self._connection.send(events.PresenceMessage(body)))
        pieces += self._outbox
        self._outbox.clear()
        return b"".join(pieces)

    # The end

    def error(self) -> RuntimedError:
        """Why it is not alive."""
        if self._closing:
            return RuntimedError("Not connected")
        return ConnectionLost(self._last_words) if self._last_words else ConnectionLost()

    def _end(self) -> None:
        self.alive = False
        pending, self._pending = self._pending, {}
        for deliver in pending.values():
            deliver(self.error())
        listeners, self._listeners = self._listeners, {}
        for listener in listeners:
            listener.end(self.error())
        self._synced.unpark_all()

    def _drop_in_child(self) -> None:
        self.alive = False


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _drop_links_after_fork() -> None:
    """A forked child shares the parent's sockets but must never write to them."""
    for link in _links:
        link._drop_in_child()


os.register_at_fork(after_in_child=_drop_links_after_fork)
