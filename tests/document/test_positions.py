"""Positions: the table of the specification, and order whatever stands there already."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.positions import FIRST, after, before, between, is_position, place


def test_appending_counts_up_and_grows_by_a_byte_at_the_end_of_the_range() -> None:
    chain = [FIRST]
    for _ in range(129):
        chain.append(after(chain[-1]))
    assert chain[1:5] == ["8180", "8280", "8380", "8480"]
    assert chain[127:130] == ["FF80", "FF8180", "FF8280"]
    assert chain == sorted(chain)


def test_prepending_counts_down_and_grows_by_a_byte_at_the_end_of_the_range() -> None:
    chain = [FIRST]
    for _ in range(129):
        chain.append(before(chain[-1]))
    assert chain[1:4] == ["7F80", "7E80", "7D80"]
    assert chain[128:130] == ["0080", "007F80"]
    assert chain == sorted(chain, reverse=True)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("80", "8180", "817F80"),
        ("8180", "8280", "818180"),
        ("8180", "8480", "8280"),
        ("7F80", "80", "7F8180"),
        ("80", "817F80", "817E80"),
        ("8080", "8180", "808180"),
        ("80", "80", None),
        ("8180", "80", None),
        ("8180", "not hex", None),
        ("", "8180", None),
    ],
)
def test_between_two_positions(left: str, right: str, expected: str | None) -> None:
    assert between(left, right) == expected


def test_inserting_again_and_again_before_a_fixed_right_side() -> None:
    found = [FIRST]
    for _ in range(4):
        found.append(between(found[-1], "8180") or "")
    assert found[1:] == ["817F80", "817F8180", "817F8280", "817F8380"]


def test_inserting_again_and_again_behind_a_fixed_left_side() -> None:
    found = ["8180"]
    for _ in range(3):
        found.append(between(FIRST, found[-1]) or "")
    assert found[1:] == ["817F80", "817E80", "817D80"]


def test_a_zero_byte_on_the_right_does_not_wrap_around() -> None:
    chain = [FIRST]
    for _ in range(140):
        chain.append(before(chain[-1]))
    for right, left in itertools.pairwise(chain):
        middle = between(left, right)
        assert middle is not None
        assert left < middle < right


@pytest.mark.parametrize("bad", ["", "8", "zz", "81zz", "8a80", "81", "🙂", "80 "])
def test_malformed_positions_still_have_neighbours(bad: str) -> None:
    assert not is_position(bad)
    assert is_position(before(bad))
    assert is_position(after(bad))


positions = st.lists(st.integers(0, 255), max_size=4).map(
    lambda core: bytes(core).hex().upper() + "80"
)


@given(positions, positions)
def test_there_is_always_room_between_different_positions(a: str, b: str) -> None:
    left, right = sorted((a, b))
    middle = between(left, right)
    if left == right:
        assert middle is None
    else:
        assert middle is not None
        assert is_position(middle)
        assert left < middle < right


@given(positions)
def test_there_is_always_room_on_either_side(position: str) -> None:
    assert before(position) < position < after(position)


@given(st.lists(positions | st.text(alphabet="08AFz", max_size=4), max_size=8), st.integers(0, 8))
def test_placing_among_equal_and_malformed_positions_keeps_everybody_in_order(
    existing: list[str], index: int
) -> None:
    existing.sort()
    index = min(index, len(existing))
    position, moved = place(existing, index)
    rest = [moved.get(i, old) for i, old in enumerate(existing)]
    result = [*rest[:index], position, *rest[index:]]
    assert is_position(position)
    # sorted, and the new one has no equal; the others may have had
    assert result == sorted(result)
    assert result.count(position) == 1


def test_placing_where_there_is_room_moves_nobody() -> None:
    existing = [FIRST]
    generator = random.Random(1)
    for _ in range(300):
        index = generator.randint(0, len(existing))
        position, moved = place(existing, index)
        assert not moved
        existing.insert(index, position)
    assert existing == sorted(set(existing))
