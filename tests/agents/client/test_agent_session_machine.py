"""Whatever happens to the calls of a session, each gets its own answer. Section 9.4."""

from __future__ import annotations

import trio
import trio.testing
from agent_peers import MemoryTransport, Message, Peer, error, options, said, upload
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_runtimes import Reference0151, answer_at_once

from runtimed.agents import (
    AgentCallTimedOut,
    AgentRuntimeError,
    CancelledException,
    RuntimeUseClient,
    RuntimeUseSession,
    TextResult,
)

#: What a call may meet: an answer, an error, an error with a second end behind it, work that takes
#: longer than its caller waits, and callers that stop in each of the ways there are.
KINDS = ("good", "bad", "twice", "timeout", "cancel", "abort", "callback")


async def work(request: Message, peer: Peer) -> Message:
    if request["message_type"] != "invocation_message":
        return await answer_at_once(request, peer)
    kind, seconds, _ = request["user_prompt"].split()
    await peer.send(said(f"about {kind}"))
    if kind == "bad":
        return error("bad")
    if kind == "twice":
        await peer.send(error("bad"))
    if kind != "good":
        await trio.sleep(float(seconds))
    await peer.send(upload("/out/a"))
    return await answer_at_once(request, peer)


class Mistake(Exception):
    pass


def fail(message: object) -> None:
    raise Mistake


async def call(session: RuntimeUseSession, prompt: str) -> None:
    """Make a call, which ends as its kind allows or with the answer that is its own."""
    kind = prompt.split()[0]
    told = options(
        timeout=1 if kind == "timeout" else None,
        on_assistant_message=fail if kind == "callback" else None,
    )
    try:
        with trio.move_on_after(1 if kind == "cancel" else 1000):
            answer = await session.query(prompt, told)
            assert answer.data == TextResult(text=f"answer to {prompt}")
    except tuple(ALLOWED.get(kind, ())) as problem:
        assert kind not in ("bad", "twice") or str(problem) == "bad"  # noqa: PT017


async def abort_later(session: RuntimeUseSession) -> None:
    await trio.sleep(1)
    session.abort()


#: What the calls of a kind may raise.
ALLOWED: dict[str, tuple[type[Exception], ...]] = {
    "bad": (AgentRuntimeError,),
    "twice": (AgentRuntimeError,),
    "timeout": (AgentCallTimedOut,),
    "abort": (CancelledException,),
    "callback": (Mistake,),
}


@settings(max_examples=60)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from((0.0, 0.5, 1.0, 2.0, 7.0))), max_size=12
    ),
    deaf=st.booleans(),
)
def test_each_call_of_a_session_gets_its_own_answer(
    calls: list[tuple[str, float]], deaf: bool
) -> None:
    async def main() -> None:
        transport = MemoryTransport(Reference0151(work, deaf=deaf))
        async with RuntimeUseClient(transport=transport).session() as session:
            for number, (kind, seconds) in enumerate(calls):
                async with trio.open_nursery() as nursery:
                    if kind == "abort":
                        nursery.start_soon(abort_later, session)
                    await call(session, f"{kind} {seconds} {number}")
                    nursery.cancel_scope.cancel()
            await call(session, "good 0 last")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
