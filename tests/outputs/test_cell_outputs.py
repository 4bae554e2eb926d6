from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.outputs import cell_outputs
from runtimed.outputs.cell_outputs import CellOutputs, SetOutput, Truncate
from runtimed.outputs.manifest import Manifest, resolve_manifest
from runtimed.outputs.merge import merge_streams

MIB = 1024 * 1024


class StoredList:
    """Applies changes as a document would, and shows what a reader sees."""

    def __init__(self) -> None:
        self.manifests: list[Manifest] = []

    def apply(self, changes: Sequence[SetOutput | Truncate]) -> StoredList:
        for change in changes:
            if isinstance(change, Truncate):
                assert change.length < len(self.manifests)
                del self.manifests[change.length :]
            else:
                assert change.index <= len(self.manifests)
                self.manifests[change.index : change.index + 1] = [change.manifest]
        return self

    @property
    def entries(self) -> list[dict[str, Any]]:
        blobs = {blob.hash: blob.data for each in self.manifests for blob in each.blobs}
        return [
            resolve_manifest(orjson.loads(manifest.json), blobs.__getitem__)
            for manifest in self.manifests
        ]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """(stream name, text) or (output type, plain text) of what a reader sees."""
        return [
            (output["name"], output["text"])
            if output["output_type"] == "stream"
            else (output["output_type"], output.get("data", {}).get("text/plain", ""))
            for output in merge_streams(self.entries)
        ]


def test_consecutive_writes_to_one_stream_are_one_output() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "a\n")
    outputs.stream("stdout", "b\n")
    assert stored.apply(outputs.take_changes()).texts == [("stdout", "a\nb\n")]
    outputs.stream("stdout", "c")
    changes = outputs.take_changes()
    assert [change.index for change in changes if isinstance(change, SetOutput)] == [0]
    assert stored.apply(changes).texts == [("stdout", "a\nb\nc")]
    assert outputs.take_changes() == []
    assert outputs.length == 1


def test_interleaved_streams_show_each_character_once() -> None:
    outputs, stored = CellOutputs(), StoredList()
    for n in range(3):
        outputs.stream("stdout", f"out {n}\n")
        outputs.stream("stderr", f"err {n}\n")
        stored.apply(outputs.take_changes())
    assert stored.texts == [
        (name, f"{word} {n}\n")
        for n in range(3)
        for name, word in (("stdout", "out"), ("stderr", "err"))
    ]


def test_a_display_between_writes_starts_a_new_stream_output() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "50%")
    outputs.display({"text/plain": "picture"}, {})
    outputs.stream("stdout", "\r100%")
    outputs.result({"text/plain": "42"}, {}, 7)
    outputs.error("ValueError", "bad", ["line"])
    assert stored.apply(outputs.take_changes()).texts == [
        ("stdout", "50%"),
        ("display_data", "picture"),
        ("stdout", "100%"),
        ("execute_result", "42"),
        ("error", ""),
    ]
    assert stored.entries[3]["execution_count"] == 7
    assert outputs.has_error


def test_it_says_when_there_is_something_to_take() -> None:
    outputs = CellOutputs()
    assert not outputs.dirty
    outputs.stream("stdout", "")
    assert not outputs.dirty
    outputs.stream("stdout", "abc")
    assert outputs.dirty
    assert outputs.pending_chars == 3
    outputs.take_changes()
    assert not outputs.dirty
    assert outputs.pending_chars == 0


def test_text_that_looks_the_same_is_no_change() -> None:
    outputs = CellOutputs()
    outputs.stream("stdout", "abc")
    outputs.take_changes()
    outputs.stream("stdout", "\rabc")
    assert outputs.take_changes() == []


def test_clearing_empties_the_list() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "a")
    outputs.display({"text/plain": "b"})
    stored.apply(outputs.take_changes())
    outputs.clear(False)
    assert outputs.length == 0
    assert outputs.take_changes() == [Truncate(0)]
    outputs.stream("stdout", "new")
    assert stored.apply([Truncate(0), *outputs.take_changes()]).texts == [("stdout", "new")]


def test_clearing_with_wait_happens_with_the_next_output() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "a")
    outputs.stream("stderr", "b")
    stored.apply(outputs.take_changes())
    outputs.clear(True)
    assert outputs.take_changes() == []
    assert not outputs.dirty
    outputs.stream("stdout", "c")
    changes = outputs.take_changes()
    assert changes[0] == Truncate(1)
    assert stored.apply(changes).texts == [("stdout", "c")]
    outputs.stream("stdout", "d")
    assert stored.apply(outputs.take_changes()).texts == [("stdout", "cd")]


def test_an_animation_replaces_its_output_in_place() -> None:
    outputs, stored = CellOutputs(), StoredList()
    for n in range(3):
        outputs.clear(True)
        outputs.display({"text/plain": str(n)})
        changes = outputs.take_changes()
        assert [type(change) for change in changes] == [SetOutput]
        assert stored.apply(changes).texts == [("display_data", str(n))]


def test_outputs_that_were_cleared_before_anybody_saw_them_leave_no_trace() -> None:
    outputs = CellOutputs()
    outputs.display({"text/plain": "a"})
    outputs.clear(False)
    assert not outputs.dirty
    assert outputs.take_changes() == []


def test_entries_of_an_earlier_run_go_with_the_first_change() -> None:
    outputs = CellOutputs(stale=3)
    assert outputs.dirty
    outputs.stream("stdout", "a")
    first, second = outputs.take_changes()
    assert first == Truncate(1)
    assert isinstance(second, SetOutput)
    assert second.index == 0
    assert CellOutputs(stale=2).take_changes() == [Truncate(0)]


def test_a_list_emptied_by_somebody_else_is_filled_from_its_start() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "a")
    outputs.take_changes()
    outputs.emptied()
    assert outputs.take_changes() == []
    outputs.stream("stdout", "b")
    assert stored.apply(outputs.take_changes()).texts == [("stdout", "b")]


def test_an_update_changes_all_displays_of_its_id() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.display({"text/plain": "1"}, {"a": 1}, "d")
    outputs.display({"text/plain": "2"}, {}, "other")
    outputs.result({"text/plain": "3"}, {}, 4, "d")
    stored.apply(outputs.take_changes())
    assert outputs.update_display("d", {"text/plain": "new"}, {})
    assert not outputs.update_display("unknown", {}, {})
    changes = outputs.take_changes()
    assert [change.index for change in changes if isinstance(change, SetOutput)] == [0, 2]
    stored.apply(changes)
    assert [output["data"]["text/plain"] for output in stored.entries] == ["new", "2", "new"]
    assert stored.entries[0]["transient"] == {"display_id": "d"}
    assert stored.entries[0]["metadata"] == {}
    assert stored.entries[2]["execution_count"] == 4
    assert stored.manifests[0].display_id == "d"


def test_updates_between_two_takes_are_merged() -> None:
    outputs = CellOutputs()
    outputs.display({"text/plain": "0"}, {}, "d")
    for n in range(1000):
        outputs.update_display("d", {"text/plain": str(n)}, {})
    assert len(outputs.take_changes()) == 1


def test_displays_that_were_cleared_are_not_updated() -> None:
    outputs = CellOutputs()
    outputs.display({"text/plain": "0"}, {}, "d")
    outputs.clear(False)
    assert not outputs.update_display("d", {"text/plain": "1"}, {})


def test_a_long_stream_is_sealed_in_segments() -> None:
    outputs, stored = CellOutputs(), StoredList()
    lines = [f"line {n}\n" for n in range(400_000)]
    work = 0
    for start in range(0, len(lines), 4000):
        outputs.stream("stdout", "".join(lines[start : start + 4000]))
        changes = outputs.take_changes()
        work += sum(change.manifest.largest for change in changes if isinstance(change, SetOutput))
        stored.apply(changes)
    whole = "".join(lines)
    assert stored.texts == [("stdout", whole)]
    assert 4 <= outputs.length <= 6
    assert all(output["text"].endswith("\n") for output in stored.entries)
    assert all(len(output["text"]) >= MIB * 0.9 for output in stored.entries[:-1])
    assert work < len(whole) * 20


def test_sealing_leaves_the_lines_a_cursor_can_reach() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "x" * 99 + "\n")
    for _ in range(1100):
        outputs.stream("stdout", ("y" * 99 + "\n") * 10)
    assert outputs.length == 2
    outputs.stream("stdout", "\x1b[50A\rX\x1b[50B\rend")
    text = stored.apply(outputs.take_changes()).texts[0][1]
    assert text.count("\n") == 11001
    assert text.split("\n")[-51] == "X" + "y" * 98


def test_a_huge_write_is_an_entry_of_its_own() -> None:
    outputs, stored = CellOutputs(), StoredList()
    huge = "z" * (3 * MIB)
    outputs.stream("stdout", "before ")
    outputs.stream("stdout", huge)
    stored.apply(outputs.take_changes())
    outputs.stream("stdout", " after\n")
    changes = outputs.take_changes()
    assert len(changes) == 1
    stored.apply(changes)
    assert [output["text"] for output in stored.entries] == ["before ", huge, " after\n"]
    assert stored.texts == [("stdout", "before " + huge + " after\n")]


def test_a_huge_write_that_nobody_took_yet_is_kept() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "z" * (2 * MIB))
    outputs.stream("stdout", "1")
    outputs.stream("stdout", "y" * (2 * MIB))
    outputs.stream("stderr", "2")
    stored.apply(outputs.take_changes())
    assert stored.texts == [("stdout", "z" * 2 * MIB + "1" + "y" * 2 * MIB), ("stderr", "2")]


def test_only_enormous_writes_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_outputs, "_HUGE", 3 * MIB)
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "é" * (4 * MIB))
    stored.apply(outputs.take_changes())
    assert stored.texts == [("stdout", "é" * (4 * MIB))]
    assert outputs.length == 3


def test_an_output_over_the_limit_becomes_a_readable_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cell_outputs, "BLOB_LIMIT", 2 * MIB)
    outputs, stored = CellOutputs(), StoredList()
    outputs.display({"image/png": base64.b64encode(bytes(3 * MIB)).decode()}, {}, "d")
    outputs.stream("stdout", "next")
    assert stored.apply(outputs.take_changes()).texts == [
        ("stderr", "[display_data output left out: 3 MiB are over the limit of 2 MiB]\n"),
        ("stdout", "next"),
    ]
    outputs.update_display("d", {"text/plain": "small"}, {})
    assert stored.apply(outputs.take_changes()).texts[0] == ("display_data", "small")


def test_half_surrogates_break_nothing() -> None:
    outputs, stored = CellOutputs(), StoredList()
    outputs.stream("stdout", "\ud800a\rb")
    outputs.stream("stdout", "\ud800" * (MIB + 1))
    outputs.error("\ud800", "\ud800", ["\ud800"])
    stored.apply(outputs.take_changes())
    assert stored.texts[0][1].startswith("ba\ufffd")


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("stdout"), st.text(alphabet="ab\n\r", min_size=1)),
        st.tuples(st.just("stderr"), st.text(alphabet="xy\n", min_size=1)),
        st.tuples(st.just("display"), st.sampled_from("123")),
        st.tuples(st.just("update"), st.sampled_from("123")),
        st.tuples(st.just("clear"), st.booleans()),
    ),
    max_size=30,
)


def play(events: Sequence[tuple[str, Any]], take: Sequence[bool]) -> StoredList:
    outputs, stored = CellOutputs(), StoredList()
    for number, ((kind, value), now) in enumerate(zip(events, take, strict=True)):
        if kind == "display":
            outputs.display({"text/plain": value}, {}, value)
        elif kind == "update":
            outputs.update_display(value, {"text/plain": f"{value} {number}"})
        elif kind == "clear":
            outputs.clear(value)
        else:
            outputs.stream(kind, value)
        if now:
            stored.apply(outputs.take_changes())
    stored.apply(outputs.take_changes())
    assert len(stored.manifests) == outputs.length
    assert not outputs.dirty
    return stored


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.randoms(use_true_random=False))
def test_it_never_matters_when_changes_are_taken(
    events: list[tuple[str, Any]], rng: random.Random
) -> None:
    never = play(events, [False] * len(events))
    always = play(events, [True] * len(events))
    sometimes = play(events, [rng.random() < 0.3 for _ in events])
    assert never.manifests == always.manifests == sometimes.manifests


def test_outputs_that_only_revise_what_was_taken_are_told_apart_from_new_ones() -> None:
    outputs = CellOutputs(stale=2)
    outputs.clear()
    assert not outputs.only_revised  # an earlier run's outputs have to go
    outputs.stream("stdout", "a")
    assert not outputs.only_revised
    outputs.take_changes()
    outputs.stream("stdout", "b")
    assert outputs.only_revised
    outputs.display({"text/plain": "1"}, display_id="d")
    assert not outputs.only_revised
    outputs.take_changes()
    outputs.update_display("d", {"text/plain": "2"})
    assert outputs.only_revised
    for wait in (True, False):
        outputs.clear(wait)
        outputs.display({"text/plain": "redrawn"})
        assert outputs.only_revised
        outputs.take_changes()
    outputs.display({"text/plain": "second"})  # there were two before
    assert outputs.only_revised
    outputs.display({"text/plain": "third"})
    assert not outputs.only_revised
    outputs.emptied()
    outputs.display({"text/plain": "first again"})
    assert not outputs.only_revised
