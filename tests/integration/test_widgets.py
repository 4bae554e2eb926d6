"""Real widgets of real kernels, seen by several peers: on the bare wire and through sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import trio

from daemon_home import DaemonHome
from runtimed import Session
from runtimed.messages.buffers import take_buffers
from runtimed.messages.comms import Comms, CommState
from runtimed.protocol import broadcasts, events, handshake, requests, responses
from waiting import wait_until
from wire_peer import WirePeer, connect

pytestmark = pytest.mark.real

WIDGETS = """
import ipywidgets as w
slider = w.IntSlider(value=3, description="how much")
seen = []
slider.observe(lambda change: seen.append(change["new"]), "value")
image = w.Image(value=bytes(range(256)), format="png")
progress = w.IntProgress(max=50)
out = w.Output()
box = w.VBox([slider, image, progress, out])
box
"""

CAPTURE = """
from IPython.display import display
with out:
    print("one"); print("two")
    display(w.HTML("<b>three</b>"))
    import sys; print("four", file=sys.stderr)
print("of the cell")
"""


class Widgets:
    """A bare peer that keeps the widgets as it hears of them."""

    def __init__(self, peer: WirePeer) -> None:
        self.peer = peer
        self.comms = Comms()
        self._taken = 0

    def states(self) -> list[CommState]:
        """The widgets after all that was heard."""
        for event in self.peer.heard[self._taken :]:
            said = event.broadcast if isinstance(event, events.Broadcast) else None
            if isinstance(said, broadcasts.Comm):
                self.comms.apply(said.msg_type, said.content, said.buffers)
            elif isinstance(said, broadcasts.CommSync):
                self.comms.restore(said.comms, more=bool(said.continues))
        self._taken = len(self.peer.heard)
        return self.comms.states()

    def model(self, name: str) -> CommState:
        return next(state for state in self.states() if state.model_name == f"{name}Model")

    async def run(self, source: str) -> broadcasts.ExecutionDone:
        cell_id = f"cell-{uuid4()}"
        self.peer.replica.document.insert_cell(cell_id, "code", source)
        await self.peer.sync()
        await self.peer.ask(requests.ExecuteCell(cell_id))
        done = await self.peer.hear_done(cell_id)
        await self.peer.sync()
        return done

    async def move(self, comm_id: str, **state: Any) -> None:
        """Do what a front end does when somebody moves a slider."""
        bare, paths, buffers = take_buffers(state)
        data = {"method": "update", "state": bare, "buffer_paths": paths}
        content = {"comm_id": comm_id, "data": data}
        header = {
            "msg_id": uuid4().hex, "msg_type": "comm_msg", "username": "", "session": "front-end",
            "date": "2026-01-01T00:00:00Z", "version": "5.3",
        }  # fmt: skip
        request = requests.SendComm(
            {"header": header, "content": content, "buffers": [list(b) for b in buffers]}
        )
        assert await self.peer.ask(request) == responses.Ok()
        self.states()
        self.comms.apply("comm_msg", content, buffers)


@asynccontextmanager
async def joined(home: DaemonHome, notebook_id: str) -> AsyncIterator[Widgets]:
    async with connect(home.socket) as peer:
        await peer.join(notebook_id)
        yield Widgets(peer)


async def until(condition: Callable[[], bool], peer: WirePeer) -> None:
    while not condition():
        await peer.ask(requests.GetKernelInfo())
        await trio.sleep(0.01)


async def test_peers_share_the_widgets_of_a_real_kernel(daemon_home: DaemonHome) -> None:
    name = f"widgets-{uuid4()}"
    with trio.fail_after(120):
        async with joined(daemon_home, name) as one, joined(daemon_home, name) as two:
            await one.peer.ask(requests.LaunchKernel("python", "auto"))
            assert (await one.run(WIDGETS)).outcome == "ok"
            await until(lambda: len(one.states()) == len(two.states()) > 5, two.peer)
            assert one.states() == two.states()
            assert two.model("Image").state["value"] == bytes(range(256))

            # A front end moves the slider; the kernel's observers and the other peer see it.
            slider = one.model("IntSlider")
            await one.move(slider.comm_id, value=42)
            await until(lambda: two.model("IntSlider").state["value"] == 42, two.peer)
            assert (await one.run("assert seen == [42], seen")).outcome == "ok"

            # Two of them at once: the kernel's echoes tell both of them how it ended.
            async with trio.open_nursery() as both:
                both.start_soon(lambda: one.move(slider.comm_id, value=7))
                both.start_soon(lambda: two.move(slider.comm_id, value=8))
            assert (await one.run("assert {7, 8} == set(seen[1:]); slider.value")).outcome == "ok"
            await two.peer.ask(requests.GetKernelInfo())
            assert one.model("IntSlider").state == two.model("IntSlider").state
            assert one.model("IntSlider").state["value"] in (7, 8)

            # The program changes what it shows, also what is binary.
            loop = "for n in range(50): progress.value += 1\nimage.value = b'new'"
            assert (await one.run(loop)).outcome == "ok"
            async with joined(daemon_home, name) as late:
                await late.peer.ask(requests.GetKernelInfo())
                await two.peer.ask(requests.GetKernelInfo())
                assert late.states() == two.states() == one.states()
                assert late.model("IntProgress").state["value"] == 50
                assert late.model("Image").state["value"] == b"new"
                kinds = [type(event).__name__ for event in late.peer.heard[:2]]
                assert kinds == ["SyncMessage", "Broadcast"]
            await one.peer.ask(requests.LeaveNotebook(stop_kernel=False))


async def test_what_output_widgets_capture_lasts(daemon_home: DaemonHome) -> None:
    name = f"capture-{uuid4()}"
    with trio.fail_after(120):
        async with joined(daemon_home, name) as one:
            await one.peer.ask(requests.LaunchKernel("python", "auto"))
            await one.run(WIDGETS)
            assert (await one.run(CAPTURE)).outcome == "ok"
            outputs = one.model("Output").state["outputs"]
            assert [output.get("text") for output in outputs] == ["one\ntwo\n", None, "four\n"]
            cells = one.peer.replica.document.cell_ids()
            assert len(one.peer.replica.document.outputs(cells[-1])) == 1
            # The next cell finds it in the program, too.
            kinds = "[o['output_type'] for o in out.outputs]"
            check = f"assert {kinds} == ['stream', 'display_data', 'stream'], out.outputs"
            assert (await one.run(check)).outcome == "ok"
            async with joined(daemon_home, name) as late:
                await late.peer.ask(requests.GetKernelInfo())
                assert late.model("Output").state["outputs"] == outputs

            # Clearing, and an output that replaces.
            clear = "out.clear_output(wait=True)\nwith out: print('new')"
            assert (await one.run(clear)).outcome == "ok"
            outputs = one.model("Output").state["outputs"]
            assert [output["text"] for output in outputs] == ["new\n"]
            assert (await one.run("out.clear_output()")).outcome == "ok"
            assert one.model("Output").state["outputs"] == []
            assert (await one.run("assert out.outputs == (), out.outputs")).outcome == "ok"

            # The newest of nested widgets captures, and callbacks of front ends are captured too.
            nested = """
inner = w.Output()
with out:
    print("outer")
    with inner:
        print("inner")
    print("outer again")
@out.capture()
def moved(change):
    print("moved to", change["new"])
slider.observe(moved, "value")
"""
            assert (await one.run(nested)).outcome == "ok"
            await one.move(one.model("IntSlider").comm_id, value=9)
            await one.run("")
            text = ["outer\nouter again\nmoved to 9\n", "inner\n"]
            found = [
                "".join(output["text"] for output in state.state["outputs"])
                for state in one.states()
                if state.model_name == "OutputModel"
            ]
            assert found == text
            # An error is shown in the widget and yet stops what waits.
            assert (await one.run("with out: 1/0")).outcome == "error"
            assert one.model("Output").state["outputs"][-1]["ename"] == "ZeroDivisionError"
            await one.peer.ask(requests.LeaveNotebook(stop_kernel=True))


def test_sessions_drive_widgets(session_factory: Callable[..., Session]) -> None:
    name = f"driven-{uuid4()}"
    one, two = session_factory(notebook_id=name), session_factory(notebook_id=name)
    assert one.run(WIDGETS).success
    wait_until(lambda: two.get_comms() and two.get_comms() == one.get_comms())
    comms = {comm.model_name: comm for comm in two.get_comms()}
    assert comms["ImageModel"].state["value"] == bytes(range(256))
    two.send_comm(comms["IntSliderModel"].comm_id, {"value": 42})
    two.send_comm(comms["ImageModel"].comm_id, {"value": b"\0png"})
    result = one.run(CAPTURE + "print(seen, slider.value, bytes(image.value))")
    assert result.stdout == "of the cell\n[42] 42 b'\\x00png'\n"
    wait_until(lambda: one.get_comms() == two.get_comms())
    late = session_factory(notebook_id=name)
    wait_until(lambda: late.get_comms() == one.get_comms())
    output = next(c for c in late.get_comms() if c.model_name == "OutputModel")
    assert [o.get("text") for o in output.state["outputs"]] == ["one\ntwo\n", None, "four\n"]
    one.restart_kernel()
    assert one.get_comms() == []
    wait_until(lambda: two.get_comms() == late.get_comms() == [])


async def test_a_stock_peer_that_knows_none_of_this_is_told_nothing_new(
    daemon_home: DaemonHome,
) -> None:
    async with connect(daemon_home.socket) as peer:
        with trio.fail_after(30):
            reply = await peer.open(handshake.NotebookSync(f"stock-{uuid4()}", protocol="v2"))
            assert reply.protocol == "v2"
            await peer.sync()
            await peer.ask(requests.LaunchKernel("python", "auto"))
            await Widgets(peer).run("1")
            names = {
                type(event.broadcast).__name__
                for event in peer.heard
                if isinstance(event, events.Broadcast)
            }
            assert not names & {"Comm", "CommSync", "InputRequest", "InputDone"}
            await peer.ask(requests.LeaveNotebook(stop_kernel=True))


def test_saved_notebooks_hold_the_widgets_as_ipywidgets_would_embed_them(
    session_factory: Callable[..., Session], tmp_path: Path
) -> None:
    session = session_factory()
    assert session.run(WIDGETS).success
    assert session.run(CAPTURE).success
    embedded = session.run(
        "import json; from ipywidgets.embed import dependency_state\n"
        "print(json.dumps(dependency_state(box, drop_defaults=False)))"
    )
    saved = orjson.loads(Path(session.save(tmp_path / "w.ipynb")).read_bytes())
    states = saved["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    expected = orjson.loads(embedded.stdout)
    assert len(expected) > 8
    assert {model_id: states[model_id] for model_id in expected} == expected
    # And what the Output widget shows, which embedding alone does not look for.
    names = [state["model_name"] for m, state in states.items() if m not in expected]
    assert sorted(names) == ["HTMLModel", "HTMLStyleModel", "LayoutModel"]
