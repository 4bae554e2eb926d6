"""The reference runtimes, as far as a client can tell: 0.15.1 and 0.7.0 with their ways.

Source: agent runtime specification, 3, 7 and 8.1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from agent_peers import REQUESTS, Message, Peer, confirm, error, result, results

#: What a runtime does with a request: it may send messages, and gives the end.
Work = Callable[[Message, Peer], Awaitable[Message]]


async def answer_at_once(request: Message, peer: Peer) -> Message:
    """Answer with the prompt, or with a result for each command."""
    await trio.lowlevel.checkpoint()
    if request["message_type"] == "invocation_message":
        return result(f"answer to {request['user_prompt']}")
    return results(*({"command": each["command"], "exit_code": 0} for each in request["commands"]))


class Reference0151:
    """Many requests on a socket; one that comes too early is refused.

    `deaf`: cancelling does not interrupt the work, as it is with handlers there.
    """

    def __init__(self, work: Work = answer_at_once, *, deaf: bool = False) -> None:
        self._work = work
        self._deaf = deaf

    async def __call__(self, peer: Peer) -> None:
        await _Connection0151(self._work, self._deaf).run(peer)


class _Connection0151:
    def __init__(self, work: Work, deaf: bool) -> None:
        self._work = work
        self._deaf = deaf
        self._busy = False
        self._cancelled = False
        self._scope = trio.CancelScope()

    async def run(self, peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            while (message := await peer.receive()) is not None:
                kind = message["message_type"]
                if kind in REQUESTS:
                    if self._busy:
                        await peer.send(error("Received request while another is in flight!"))
                        continue
                    self._busy, self._cancelled = True, False
                    nursery.start_soon(self._run_request, message, peer)
                elif kind == "cancel_message" and self._busy:
                    self._cancelled = True
                    if not self._deaf:
                        self._scope.cancel()
                elif kind == "end_session_message":
                    await peer.send(confirm())
                    await peer.hang_up()
                    break
            nursery.cancel_scope.cancel()

    async def _run_request(self, request: Message, peer: Peer) -> None:
        end = None
        with trio.CancelScope() as self._scope:
            end = await self._work(request, peer)
        self._busy = False
        await peer.send(error("Request cancelled") if self._cancelled or end is None else end)


class Reference07:
    """One request on a socket. The result comes before the post-agent commands, whose errors and
    the uploads come behind it; then the runtime closes. It knows no end of a session."""

    def __init__(
        self, work: Work = answer_at_once, behind: Work | None = None, pause: float = 0.01
    ) -> None:
        self._work = work
        self._behind = behind
        self._pause = pause

    async def __call__(self, peer: Peer) -> None:
        request = await peer.receive()
        if request is None:
            return
        if request["message_type"] != "invocation_message":
            await peer.send(error("Unknown message type"))
            await peer.hang_up()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, peer, nursery.cancel_scope)
            end = await self._work(request, peer)
            await peer.send(end)
            await trio.sleep(self._pause)
            if self._behind is not None:
                last = await self._behind(request, peer)
                if last["message_type"] == "error_message":
                    await peer.send(last)
            nursery.cancel_scope.cancel()
        await peer.hang_up()

    async def _listen(self, peer: Peer, working: trio.CancelScope) -> None:
        while (message := await peer.receive()) is not None:
            if message["message_type"] == "cancel_message":
                break
        working.cancel()
