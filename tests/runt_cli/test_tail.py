from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runt_cli import tail
from runt_cli.tail import follow_file, newest_first, whole_lines


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_BLOCK", 8)


@given(data=st.text(alphabet="ab\r\n", max_size=60).map(str.encode), block=st.integers(1, 9))
def test_lines_come_from_the_end_wherever_blocks_cut_them(data: bytes, block: int) -> None:
    whole, tail._BLOCK = tail._BLOCK, block
    try:
        file = io.BytesIO(data)
        lines = list(tail._reversed_lines(file))
        assert b"".join(reversed(lines)) == data
        assert all(line.endswith(b"\n") for line in lines[1:])
        assert all(b"\n" not in line[:-1] for line in lines)
        assert whole_lines(file) == data.rfind(b"\n") + 1
    finally:
        tail._BLOCK = whole


def test_no_more_is_read_than_is_asked_for(tmp_path: Path, small_blocks: None) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(1000)))
    with path.open("rb") as file:
        assert list(islice(newest_first(path, file), 2)) == [b"line 999\n", b"line 998\n"]
        assert file.tell() > 8000


def test_rotated_files_come_behind_the_newest(tmp_path: Path, small_blocks: None) -> None:
    path = tmp_path / "log"
    for name, content in (("log.2", b"1\n2\n"), ("log.1", b"3\n4\n"), ("log", b"5\n6\n")):
        (tmp_path / name).write_bytes(content)
    with path.open("rb") as file:
        assert b"".join(newest_first(path, file)).split() == [b"6", b"5", b"4", b"3", b"2", b"1"]


def test_a_file_that_was_rotated_since_it_was_opened_comes_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n2\n")
    with path.open("rb") as file:
        path.rename(tmp_path / "log.1")
        path.write_bytes(b"3\n")
        assert list(newest_first(path, file)) == [b"2\n", b"1\n"]


def _news(following: Iterator[bytes], length: int) -> bytes:
    """The next so many bytes; looks that find nothing are passed over."""
    news = b""
    while len(news) < length:
        news += next(following)
    return news


def test_following_survives_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    file = path.open("rb")
    file.read()
    following = follow_file(path, file, interval=0.001)
    assert next(following) == b""

    with path.open("ab") as log:
        log.write(b"one\n")
    assert _news(following, 4) == b"one\n"

    with path.open("ab") as log:
        log.write(b"before rotation\n")
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"after\n")
    assert _news(following, 22) == b"before rotation\nafter\n"

    path.write_bytes(b"cut\n")
    assert _news(following, 4) == b"cut\n"
    following.close()  # type: ignore[attr-defined]


def test_following_misses_nothing_of_several_rotations_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    following = follow_file(path, path.open("rb"), interval=0.001)
    assert _news(following, 2) == b"1\n"
    path.rename(tmp_path / "log.3")
    (tmp_path / "log.2").write_bytes(b"2\n")
    (tmp_path / "log.1").write_bytes(b"3\n")
    path.write_bytes(b"4\n")
    assert _news(following, 6) == b"2\n3\n4\n"
    following.close()  # type: ignore[attr-defined]


def test_following_waits_for_a_file_that_is_away_for_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    following = follow_file(path, path.open("rb"), interval=0.001)
    assert _news(following, 2) == b"1\n"
    path.unlink()
    assert next(following) == b""
    path.write_bytes(b"2\n")
    assert _news(following, 2) == b"2\n"
    following.close()  # type: ignore[attr-defined]
