from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from in_process import Runt
from runt_cli.log_view import JsonPrinter, TextPrinter, parse_since
from runtimed.daemon.log_records import DATE_FORMAT, Wanted

_OLD = """\
2026-03-14 09:00:00 [INFO] runtimed.daemon.run: daemon ready pid=11
2026-03-14 09:00:01 [ERROR] runtimed.rooms.rooms: room failed reason=boom room=/n/a.ipynb
Traceback (most recent call last):
ValueError: boom
"""
_NEW = """\
2026-03-15 10:00:00 [DEBUG] runtimed.kernels.kernel: looked
2026-03-15 10:00:01 [INFO] runtimed.rooms.rooms: room opened room=b-id
2026-03-15 10:00:02 [WARNING] runtimed.rooms.room: document not saved error=disk full room=b-id
"""


@pytest.fixture
def runt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runt:
    runt = Runt(tmp_path, monkeypatch)
    runt.paths.base.mkdir(parents=True)
    runt.paths.log.write_text(_NEW)
    runt.paths.log.with_name("runtimed.log.1").write_text(_OLD)
    return runt


def _lines(text: str, *numbers: int) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[number] for number in numbers)


def test_the_last_lines_reach_into_rotated_files(runt: Runt) -> None:
    assert runt("logs").output == _OLD + _NEW
    assert runt("logs", "-n", "4").output == _lines(_OLD, 3) + _NEW
    assert runt("daemon", "logs", "-n", "2").output == _lines(_NEW, 1, 2)
    assert runt("logs", "--tail", "2").output == _lines(_NEW, 1, 2)
    assert runt("logs", "-n", "0").output == ""
    for wrong in ("x", "-3"):
        done = runt("logs", "-n", wrong)
        assert (done.exit_code, f"{wrong!r} is no number of lines." in done.stderr) == (2, True)


def test_a_level_brings_what_follows_its_records(runt: Runt) -> None:
    assert runt("logs", "--level", "warning").output == _lines(_OLD, 1, 2, 3) + _lines(_NEW, 2)
    assert runt("logs", "--level", "WARN").output == runt("logs", "--level", "warning").output
    assert runt("logs", "--level", "ERROR").output == _lines(_OLD, 1, 2, 3)
    assert runt("logs", "--level", "error", "-n", "1").output == _lines(_OLD, 3)


def test_a_notebook_is_meant_by_id_or_path(runt: Runt, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runt("logs", "--notebook", "b-id").output == _lines(_NEW, 1, 2)
    assert runt("logs", "--notebook", "/n/../n/a.ipynb").output == _lines(_OLD, 1, 2, 3)
    assert runt("logs", "--notebook", "a.ipynb").output == _lines(_OLD, 1, 2, 3)
    for notebook in ("b", "/n/other.ipynb"):
        done = runt("logs", "--notebook", notebook)
        told = f"No line about {notebook} in the log\n"
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", told)
    done = runt("logs", "--notebook", "b-id", "--level", "error")
    assert (done.exit_code, done.stderr) == (1, "No such line about b-id in the log\n")
    folder = runt.home / "n ü"
    folder.mkdir()
    line = f'2026-03-15 10:00:03 [INFO] runtimed.rooms.rooms: room opened room="{folder}/c.ipynb"\n'
    with runt.paths.log.open("a") as log:
        log.write(line)
    monkeypatch.chdir(folder)
    assert runt("logs", "--notebook", "c.ipynb").output == line
    (runt.home / "link").symlink_to(folder)
    assert runt("logs", "--notebook", f"{runt.home}/link/c.ipynb").output == line


def test_since_shows_all_that_is_newer(runt: Runt) -> None:
    assert runt("logs", "--since", "2026-03-15 10:00:01").output == _lines(_NEW, 1, 2)
    assert runt("logs", "--since", "2026-03-14").output == _OLD + _NEW
    assert runt("logs", "--since", "2026-03-14", "-n", "1").output == _lines(_NEW, 2)
    soon = (datetime.now() - timedelta(minutes=5)).strftime(DATE_FORMAT)
    with runt.paths.log.open("a") as log:
        log.write(f"{soon} [INFO] runtimed: new\n")
    assert runt("logs", "--since", "10m").output == f"{soon} [INFO] runtimed: new\n"
    assert runt("logs", "--since", "1m").output == ""


def test_json_has_one_object_a_record(runt: Runt) -> None:
    done = runt("logs", "--json", "-n", "2", "--level", "warning")
    first, second = map(json.loads, done.output.splitlines())
    assert first["level"] == "ERROR"
    assert first["logger"] == "runtimed.rooms.rooms"
    assert first["message"] == "room failed reason=boom room=/n/a.ipynb"
    assert first["fields"] == {"reason": "boom", "room": "/n/a.ipynb"}
    assert first["detail"] == "Traceback (most recent call last):\nValueError: boom"
    assert datetime.fromisoformat(first["time"]) == datetime(2026, 3, 14, 9, 0, 1).astimezone()
    assert sorted(second) == ["fields", "level", "logger", "message", "time"]


def test_a_missing_log_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runt = Runt(tmp_path, monkeypatch)
    for command in (["logs"], ["daemon", "logs", "-f"]):
        done = runt(*command)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == f"Log file not found: {runt.paths.log}\n"


@pytest.mark.parametrize("since", ["tomorrow", "10", "", "m", "25:00", "2026-99-01"])
def test_a_time_that_is_none_is_a_usage_error(runt: Runt, since: str) -> None:
    done = runt("logs", "--since", since)
    assert done.exit_code == 2
    assert "use 10m, 14:30, yesterday or 2026-03-15 14:30" in done.stderr


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 3, 15, 11, 58, 30)),
        ("1h30m", datetime(2026, 3, 15, 10, 30)),
        ("2d", datetime(2026, 3, 13, 12)),
        ("9:05", datetime(2026, 3, 15, 9, 5)),
        ("14:30", datetime(2026, 3, 15, 14, 30)),
        ("2026-03-01", datetime(2026, 3, 1)),
        ("2026-03-01T10:00", datetime(2026, 3, 1, 10)),
        ("999999999w", datetime.min),
        ("yesterday", datetime(2026, 3, 14)),
        ("Today", datetime(2026, 3, 15)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, moment: datetime) -> None:
    assert parse_since(text, datetime(2026, 3, 15, 12)) == moment


def test_a_followed_record_is_whole_or_waits() -> None:
    out: list[bytes] = []
    printer = TextPrinter(out.append, Wanted(level=30), terminal=False, colour=False)
    for data in (_NEW[:10], _NEW[10:90], _NEW[90:] + "  and more\n", ""):
        printer.feed(data.encode())
    assert b"".join(out).decode() == _lines(_NEW, 2) + "  and more\n"


def test_a_followed_record_becomes_json_when_nothing_follows_it() -> None:
    out: list[bytes] = []
    printer = JsonPrinter(out.append, Wanted())
    printer.feed(_OLD.encode())
    assert len(out) == 1  # the other one may go on
    printer.feed(b"")
    assert [json.loads(line)["level"] for line in out] == ["INFO", "ERROR"]


def test_a_terminal_gets_colour_and_no_foreign_control_sequences() -> None:
    out: list[bytes] = []
    line = b"2026-03-15 10:00:02 [ERROR] runtimed.x: bad \x1b]0;title\x07 \xff\n"
    TextPrinter(out.append, Wanted(), terminal=True, colour=True).print([line])
    text = out[0].decode()
    assert "\x1b[31m\x1b[1m[ERROR]\x1b[0m" in text
    assert "\x1b]0" not in text
    assert "\x07" not in text
    out.clear()
    TextPrinter(out.append, Wanted(), terminal=True, colour=False).print([line])
    assert b"\x1b" not in out[0]
