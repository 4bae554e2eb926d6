from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.daemon.log import RoomFormatter
from runtimed.daemon.log_records import (
    DATE_FORMAT,
    LINE_FORMAT,
    Record,
    Wanted,
    field_text,
    fields_of,
    head_of,
    records_of,
)
from runtimed.rooms.context import current_room

_LINE = "2026-03-15 12:00:01 [WARNING] runtimed.rooms.room: document not saved error=disk full"
_TIME = datetime(2026, 3, 15, 12, 0, 1)


def test_a_line_is_taken_apart() -> None:
    head = head_of(_LINE + "\n")
    assert head == Record(
        _TIME, "WARNING", "runtimed.rooms.room", "document not saved error=disk full"
    )
    assert head.fields == {"error": "disk full"}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        "2026-13-45 12:00:01 [INFO] runtimed: no date",
        "2026-03-15 12:00:01 [LOUD] runtimed: no level",
        "  2026-03-15 12:00:01 [INFO] runtimed: indented",
    ],
)
def test_other_lines_begin_no_record(line: str) -> None:
    assert head_of(line) is None


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("room closed", {}),
        ("kernel ended kernel=k1 reason=it was killed by a signal", None),
        ('saved path="/home/a b/ü.ipynb" cells=3', {"path": "/home/a b/ü.ipynb", "cells": "3"}),
        ("twice a=1 a=2", {"a": "1"}),
        ("an equals sign in a value url=x?a=b error=", {"url": "x?a=b", "error": ""}),
        ('broken q="no end', {"q": '"no end'}),
    ],
)
def test_facts_are_found_by_their_keys(message: str, fields: dict[str, str] | None) -> None:
    if fields is None:
        fields = {"kernel": "k1", "reason": "it was killed by a signal"}
    assert fields_of(message) == fields


@given(st.text())
def test_any_value_that_was_written_as_a_field_is_read_back(value: str) -> None:
    line = f"event a={field_text(value)} b=1"
    assert "\n" not in line
    assert fields_of(line) == {"a": value, "b": "1"}


@given(st.lists(st.sampled_from([_LINE, "  detail", "", "2026-03-15 12:00:02 [INFO] a: b"])))
def test_no_line_is_lost_among_records(lines: list[str]) -> None:
    count = 0
    for record in records_of(lines):
        count += 1 + (record.detail.count("\n") + 1 if record.detail else 0)
    blank = sum(1 for line in lines if not line)
    assert len(lines) - blank <= count <= len(lines)


def test_what_follows_a_record_is_its_detail() -> None:
    (first, stray_free) = records_of([_LINE, "Traceback", "  File x", _LINE])
    assert first.detail == "Traceback\n  File x"
    assert first.as_json()["detail"] == "Traceback\n  File x"
    assert "detail" not in stray_free.as_json()
    (stray,) = records_of(["who knows"])
    assert stray.as_json() == {
        "time": None,
        "level": None,
        "logger": None,
        "message": "who knows",
        "fields": {},
    }


def _record(message: str, level: str = "INFO") -> Record:
    return Record(_TIME, level, "runtimed", message)


def test_a_level_is_wanted_with_the_graver_ones() -> None:
    wanted = Wanted(level=30)
    levels = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "PANIC"]
    assert [level for level in levels if wanted.wants(_record("", level))] == levels[2:]


@pytest.mark.parametrize(
    ("message", "names_it"),
    [
        ("room closed room=/n/a.ipynb", True),
        ('room closed room="/n/a.ipynb"', True),
        ("file merged path=/n/a.ipynb cells=2", True),
        ("the notebook /n/a.ipynb, of which", True),
        ("room closed room=/n/a.ipynb.ipynb", False),
        ("the end is /n/a.ipynb.", True),
        ("room closed room=/m/n/a.ipynb", False),
        ("room closed room=/n/a.ipynb-2", False),
    ],
)
def test_a_room_is_found_by_its_whole_name(message: str, names_it: bool) -> None:
    assert Wanted(rooms=["/n/a.ipynb"]).wants(_record(message)) is names_it


def test_a_room_is_found_by_the_beginning_of_its_id_or_the_name_of_its_file() -> None:
    assert Wanted(rooms=["0b2f"]).wants(_record("room closed room=0b2f6d1e-6a53"))
    assert not Wanted(rooms=["0b2"]).wants(_record("room closed room=0b2f6d1e-6a53"))
    assert not Wanted(rooms=["0b2f"]).wants(_record("kernel ended kernel=0b2f6d1e"))
    assert Wanted(rooms=["a b.ipynb"]).wants(_record('room closed room="/n/a b.ipynb"'))
    assert not Wanted(rooms=["b.ipynb"]).wants(_record('room closed room="/n/a b.ipynb"'))


def test_older_records_end_the_search_only_when_the_clock_cannot_have_been_turned_back() -> None:
    wanted = Wanted(since=_TIME + timedelta(minutes=30))
    assert not wanted.wants(_record(""))
    assert not wanted.ends_before(_record(""))
    assert Wanted(since=_TIME + timedelta(hours=2)).ends_before(_record(""))


@pytest.mark.parametrize("room", [None, "abc", "/home/a b/ü.ipynb"])
def test_a_record_carries_the_room_it_was_made_in(room: str | None) -> None:
    def fail() -> Any:
        raise ValueError("of two\nlines")

    token = current_room.set(room)
    try:
        try:
            fail()
        except ValueError as error:
            made = logging.makeLogRecord(
                {
                    "name": "runtimed.x",
                    "levelname": "ERROR",
                    "msg": "it broke error=%s",
                    "args": (error,),
                    "exc_info": (type(error), error, error.__traceback__),
                }
            )
        text = RoomFormatter(LINE_FORMAT, DATE_FORMAT).format(made)
    finally:
        current_room.reset(token)
    (record,) = records_of(text.splitlines())
    assert record.fields == {"error": "of two"} | ({"room": room} if room else {})
    assert record.detail.startswith("lines\nTraceback")
