from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runt_cli import tail
from runt_cli.tail import follow_file, last_lines


@given(
    st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line and b"\r" not in line)),
    st.integers(min_value=0, max_value=6),
)
def test_the_last_lines_are_those_of_the_whole_file(lines: list[bytes], count: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    expected = b"".join(line + b"\n" for line in lines[-count:]) if count else b""
    assert last_lines(io.BytesIO(data), count) == expected


def test_a_long_file_is_read_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_BLOCK", 16)
    file = io.BytesIO(b"".join(b"line %d\n" % n for n in range(1000)))
    assert last_lines(file, 2) == b"line 998\nline 999\n"
    assert file.read() == b""


def test_following_survives_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    file = path.open("rb")
    file.read()
    following = follow_file(path, file, interval=0.001)

    with path.open("ab") as log:
        log.write(b"one\n")
    assert next(following) == b"one\n"

    with path.open("ab") as log:
        log.write(b"before rotation\n")
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"after\n")
    assert b"".join(next(following) for _ in range(3)) == b"before rotation\nafter\n"

    path.write_bytes(b"cut\n")
    assert next(following) == b"cut\n"
    following.close()  # type: ignore[attr-defined]
