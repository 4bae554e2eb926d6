"""Widgets of a room through the daemon's edges; the kernel is pretended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from loopback import FakeKernel, Loopback, open_loopback
from runtimed.messages.comms import Comms
from runtimed.protocol import broadcasts, events, requests, responses
from runtimed.rooms import peer as peer_module
from runtimed.rooms.room import Room
from wire_peer import WirePeer

OPEN = {"comm_id": "w", "target_name": "jupyter.widget", "data": {"state": {"value": 1}}}


def update(state: dict[str, Any], comm_id: str = "w", method: str = "update") -> dict[str, Any]:
    return {"comm_id": comm_id, "data": {"method": method, "state": state}}


def message(msg_type: str, content: Any, **more: Any) -> requests.SendComm:
    return requests.SendComm({"header": {"msg_type": msg_type}, "content": content, **more})


async def start(daemon: Loopback, peer: WirePeer) -> FakeKernel:
    await peer.ask(requests.LaunchKernel("python", "auto"))
    await trio.testing.wait_all_tasks_blocked()
    return daemon.kernels.launched[-1]


async def heard(peer: WirePeer) -> list[Any]:
    """What a peer has been told about widgets since the last time, in order."""
    await peer.ask(requests.GetKernelInfo())
    found = [
        event.broadcast
        for event in peer.heard
        if isinstance(event, events.Broadcast)
        and isinstance(event.broadcast, (broadcasts.Comm, broadcasts.CommSync))
    ]
    peer.heard.clear()
    return found


def rebuilt(messages: list[Any], comms: Comms | None = None) -> Comms:
    """The widgets as somebody knows them who has heard this."""
    comms = comms or Comms()
    for said in messages:
        if isinstance(said, broadcasts.CommSync):
            comms.restore(said.comms, more=bool(said.continues))
        else:
            comms.apply(said.msg_type, said.content, said.buffers)
    return comms


def room_of(daemon: Loopback) -> Room:
    room = daemon.rooms.find("n")
    assert room is not None
    return room


async def test_everybody_hears_the_kernel_in_order_and_a_late_joiner_gets_the_state(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one)
        assert await heard(one) == []
        kernel.say("", "comm_open", OPEN)
        paths = {"buffer_paths": [["data"]]}
        kernel.say("", "comm_msg", {"comm_id": "w", "data": update({})["data"] | paths}, [b"\0!"])
        for value in range(5):
            kernel.say("", "comm_msg", update({"value": value}))
        await trio.testing.wait_all_tasks_blocked()
        said = await heard(one)
        assert [m.content["data"]["state"].get("value") for m in said] == [1, None, 0, 1, 2, 3, 4]
        two = await daemon.join("n")
        first_two = [type(e).__name__ for e in two.heard[:2]]
        assert first_two == ["SyncMessage", "Broadcast"]
        (sync,) = await heard(two)
        assert sync.comms[0].buffer_paths == (["data"],)
        assert rebuilt([sync]).states() == rebuilt(said).states()
        assert rebuilt([sync]).states()[0].state == {"value": 4, "data": b"\0!"}


async def test_what_a_peer_sets_reaches_kernel_state_and_the_other_peers(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one, two = await daemon.join("n"), await daemon.join("n")
        kernel = await start(daemon, one)
        kernel.say("", "comm_open", OPEN)
        await trio.testing.wait_all_tasks_blocked()
        await heard(one), await heard(two)
        content = update({"image": None})
        content["data"]["buffer_paths"] = [["image"]]
        answer = await one.ask(message("comm_msg", content, buffers=[[1, 2]]))
        assert answer == responses.Ok()
        assert kernel.forwarded == [({"msg_type": "comm_msg"}, content, [b"\1\2"])]
        assert await heard(one) == []  # the sender knows
        (relayed,) = await heard(two)
        assert (relayed.msg_type, relayed.content, relayed.buffers) == (
            "comm_msg", content, (b"\1\2",)
        )  # fmt: skip
        three = await daemon.join("n")
        assert rebuilt(await heard(three)).states()[0].state == {"value": 1, "image": b"\1\2"}


async def test_a_custom_message_is_for_the_kernel_alone(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one, two = await daemon.join("n"), await daemon.join("n")
        kernel = await start(daemon, one)
        kernel.say("", "comm_open", OPEN)
        await trio.testing.wait_all_tasks_blocked()
        await heard(two)
        click = {"comm_id": "w", "data": {"method": "custom", "content": {"event": "click"}}}
        control = {"comm_id": "c", "target_name": "jupyter.widget.control", "data": {}}
        for content, kind in ((click, "comm_msg"), (control, "comm_open")):
            assert await one.ask(message(kind, content)) == responses.Ok()
        assert len(kernel.forwarded) == 2
        assert await heard(two) == []
        assert await one.ask(message("comm_close", {"comm_id": "w"})) == responses.Ok()
        assert [said.msg_type for said in await heard(two)] == ["comm_close"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"header": {}},
        {"header": "x", "content": {}},
        {"header": {}, "content": []},
        {"header": {}, "content": {}, "buffers": 10**15},
        {"header": {}, "content": {}, "buffers": [10**15]},
        {"header": {}, "content": {}, "buffers": [[256]]},
        {"header": {}, "content": {}, "buffers": [["x"]]},
        {"header": {"msg_type": "comm_msg"}, "content": {
            "comm_id": "w", "data": {"method": "update", "state": {}, "buffer_paths": [["x"]]}}},
    ],
)  # fmt: skip
async def test_a_broken_comm_message_is_an_error_for_its_sender_alone(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one)
        kernel.say("", "comm_open", OPEN)
        answer = await one.ask(requests.SendComm(broken))
        assert isinstance(answer, responses.Error)
        assert answer.error.startswith("Failed to send comm message: ")
        assert kernel.forwarded == []
        assert rebuilt(await heard(one)).states()[0].state == {"value": 1}


async def test_state_that_json_has_no_way_to_say_hurts_nobody(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one)
        kernel.say("", "comm_open", OPEN)
        kernel.say("", "comm_open", {**OPEN, "comm_id": "deep", "data": {"state": {"x": deep}}})
        kernel.say("", "comm_msg", {"comm_id": "w", "data": {"method": "update", "state": {},
                                                             "buffer_paths": [["a"]]}})  # fmt: skip
        await trio.testing.wait_all_tasks_blocked()
        two = await daemon.join("n")
        assert [s.comm_id for s in rebuilt(await heard(two)).states()] == ["w"]
        assert len(await heard(one)) == 2


async def test_the_end_of_a_kernel_is_the_end_of_its_widgets(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one)
        kernel.say("", "comm_open", OPEN)
        await trio.testing.wait_all_tasks_blocked()
        comms = rebuilt(await heard(one))
        kernel.die()
        await trio.testing.wait_all_tasks_blocked()
        assert rebuilt(await heard(one), comms).states() == []
        two = await daemon.join("n")
        assert await heard(two) == []
        assert isinstance(await two.ask(message("comm_msg", update({}))), responses.NoKernel)


async def test_a_peer_that_falls_behind_gets_the_state_instead_of_what_led_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "COMM_FRAMES", 10)
    async with open_loopback(tmp_path) as daemon:
        slow, quick = await daemon.join("n"), await daemon.join("n")
        kernel = await start(daemon, quick)
        kernel.say("", "comm_open", OPEN)
        await trio.testing.wait_all_tasks_blocked()
        comms = rebuilt(await heard(slow))
        room = room_of(daemon)
        for value in range(1000):  # at once, so that no writer gets its turn
            content = update({"value": value})
            room.broadcast_comm(broadcasts.Comm("comm_msg", content))
            room.runner.widgets.comms.apply("comm_msg", content)
        said = await heard(slow)
        assert len(said) == 1
        assert isinstance(said[0], broadcasts.CommSync)
        assert rebuilt(said, comms).states()[0].state == {"value": 999}
        kernel.say("", "comm_msg", update({"value": 5}))
        await trio.testing.wait_all_tasks_blocked()
        assert [said.content["data"]["state"] for said in await heard(slow)] == [{"value": 5}]


async def test_a_large_state_travels_in_several_messages(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel = await start(daemon, one)
        for number in range(5):
            content = {**OPEN, "comm_id": f"w{number}"}
            content["data"] = {"state": {}, "buffer_paths": [["data"]]}
            kernel.say("", "comm_open", content, [bytes([200 + number]) * 1_000_000])
        await trio.testing.wait_all_tasks_blocked()
        two = await daemon.join("n")
        said = await heard(two)
        assert [message.continues for message in said] == [None, True, True]
        states = rebuilt(said).states()
        assert [state.comm_id for state in states] == [f"w{number}" for number in range(5)]
        assert states[4].state == {"data": bytes([204]) * 1_000_000}


# Output widgets


OUTPUT = {
    "comm_id": "out",
    "target_name": "jupyter.widget",
    "data": {"state": {"_model_name": "OutputModel", "msg_id": "", "outputs": []}},
}


async def capturing(daemon: Loopback, peer: WirePeer) -> tuple[FakeKernel, str]:
    """A kernel with a cell that runs, whose outputs a widget captures."""
    kernel = await start(daemon, peer)
    peer.replica.document.insert_cell("c", "code", "wait")
    await peer.sync()
    await peer.ask(requests.ExecuteCell("c"))
    await trio.testing.wait_all_tasks_blocked()
    msg_id = f"{kernel.kernel_id}-1"
    kernel.say(msg_id, "comm_open", OUTPUT)
    kernel.say(msg_id, "comm_msg", update({"msg_id": msg_id}, "out"))
    return kernel, msg_id


def texts(outputs: list[dict[str, Any]]) -> list[str]:
    return [output.get("text", output["output_type"]) for output in outputs]


async def test_captured_output_is_told_kept_and_given_to_the_program_but_not_to_the_cell(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel, msg_id = await capturing(daemon, one)
        for text in ("a", "b"):
            kernel.print_more(text)
        kernel.say(msg_id, "display_data", {"data": {"text/plain": "x"}, "metadata": {}})
        kernel.say(msg_id, "comm_msg", update({"msg_id": ""}, "out"))
        kernel.print_more("of the cell")
        kernel.finish()
        await one.hear_done("c")
        await one.sync()
        assert len(one.replica.document.outputs("c")) == 1
        said = [
            event.broadcast
            for event in one.heard
            if isinstance(event, events.Broadcast) and isinstance(event.broadcast, broadcasts.Comm)
        ]
        customs = [m.content["data"]["content"] for m in said if "content" in m.content["data"]]
        assert [custom["method"] for custom in customs] == ["output"] * 3
        two = await daemon.join("n")
        late = rebuilt(await heard(two))
        assert texts(late.captured_outputs("out") or []) == ["ab", "display_data"]
        assert rebuilt(said).states() == late.states()
        # The kernel is told of the first at once, and of the rest when it has handled that.
        assert [texts(sent["data"]["state"]["outputs"]) for sent in kernel.sent] == [["a"]]
        kernel.handle_sent()
        await trio.testing.wait_all_tasks_blocked()
        assert texts(kernel.sent[-1]["data"]["state"]["outputs"]) == ["ab", "display_data"]
        kernel.handle_sent()
        await trio.testing.wait_all_tasks_blocked()
        assert len(kernel.sent) == 2
        assert await heard(two) == []  # the echo of what everybody has seen


async def test_the_next_cell_finds_what_was_captured_before_it(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel, _ = await capturing(daemon, one)
        for text in ("a", "b"):
            kernel.print_more(text)
        one.replica.document.insert_cell("d", "code", "nothing")
        await one.sync()
        await one.ask(requests.ExecuteCell("d"))
        assert len(kernel.sent) == 1
        sent_before = []
        execute = kernel.execute

        def executed(code: str, **options: Any) -> str:
            sent_before.extend(texts(kernel.sent[-1]["data"]["state"]["outputs"]))
            return execute(code, **options)

        kernel.execute = executed  # type: ignore[method-assign]
        kernel.finish()
        await one.hear_done("d")
        assert sent_before == ["ab"]


async def test_what_the_program_sets_meanwhile_outlives_what_it_is_sent(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel, msg_id = await capturing(daemon, one)
        kernel.print_more("a")
        await trio.testing.wait_all_tasks_blocked()
        kernel.say(msg_id, "comm_msg", update({"outputs": []}, "out"))
        kernel.finish()
        kernel.handle_sent()
        await trio.testing.wait_all_tasks_blocked()
        assert kernel.sent[-1]["data"]["state"]["outputs"] == []
        assert rebuilt(await heard(one)).captured_outputs("out") == []


async def test_a_captured_error_stops_the_cells_behind_it(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one = await daemon.join("n")
        kernel, msg_id = await capturing(daemon, one)
        one.replica.document.insert_cell("d", "code", "print never")
        await one.sync()
        await one.ask(requests.ExecuteCell("d"))
        kernel.say(msg_id, "error", {"ename": "E", "evalue": "", "traceback": []})
        kernel.finish()
        assert (await one.hear_done("c")).outcome == "error"
        assert (await one.hear_done("d")).outcome == "aborted"
        await one.sync()
        assert one.replica.document.outputs("c") == []
