from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from runtimed.messages.buffers import put_buffers, take_buffers
from runtimed.messages.comms import Comms


def opened(comm_id: str, state: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    content = {"comm_id": comm_id, "target_name": "jupyter.widget"}
    return {**content, "data": {"state": state or {}, "buffer_paths": [], **data}}


def updated(comm_id: str, state: dict[str, Any], method: str = "update") -> dict[str, Any]:
    return {"comm_id": comm_id, "data": {"method": method, "state": state, "buffer_paths": []}}


def output_widget(comms: Comms, comm_id: str = "out", **state: Any) -> None:
    state = {"_model_name": "OutputModel", "msg_id": "", "outputs": [], **state}
    comms.apply("comm_open", opened(comm_id, state))


def newcomer(comms: Comms) -> Comms:
    """Somebody who joins now."""
    other = Comms()
    other.restore(comms.snapshots())
    return other


def say(comms: Comms, parent_id: str, msg_type: str, **content: Any) -> list[dict[str, Any]]:
    """The kernel puts something out; what is told of it, nothing if no widget captures it."""
    comm_id = comms.captured_by(parent_id, msg_type)
    return [] if comm_id is None else comms.capture(comm_id, msg_type, content)


# State


def test_updates_are_merged_key_by_key() -> None:
    comms = Comms()
    comms.apply("comm_open", opened("a", {"value": 1, "max": 10, "style": {"x": 1}}))
    comms.apply("comm_msg", updated("a", {"value": 2, "style": {"y": 2}}))
    (snapshot,) = comms.snapshots()
    assert snapshot.state == {"value": 2, "max": 10, "style": {"y": 2}}


def test_an_echo_counts_as_an_update() -> None:
    comms = Comms()
    comms.apply("comm_open", opened("a", {"value": 1}))
    comms.apply("comm_msg", updated("a", {"value": 7}))  # of a front end
    comms.apply("comm_msg", updated("a", {"value": 5}))  # of the kernel, said before it heard of 7
    comms.apply("comm_msg", updated("a", {"value": 7}, "echo_update"))
    assert comms.states()[0].state == {"value": 7}


def test_snapshots_come_in_the_order_of_creation_and_name_the_model() -> None:
    comms = Comms()
    for name in "bac":
        comms.apply("comm_open", opened(name, {"_model_module": "m", "_model_name": name.upper()}))
    comms.apply("comm_close", {"comm_id": "b"})
    comms.apply("comm_open", opened("b", {}))
    found = [(s.comm_id, s.model_module, s.model_name) for s in comms.snapshots()]
    assert found == [("a", "m", "A"), ("c", "m", "C"), ("b", None, None)]


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("comm_msg", updated("unknown", {"value": 1})),
        ("comm_close", {"comm_id": "unknown"}),
        ("comm_msg", {"comm_id": "a", "data": {"method": "custom", "content": {"x": 1}}}),
        ("comm_msg", {"comm_id": "a", "data": {"method": "request_state"}}),
        ("comm_msg", {"comm_id": "a", "data": {"method": "update", "state": [1]}}),
        ("comm_msg", {"comm_id": "a", "data": "text"}),
        ("comm_msg", {"comm_id": ["a"], "data": {}}),
        ("comm_msg", {"comm_id": "a"}),
        ("comm_info", {"comm_id": "a", "data": {"method": "update", "state": {"value": 9}}}),
        ("comm_msg", {}),
    ],
)
def test_what_says_nothing_about_the_state_of_a_known_comm_changes_nothing(
    msg_type: str, content: dict[str, Any]
) -> None:
    comms = Comms()
    comms.apply("comm_open", opened("a", {"value": 1}))
    comms.apply(msg_type, content)
    assert [(s.comm_id, s.state) for s in comms.states()] == [("a", {"value": 1})]


def test_the_end_of_the_kernel_ends_its_widgets_and_their_capturing() -> None:
    comms = Comms()
    output_widget(comms, msg_id="m")
    comms.clear()
    assert comms.snapshots() == []
    assert comms.captures == {}


# Binary values


def test_binary_values_stand_at_their_places_and_leave_as_buffers() -> None:
    comms = Comms()
    content = opened("a", {"x": {"list": [1, None]}}, buffer_paths=[["data"], ["x", "list", 1]])
    before = copy.deepcopy(content)
    comms.apply("comm_open", content, [b"one", b"two"])
    assert content == before  # it is still to be sent to the peers
    assert comms.states()[0].state == {"data": b"one", "x": {"list": [1, b"two"]}}
    (snapshot,) = comms.snapshots()
    json.dumps(snapshot.state)
    assert put_buffers(snapshot.state, snapshot.buffer_paths, snapshot.buffers) == {
        "data": b"one",
        "x": {"list": [1, b"two"]},
    }


def test_an_update_replaces_a_binary_value_and_what_lay_in_it() -> None:
    comms = Comms()
    comms.apply("comm_open", opened("a", {"x": {}}, buffer_paths=[["x", "b"]]), [b"old"])
    comms.apply("comm_msg", updated("a", {"x": {"c": 1}}))
    (snapshot,) = comms.snapshots()
    assert (snapshot.state, snapshot.buffers) == ({"x": {"c": 1}}, ())


@pytest.mark.parametrize(
    "paths", [[["a", "b"]], [["a", 0, 1]], [["list", 5]], [["list", "0"]], [[]], ["a"], [["a"]] * 2]
)
def test_a_buffer_path_that_leads_nowhere_changes_nothing(paths: Any) -> None:
    comms = Comms()
    comms.apply("comm_open", opened("a", {"value": 1}))
    content = updated("a", {"value": 2, "a": 1, "list": [0]})
    content["data"]["buffer_paths"] = paths
    with pytest.raises(ValueError, match="buffer"):
        comms.apply("comm_msg", content, [b"x"])
    assert comms.states()[0].state == {"value": 1}


def test_state_may_be_nested_as_deeply_as_its_sender_likes() -> None:
    state: dict[str, Any] = {"bottom": b"!"}
    for _ in range(5000):
        state = {"inner": state}
    bare, paths, buffers = take_buffers(state)
    assert len(paths[0]) == 5001
    put_buffers(bare, paths, buffers)


values = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
states = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


# Capturing


def test_captured_outputs_are_told_and_kept() -> None:
    comms = Comms()
    output_widget(comms)
    assert say(comms, "m", "stream", name="stdout", text="cell") == []
    comms.apply("comm_msg", updated("out", {"msg_id": "m"}))
    told = say(comms, "m", "stream", name="stdout", text="a\n")
    output = {"output_type": "stream", "name": "stdout", "text": "a\n"}
    content = {"method": "output", "output": output}
    assert told == [{"comm_id": "out", "data": {"method": "custom", "content": content}}]
    say(comms, "m", "stream", name="stdout", text="b\n")
    say(comms, "m", "display_data", data={"text/plain": "x"}, metadata={}, transient={"id": 1})
    say(comms, "m", "error", ename="E", evalue="v", traceback=["t"])
    assert say(comms, "other", "stream", name="stdout", text="elsewhere") == []
    assert say(comms, "m", "status", execution_state="idle") == []
    comms.apply("comm_msg", updated("out", {"msg_id": ""}))
    assert say(comms, "m", "stream", name="stdout", text="cell again") == []
    assert comms.captured_outputs("out") == [
        {"output_type": "stream", "name": "stdout", "text": "a\nb\n"},
        {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]},
    ]
    assert newcomer(comms).states() == comms.states()


def test_of_several_widgets_the_newest_captures() -> None:
    comms = Comms()
    output_widget(comms, "one")
    output_widget(comms, "two")
    for comm_id in ("one", "two"):
        comms.apply("comm_msg", updated(comm_id, {"msg_id": "m"}))
    assert comms.captured_by("m", "stream") == "two"
    comms.apply("comm_msg", updated("one", {"msg_id": "m"}))  # said again: nothing new
    assert comms.captured_by("m", "stream") == "two"
    comms.apply("comm_close", {"comm_id": "two"})
    assert comms.captured_by("m", "stream") == "one"
    comms.apply("comm_msg", updated("one", {"msg_id": "n"}))
    assert (comms.captured_by("m", "stream"), comms.captured_by("n", "stream")) == (None, "one")


def test_clearing_waits_for_the_next_output_if_asked() -> None:
    comms = Comms()
    output_widget(comms, msg_id="m")
    say(comms, "m", "stream", name="stdout", text="old")
    (told,) = say(comms, "m", "clear_output", wait=True)
    assert told["data"]["content"] == {"method": "clear_output", "wait": True}
    assert comms.captured_outputs("out") != []
    assert len(say(comms, "m", "stream", name="stdout", text="new")) == 1
    assert [o["text"] for o in comms.captured_outputs("out") or ()] == ["new"]
    say(comms, "m", "clear_output", wait=False)
    assert comms.captured_outputs("out") == []


def test_who_joins_before_a_clearing_that_waits_sees_it_too() -> None:
    comms = Comms()
    output_widget(comms, msg_id="m")
    say(comms, "m", "stream", name="stdout", text="old")
    say(comms, "m", "clear_output", wait=True)
    other = newcomer(comms)
    for content in say(comms, "m", "stream", name="stdout", text="new"):
        other.apply("comm_msg", content)
    assert other.captured_outputs("out") == comms.captured_outputs("out")
    assert [o["text"] for o in comms.captured_outputs("out") or ()] == ["new"]


def test_outputs_that_were_given_away_do_not_change_later() -> None:
    comms = Comms()
    output_widget(comms, msg_id="m")
    say(comms, "m", "stream", name="stdout", text="a")
    given = comms.captured_outputs("out")
    say(comms, "m", "stream", name="stdout", text="b")
    assert given == [{"output_type": "stream", "name": "stdout", "text": "a"}]


def test_the_program_may_set_the_outputs_itself() -> None:
    comms = Comms()
    output_widget(comms, msg_id="m")
    say(comms, "m", "stream", name="stdout", text="a")
    comms.apply("comm_msg", updated("out", {"outputs": [{"output_type": "error"}]}))
    assert comms.captured_outputs("out") == [{"output_type": "error"}]


# Everybody agrees


class Agreement(RuleBasedStateMachine):
    """The kernel and two front ends write by turns; the model is a dict of states.

    Mirrors joined at different times and hear every message since; all must agree at any time.
    """

    open_comms = Bundle("open_comms")

    def __init__(self) -> None:
        super().__init__()
        self.daemon = Comms()
        self.mirrors = [Comms()]
        self.model: dict[str, dict[str, Any]] = {}
        self.count = 0

    def everybody(self, msg_type: str, content: dict[str, Any], buffers: list[bytes]) -> None:
        text = json.dumps([msg_type, content])  # what is applied is what can be sent
        for comms in (self.daemon, *self.mirrors):
            heard_type, heard_content = json.loads(text)
            comms.apply(heard_type, heard_content, buffers)

    @rule(target=open_comms, state=states)
    def kernel_opens(self, state: dict[str, Any]) -> str:
        self.count += 1
        comm_id = f"comm-{self.count}"
        bare, paths, buffers = take_buffers(state)
        self.everybody("comm_open", opened(comm_id, bare, buffer_paths=paths), buffers)
        self.model[comm_id] = state
        return comm_id

    @rule(comm_id=open_comms, state=states, method=st.sampled_from(["update", "echo_update"]))
    def somebody_updates(self, comm_id: str, state: dict[str, Any], method: str) -> None:
        bare, paths, buffers = take_buffers(state)
        content = updated(comm_id, bare, method)
        content["data"]["buffer_paths"] = paths
        self.everybody("comm_msg", content, buffers)
        if comm_id in self.model:
            self.model[comm_id].update(state)

    @rule(comm_id=consumes(open_comms))
    def somebody_closes(self, comm_id: str) -> None:
        self.everybody("comm_close", {"comm_id": comm_id}, [])
        self.model.pop(comm_id, None)

    @rule()
    def somebody_joins(self) -> None:
        self.mirrors.append(newcomer(self.daemon))

    @rule()
    def the_kernel_ends(self) -> None:
        for comms in (self.daemon, *self.mirrors):
            comms.clear()
        self.model.clear()

    @invariant()
    def all_agree(self) -> None:
        assert {s.comm_id: s.state for s in self.daemon.states()} == self.model
        assert [s.comm_id for s in self.daemon.states()] == list(self.model)
        for mirror in (*self.mirrors, newcomer(self.daemon)):
            assert mirror.states() == self.daemon.states()


class Capturing(RuleBasedStateMachine):
    """Output widgets that capture, clear and are read; the model is a list of texts for each."""

    def __init__(self) -> None:
        super().__init__()
        self.daemon = Comms()
        self.mirrors = [Comms()]
        self.model: dict[str, tuple[list[str], bool]] = {"x": ([], False), "y": ([], False)}
        self.stack: list[str] = []
        for comms in (self.daemon, *self.mirrors):
            output_widget(comms, "x")
            output_widget(comms, "y")

    def everybody(self, content: dict[str, Any]) -> None:
        for comms in (self.daemon, *self.mirrors):
            comms.apply("comm_msg", content)

    def puts_out(self, msg_type: str, **content: Any) -> None:
        for message in say(self.daemon, "m", msg_type, **content):
            for mirror in self.mirrors:
                mirror.apply("comm_msg", message)

    @rule(widget=st.sampled_from("xy"), on=st.booleans())
    def captures(self, widget: str, on: bool) -> None:
        self.everybody(updated(widget, {"msg_id": "m" if on else ""}))
        if on != (widget in self.stack):
            self.stack.append(widget) if on else self.stack.remove(widget)

    @rule(text=st.sampled_from("abc"), name=st.sampled_from(["stdout", "stderr"]))
    def prints(self, text: str, name: str) -> None:
        self.puts_out("stream", name=name, text=text)
        self.expect(f"{name}:{text}")

    @rule()
    def displays(self) -> None:
        self.puts_out("display_data", data={}, metadata={})
        self.expect("display")

    def expect(self, output: str) -> None:
        if self.stack:
            outputs, clear = self.model[self.stack[-1]]
            self.model[self.stack[-1]] = ([output] if clear else [*outputs, output], False)

    @rule(wait=st.booleans())
    def clears(self, wait: bool) -> None:
        self.puts_out("clear_output", wait=wait)
        if self.stack:
            outputs, _ = self.model[self.stack[-1]]
            self.model[self.stack[-1]] = (outputs if wait else [], wait)

    @rule()
    def somebody_joins(self) -> None:
        self.mirrors.append(newcomer(self.daemon))

    @invariant()
    def all_agree(self) -> None:
        for widget, (expected, _) in self.model.items():
            outputs = self.daemon.captured_outputs(widget) or []
            found = [
                f"{o['name']}:{letter}" if "text" in o else "display"
                for o in outputs
                for letter in o.get("text", "_")
            ]
            assert found == expected
            for mirror in self.mirrors:
                assert mirror.captured_outputs(widget) == outputs


for machine in (Agreement, Capturing):
    machine.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestAgreement = Agreement.TestCase
TestCapturing = Capturing.TestCase
