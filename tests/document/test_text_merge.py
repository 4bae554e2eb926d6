"""Merging texts: what either side inserted is there, what either side deleted is not."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtimed.document.text_merge import merge_texts

texts = st.text(alphabet="ab\n é🙂", max_size=40)
words = st.lists(st.sampled_from(["a ", "b\n", "é = "]), max_size=8).map("".join)


def is_part(part: str, whole: str) -> bool:
    """Whether all characters of one text are in another one, in this order."""
    left = iter(whole)
    return all(character in left for character in part)


@settings(deadline=None)
@given(texts, texts)
def test_a_side_that_changed_nothing_gives_way(base: str, changed: str) -> None:
    assert merge_texts(base, base, changed) == changed
    assert merge_texts(base, changed, base) == changed
    assert merge_texts(base, changed, changed) == changed


@settings(deadline=None)
@given(words, words, words, words)
def test_no_inserted_word_of_either_side_is_lost(
    start: str, ours: str, theirs: str, end: str
) -> None:
    merged = merge_texts(start + end, start + ours + end, start + theirs + end)
    assert is_part(start + ours + end, merged)
    assert is_part(start + theirs + end, merged)


@settings(deadline=None)
@given(texts, texts)
@example("\n \n a ", "a a a")
def test_without_a_base_both_texts_are_in_the_result(ours: str, theirs: str) -> None:
    merged = merge_texts(None, ours, theirs)
    assert is_part(ours, merged)
    assert is_part(theirs, merged)


def versions(data: st.DataObject) -> tuple[str, str, str, set[str], set[str]]:
    """A base, two texts edited from it, and the words that each of them added: no two alike."""
    separators = st.sampled_from(["", " ", "\n", " = ", ")\n("])
    base = [f"b{i}" for i in range(data.draw(st.integers(0, 8)))]

    def text(words: list[str]) -> str:
        return "".join(word + data.draw(separators) + "." for word in words)

    def edited(name: str) -> tuple[str, set[str]]:
        words = list(base)
        for i in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, len(words)))
            if at < len(words) and data.draw(st.booleans()):
                del words[at]
            else:
                words.insert(at, f"{name}{i}")
        return text(words), {word for word in words if word not in base}

    original = text(base)
    ours, our_words = edited("o")
    theirs, their_words = edited("t")
    return original, ours, theirs, our_words, their_words


@settings(deadline=None)
@given(st.data())
def test_every_word_that_one_side_added_is_there_once_and_whole(data: st.DataObject) -> None:
    base, ours, theirs, our_words, their_words = versions(data)
    merged = merge_texts(base, ours, theirs)
    for word in our_words | their_words:
        assert merged.count(word) == 1


lines = st.lists(st.sampled_from("abc").map("{}()\n".format), max_size=6)


@settings(deadline=None)
@given(lines, lines, lines, lines, lines)
def test_merging_again_changes_nothing(
    start: list[str], ours: list[str], middle: list[str], theirs: list[str], end: list[str]
) -> None:
    ours, theirs = (
        [f"o{i} = 1\n" for i in range(len(ours))],
        [f"t{i}\n" for i in range(len(theirs))],
    )
    base = "".join(start + middle + end)
    ours_text = "".join(start + ours + middle + end)
    theirs_text = "".join(start + middle + theirs + end)
    once = merge_texts(base, ours_text, theirs_text)
    assert merge_texts(base, once, theirs_text) == once


def test_edits_at_different_places_both_survive() -> None:
    base = "import os\n\nx = 1\ny = 2\n"
    ours = "import os\nimport sys\n\nx = 1\ny = 2\n"
    theirs = "import os\n\nx = 10\ny = 2\nprint(x)\n"
    assert merge_texts(base, ours, theirs) == "import os\nimport sys\n\nx = 10\ny = 2\nprint(x)\n"


def test_lines_appended_by_both_sides_are_both_there_ours_first() -> None:
    assert merge_texts("a\n", "a\nours\n", "a\ntheirs\n") == "a\nours\ntheirs\n"


def test_what_both_sides_did_alike_is_done_once() -> None:
    assert merge_texts("x = 1", "x = 1  # one", "x = 1  # one") == "x = 1  # one"
    assert merge_texts("x = 1\ny", "x = 1  # one\ny", "x = 1  # one\ny = 2") == (
        "x = 1  # one\ny = 2"
    )


def test_a_word_that_both_sides_changed_is_there_in_both_forms() -> None:
    assert merge_texts("value = 1", "values = 1", "my_value = 1") == "valuesmy_value = 1"
    assert merge_texts("a = 1 + b", "c = 2 + b", "") == "c = 2"


def test_text_inserted_into_what_the_other_side_deleted_is_kept() -> None:
    assert merge_texts("keep [old words] keep", "keep [old NEW words] keep", "keep keep") == (
        "keep NEW keep"
    )
