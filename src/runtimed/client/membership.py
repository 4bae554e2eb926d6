"""A client's place in a notebook's room: joining, leaving, and what is known while it lasts.

The base of AsyncSession: it owns the link, the memory of the kernel and the way requests are made.
What can be done in the room is in its siblings.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any
from uuid import uuid4

import trio

from runtimed.client.arguments import as_optional_text
from runtimed.client.link import Link
from runtimed.client.opening import Hello, open_link
from runtimed.client.portal import on_trio
from runtimed.client.preparing import EnvironmentProgress, OnProgress
from runtimed.client.results import NotebookConnectionInfo
from runtimed.document.notebook import NotebookDocument
from runtimed.document.settings_values import Settings
from runtimed.errors import ConnectionLost, RuntimedError
from runtimed.protocol import broadcasts, handshake, requests, responses

__all__ = ["REQUEST_TIMEOUT", "KernelMemory", "Membership", "unexpected"]

log = logging.getLogger(__name__)

#: Seconds for the daemon to answer an ordinary request.
REQUEST_TIMEOUT = 30.0

#: Seconds that leaving may take: the last edits are delivered and the kernel is stopped.
_LEAVE_TIMEOUT = 20.0

#: What a kernel's status says when there is no kernel any more.
_ENDED = ("shutdown", "error")


class KernelMemory:
    """What this client has learned of the notebook's kernel by asking for it, and who is to hear
    how its environment comes to be.

    Empty until this client has started a kernel or found one running, and again once it hears that
    the kernel has ended, by whomever.
    """

    def __init__(self) -> None:
        self.on_progress: OnProgress | None = None
        self.forget()

    def learn(self, kernel_type: str, env_source: str) -> None:
        self.started = True
        self.kernel_type: str | None = kernel_type
        self.env_source: str | None = env_source

    def forget(self) -> None:
        self.started = False
        self.kernel_type = None
        self.env_source = None

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if isinstance(broadcast, broadcasts.EnvProgress) and self.on_progress is not None:
            try:
                self.on_progress(EnvironmentProgress.of(broadcast))
            except Exception:  # of the user's own making
                log.exception("progress handler failed")
        if _tells_the_end(broadcast):
            self.forget()

    def end(self, error: RuntimedError) -> None:
        self.forget()


def _tells_the_end(broadcast: broadcasts.NotebookBroadcast) -> bool:
    """Whether there is no kernel any more. Its cells are told first, and whoever waits for one."""
    if isinstance(broadcast, broadcasts.KernelStatus):
        return broadcast.status in _ENDED
    if isinstance(broadcast, broadcasts.ExecutionDone):
        return broadcast.outcome == "kernel_died"
    return isinstance(broadcast, broadcasts.KernelError)


class Membership:
    """One client of one notebook."""

    def __init__(self, notebook_id: str | None = None, peer_label: str | None = None) -> None:
        notebook_id = as_optional_text("notebook_id", notebook_id)
        self._notebook_id = f"agent-session-{uuid4()}" if notebook_id is None else notebook_id
        self._peer_label = as_optional_text("peer_label", peer_label)
        self._hello: Hello = handshake.NotebookSync(notebook_id=self._notebook_id, protocol="v2")
        self._link: Link | None = None
        self._kernel = KernelMemory()
        self._info: NotebookConnectionInfo | None = None
        self._settings: Settings | None = None
        self._project: str | None = None
        self._connecting = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self._nursery_manager: Any = None

    @property
    def notebook_id(self) -> str:
        """The notebook's id: the same id is the same notebook."""
        return self._notebook_id

    @property
    def _connected(self) -> bool:
        return self._link is not None and self._link.alive

    # Joining and leaving

    @on_trio
    async def connect(self) -> None:
        """Join the notebook's room. Nothing happens when connected.

        Returns once the local document is in step with the daemon's. Starts a daemon if none runs
        and no socket was named explicitly. After a lost connection it joins again; edits that had
        not reached the daemon are brought along, if it still has the document they were made in.
        Subscriptions have ended, and a kernel has to be asked for anew.
        Raises: RuntimedError if there is no connection to be had.
        """
        await self._connect()

    async def _connect(self) -> Link:
        link = self._link
        if link is not None and link.alive:
            return self._linked()
        async with self._connecting:
            if self._link is not None and self._link.alive:
                return self._link
            shield = self._nursery is not None
            lost = self._link
            link, info = await open_link(
                self._hello, self._peer_label, self._start_link, shield=shield
            )
            if lost is not None:
                self._bring_along(lost, link)
            self._kernel.forget()
            link.listen(self._kernel)
            self._link = link
            self._info = info
            self._settings = link.settings
            await self._joined(link)
            return link

    def _bring_along(self, lost: Link, link: Link) -> None:
        """Save the edits that were under way when the connection was lost."""
        unsent = lost.replica.document.heads
        if link.replica.has(unsent):
            return
        if link.replica.carry_over(lost.replica):
            link.edited()
        else:
            log.warning(
                "edits made before the connection was lost are lost: the daemon has begun a new "
                "document notebook=%s",
                self._notebook_id,
            )

    def _start_link(self, link: Link) -> None:
        self._start(link.run)

    def _start(self, run: Callable[[], Awaitable[None]]) -> None:
        """Start what ends with the link."""
        if self._nursery is not None:
            self._nursery.start_soon(run)
        else:
            trio.lowlevel.spawn_system_task(run)

    async def _joined(self, link: Link) -> None:
        """Say what the room has to know of this client. For siblings to override."""

    @on_trio
    async def close(self) -> None:
        """Leave the room; nothing happens when not connected.

        A kernel that this object started or found running is stopped, unless others are in the
        room. All edits reach the daemon first. The object may `connect` again.
        """
        link, self._link = self._link, None
        if link is None:
            return
        stop_kernel = self._kernel.started
        self._kernel.forget()
        if not link.alive:
            return
        try:
            with trio.move_on_after(_LEAVE_TIMEOUT, shield=True) as limit:
                if not link.replica.confirmed:
                    await link.confirm(_LEAVE_TIMEOUT)
                await link.request(requests.LeaveNotebook(stop_kernel=stop_kernel), _LEAVE_TIMEOUT)
            if limit.cancelled_caught:
                log.warning("left without the daemon's consent notebook=%s", self._notebook_id)
        except ConnectionLost:
            pass
        finally:
            await link.close()

    async def _enter(self) -> None:
        if trio.lowlevel.in_trio_task() and self._nursery is None:
            # Entered by hand, because it lasts from __aenter__ to __aexit__.
            self._nursery_manager = trio.open_nursery()
            self._nursery = await self._nursery_manager.__aenter__()

    async def _exit(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except RuntimedError as problem:
            if error is None:
                raise
            log.warning("leaving failed notebook=%s error=%r", self._notebook_id, str(problem))
        finally:
            manager, self._nursery_manager = self._nursery_manager, None
            if manager is not None:
                self._nursery = None
                # The link is closed, so the nursery is empty and raises nothing. The body's
                # exception isn't shown to it: it would come out wrapped in a group.
                await manager.__aexit__(None, None, None)

    def __del__(self) -> None:
        link = getattr(self, "_link", None)
        if link is not None and link.alive:
            link.abandon()

    # For the siblings

    def _linked(self) -> Link:
        """The link, for methods that need a connection.

        Raises: RuntimedError "Not connected"; ConnectionLost; RuntimeError in a foreign event loop.
        """
        link = self._link
        if link is None:
            raise RuntimedError("Not connected")
        if not link.alive:
            raise link.error()
        if link.token is not trio.lowlevel.current_trio_token():
            raise RuntimeError("this session was connected in another event loop; use it there")
        return link

    async def _reading(self) -> Link:
        """The link, for a look at the local document.

        The loop gets its turn first: a program that looks in a loop must not keep out what it
        waits for.
        """
        self._linked()
        await trio.lowlevel.checkpoint()
        return self._linked()

    async def _editing(self) -> Link:
        """The link, for a change of the local document.

        While an earlier edit waits to be sent the loop gets its turn first: who edits in a loop
        must not keep the edits to himself. A single edit costs no turn.
        """
        link = self._linked()
        if not link.has_unsent_edits:
            return link
        await trio.lowlevel.checkpoint()
        return self._linked()

    @property
    def _document(self) -> NotebookDocument:
        return self._linked().replica.document

    async def _request(
        self, request: requests.NotebookRequest, timeout: float = REQUEST_TIMEOUT
    ) -> responses.NotebookResponse:
        """Make a request the daemon may only see with all local edits applied."""
        link = self._linked()
        if not link.replica.confirmed:
            await link.confirm(timeout)
        return await link.request(request, timeout)

    async def _in_step(self) -> None:
        """Wait until the daemon has our edits and we have its document as it is now."""
        await self._linked().confirm(REQUEST_TIMEOUT)


def unexpected(request: str, response: responses.NotebookResponse) -> RuntimedError:
    """The error for an answer that belongs to another request."""
    return RuntimedError(f"Protocol error: {type(response).__name__} is no answer to {request}")
