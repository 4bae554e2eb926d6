"""Section 5 of the agent protocol: which files are announced, as a matter of values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtimed.agents.artifact_changes import ArtifactChanges, Look


def look(size: int, mtime: int = 0) -> Look:
    return Look(size, mtime, 1)


def test_a_file_is_announced_once_it_has_been_at_rest() -> None:
    """Section 5.3: size and mtime stay equal."""
    changes = ArtifactChanges()
    changes.seen({"a": look(1)}, 0.0)
    assert changes.settled(0.1, quiet=0.2) == []
    assert not changes.at_rest
    changes.seen({"a": look(2)}, 0.1)
    assert changes.settled(0.25, quiet=0.2) == []
    changes.seen({"a": look(2)}, 0.4)
    assert changes.settled(0.4, quiet=0.2) == ["a"]
    assert changes.at_rest
    changes.seen({"a": look(2)}, 9.0)
    assert changes.settled(99.0, quiet=0.2) == []


def test_a_later_change_announces_it_again_and_a_deletion_does_not() -> None:
    """Section 5.1."""
    changes = ArtifactChanges()
    for now, files in enumerate([{"a": look(1)}, {"a": look(1)}, {"a": look(1, 5)}]):
        changes.seen(files, now)
        changes.settled(now, quiet=1)
    changes.seen({"a": look(1, 5)}, 3)
    assert changes.settled(3, quiet=1) == ["a"]
    changes.seen({}, 4)
    assert changes.at_rest
    assert changes.settled(9, quiet=0) == []
    changes.seen({"a": look(1, 5)}, 10)
    assert changes.settled(10, quiet=0) == ["a"]


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(1, 3)), max_size=12))
def test_each_state_in_which_a_file_rests_is_announced_exactly_once(
    steps: list[dict[str, int]],
) -> None:
    """Section 5.3: nothing missed, nothing twice."""
    changes = ArtifactChanges()
    rested: dict[str, int] = {}
    before: dict[str, int] = {}
    for now, sizes in enumerate(steps):
        changes.seen({path: look(size) for path, size in sizes.items()}, now)
        announced = changes.settled(now, quiet=1)
        due = {path for path in sizes if before.get(path) == sizes[path] != rested.get(path)}
        assert set(announced) == due
        assert len(announced) == len(due)
        rested = {path: size for path, size in rested.items() if path in sizes}
        rested |= {path: sizes[path] for path in due}
        before = sizes
