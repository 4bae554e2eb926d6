"""Input for running cells through the daemon's edges; the kernel is pretended."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from loopback import FakeKernel, Loopback, open_loopback
from runtimed.messages.inputs import END_OF_INPUT
from runtimed.protocol import MAX_FRAME, broadcasts, events, requests, responses
from wire_peer import WirePeer


async def start(daemon: Loopback, peer: WirePeer, *sources: str) -> FakeKernel:
    """A kernel, and cells c0, c1 and so on."""
    await peer.ask(requests.LaunchKernel("python", "auto"))
    for number, source in enumerate(sources):
        peer.replica.document.insert_cell(f"c{number}", "code", source)
    await peer.sync()
    return daemon.kernels.launched[-1]


async def asked(peer: WirePeer) -> list[str]:
    """What a peer has been asked, and the ends of questions, since the last time."""
    await trio.testing.wait_all_tasks_blocked()
    await peer.ask(requests.GetKernelInfo())
    found = []
    for event in peer.heard:
        said = event.broadcast if isinstance(event, events.Broadcast) else None
        if isinstance(said, broadcasts.InputRequest):
            found.append(f"{said.request_id} {said.cell_id} {said.prompt}")
        elif isinstance(said, broadcasts.InputDone):
            found.append(f"{said.request_id} done")
    peer.heard.clear()
    return found


async def test_only_who_can_answer_is_asked_and_the_first_answer_goes_to_the_cell(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon:
        one, two, mute = [await daemon.join("n") for _ in range(3)]
        kernel = await start(daemon, one, "ask name?")
        for peer in (one, two):
            assert await peer.ask(requests.SetStdin(True)) == responses.Ok()
        await one.ask(requests.ExecuteCell("c0"))
        assert await asked(one) == await asked(two) == ["input-1 c0 name?"]
        late = await daemon.join("n")
        await late.ask(requests.SetStdin(True))
        assert await asked(late) == ["input-1 c0 name?"]
        assert await two.ask(requests.AnswerInput("input-1", "Ada")) == responses.Ok()
        answer = await one.ask(requests.AnswerInput("input-1", "Bob"))
        assert isinstance(answer, responses.Error)
        assert "given already" in answer.error
        assert kernel.inputs == ["Ada"]
        for peer in (one, two, late):
            assert await asked(peer) == ["input-1 done"]
        assert await asked(mute) == []


async def test_a_cell_that_starts_with_nobody_to_ask_is_told_so(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        await start(daemon, one, "ask name?")
        await one.ask(requests.SetStdin(True))
        await one.ask(requests.SetStdin(False))
        await one.ask(requests.ExecuteCell("c0"))
        assert (await one.hear_done("c0")).outcome == "error"
        assert await asked(one) == []


async def test_input_ends_when_the_last_who_could_answer_leaves(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one, two = await daemon.join("n"), await daemon.join("n")
        kernel = await start(daemon, one, "ask name?", "wait")
        await two.ask(requests.SetStdin(True))
        await one.ask(requests.ExecuteCell("c0"))
        assert await asked(two) == ["input-1 c0 name?"]
        await two.stream.aclose()
        await one.hear_done("c0")
        assert kernel.inputs == [END_OF_INPUT]
        # One that could answer when a cell started may be gone when that asks.
        await one.ask(requests.SetStdin(True))
        await one.ask(requests.ExecuteCell("c1"))
        await trio.testing.wait_all_tasks_blocked()
        await one.ask(requests.SetStdin(False))
        kernel.ask("still there?")
        await one.hear_done("c1")
        assert kernel.inputs == [END_OF_INPUT] * 2


async def test_an_interrupt_or_the_end_of_the_kernel_voids_the_question(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one, "ask 1", "ask 2")
        await one.ask(requests.SetStdin(True))
        await one.ask(requests.ExecuteCell("c0"))
        assert await asked(one) == ["input-1 c0 1"]
        await one.ask(requests.InterruptExecution())
        assert await asked(one) == ["input-1 done"]
        await one.ask(requests.ExecuteCell("c1"))
        assert await asked(one) == ["input-2 c1 2"]
        kernel.die()
        assert await asked(one) == ["input-2 done"]
        assert isinstance(await one.ask(requests.AnswerInput("input-2", "")), responses.Error)


async def test_a_question_in_the_name_of_no_cell_gets_the_end_of_input(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one)
        await one.ask(requests.SetStdin(True))
        kernel._busy = "unknown"
        kernel.ask("who?")
        assert await asked(one) == []
        assert kernel.inputs == [END_OF_INPUT]


async def test_a_prompt_with_half_a_character_is_asked(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one, "wait")
        await one.ask(requests.SetStdin(True))
        await one.ask(requests.ExecuteCell("c0"))
        await trio.testing.wait_all_tasks_blocked()
        kernel.ask("name\ud800?")
        assert await asked(one) == ["input-1 c0 name\ufffd?"]


async def test_a_prompt_too_large_for_a_frame_ends_nothing_but_its_question(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one, "wait", "print more")
        await one.ask(requests.SetStdin(True))
        await one.ask(requests.ExecuteCell("c0"))
        await trio.testing.wait_all_tasks_blocked()
        kernel.ask("x" * MAX_FRAME)
        assert await asked(one) == []
        await one.ask(requests.InterruptExecution())
        await one.ask(requests.ExecuteCell("c1"))
        assert (await one.hear_done("c1")).outcome == "ok"
