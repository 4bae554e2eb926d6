from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.outputs.streams import StreamText


def shown(*chunks: str) -> str:
    stream = StreamText()
    for chunk in chunks:
        stream.append(chunk)
    return stream.text


PIECES = st.sampled_from(
    [
        *(
            "a",
            "b",
            "xyz",
            " ",
            "\n",
            "\r",
            "\r\n",
            "\b",
            "\t",
            "\x1b",
            "é",
            "日",
            "e\u0301",
            "[",
            "m",
        ),
        *("\x1b[31m", "\x1b[1;32m", "\x1b[0m", "\x1b[m", "\x1b[38;5;9m", "\x1b[0;7m"),
        *("\x1b[A", "\x1b[2A", "\x1b[B", "\x1b[C", "\x1b[3D", "\x1b[K", "\x1b[1K", "\x1b[2K"),
        *("\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[H", "\x1b[2;3H", "\x1b[5G", "\x1b[L", "\x1b[M"),
        *("\x1b[2P", "\x1b[2@", "\x1b[2X", "\x1b7", "\x1b8", "\x1b[s", "\x1b[u", "\x1bM", "\x1bE"),
        *(
            "\x1b[?25l",
            "\x1b]8;;http://a\x1b\\",
            "\x1b]8;;\x07",
            "\x1b]0;title\x07",
            "\x1b]0;",
            "\0",
        ),
    ]
)
TERMINAL_TEXT = st.lists(PIECES, max_size=40).map("".join)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a\rb", "b"),
        ("50%\r100%", "100%"),
        ("hello\n", "hello\n"),
        ("ab\bX", "aX"),
        ("ab\b\b\b\bX", "Xb"),
        ("x\n\n\n", "x\n\n\n"),
        ("long\rs", "song"),
        ("abc\r", "abc"),
        ("abc\r\ndef\r\n", "abc\r\ndef\r\n"),
        ("abc\r\r\nd", "abc\r\nd"),
        ("one\rtwo\r\nend", "two\r\nend"),
        ("abcdef\rab\x1b[K", "ab"),
        ("abcdef\x1b[3D\x1b[1KX", "   Xef"),
        ("abc\x1b[2K\rX", "X"),
        ("abc\x1b[5CX", "abc     X"),
        ("abc\x1b[2GX", "aXc"),
        ("a\n\x1b[AX", "X\n"),
        ("a\nb\x1b[2;3HX", "a\nb X"),
        ("a\nb\nc\x1b[2A\x1b[Jz", "az"),
        ("one\ntwo\x1b[2J\x1b[Hthree", "three"),
        ("a\x1b[3BX", "a\n\n\n X"),
        ("abcdef\r\x1b[2P", "cdef"),
        ("abcdef\r\x1b[2@", "  abcdef"),
        ("abcdef\r\x1b[2X", "  cdef"),
        ("a\nb\nc\x1b[2A\x1b[M", "b\nc"),
        ("a\nb\x1b[LX", "a\nX\nb"),
        ("ab\x1b7cd\x1b8X", "abXd"),
        ("日本\rab", "ab本"),
        ("日本\rX", "X 本"),
        ("e\u0301a\rX", "Xa"),
        ("a\tb\rX\tY", "X\tY"),
        ("a\tb\r12345", "12345   b"),
        ("a\tb\r", "a\tb"),
        ("ab\tc\r\x1b[1P", "b      c"),
        ("ab\tc\r\x1b[1@", " ab      c"),
        ("trailing  \rx", "xrailing  "),
        ("\x07bell", "\x07bell"),
    ],
)
def test_text_is_what_a_terminal_would_show(written: str, expected: str) -> None:
    assert shown(written) == expected
    assert shown(*written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("\x1b[32mgreen\x1b[0m\n", "\x1b[32mgreen\x1b[0m\n"),
        ("\r\x1b[32mfoo\x1b[0m", "\x1b[32mfoo\x1b[0m"),
        ("\r\x1b[1m\x1b[38;5;208mfoo\x1b[m.", "\x1b[1m\x1b[38;5;208mfoo\x1b[m."),
        ("\x1b[32m100%\x1b[0m\r\x1b[31m50\x1b[0m", "\x1b[31m50\x1b[32m0%\x1b[0m"),
        ("\x1b[32mab\rX\x1b[0mY", "\x1b[32mX\x1b[0mY"),
        ("\x1b[32mfoo\nbar\rX", "\x1b[32mfoo\nXar"),
        ("\x1b[32mfoo\nbar\x1b[0m\n\x1b[2A\x1b[2Kx", "x\n\x1b[32mbar\x1b[0m\n"),
        ("\x1b[7mrev\x1b[27m\rR", "R\x1b[7mev\x1b[27m"),
        (
            "\r\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\.\rL",
            "L\x1b]8;;http://a\x1b\\ink\x1b]8;;\x1b\\.",
        ),
    ],
)
def test_colours_stay_as_they_were_written(written: str, expected: str) -> None:
    assert shown(written) == expected
    assert shown(*written) == expected


def test_nothing_is_wrapped_trimmed_or_dropped() -> None:
    text = "x" * 500 + "  \n" + "".join(f"line {n}\t \n" for n in range(20_000)) + "\n\n  "
    assert shown(text) == text
    assert shown(text, "\rab") == text[:-2] + "ab"


def test_a_progress_bar_shows_its_last_state() -> None:
    stream = StreamText()
    for step in range(101):
        stream.append(f"\r{step:3d}%|{'█' * (step // 10):<10}| {step}/100 [00:00<00:00]")
    stream.append("\n")
    assert stream.text == "100%|██████████| 100/100 [00:00<00:00]\n"


def test_nested_progress_bars_keep_their_lines() -> None:
    stream = StreamText()
    for outer in range(3):
        stream.append(f"\router: {outer}")
        for inner in range(3):
            stream.append(f"\n\rinner: {inner}\x1b[A")
    stream.append("\n\n")
    assert stream.text == "outer: 2\ninner: 2\n"


def test_a_live_display_that_is_redrawn_leaves_one_copy() -> None:
    stream = StreamText()
    stream.append("before\n")
    for step in range(5):
        if step:
            stream.append("\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K")
        stream.append(f"\x1b[1mstep {step}\x1b[0m\nmore\n")
    assert stream.text == "before\n\x1b[1mstep 4\x1b[0m\nmore\n"


def test_lines_erased_below_the_cursor_are_gone() -> None:
    assert shown("a\nb\nc\n\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K") == ""
    assert shown("a\nb\nc\n\x1b[1A\x1b[2K\x1b[1A\x1b[2K") == "a\n"


def test_the_cursor_reaches_a_hundred_lines_and_no_further() -> None:
    lines = [f"{n}\n" for n in range(300)]
    text = shown("".join(lines), "\x1b[500AX")
    assert text.splitlines() == [*(str(n) for n in range(201)), "X01", *map(str, range(202, 300))]
    assert shown("".join(lines), "\x1b[HX") == text


def test_far_movements_cost_no_memory() -> None:
    assert shown("\r\x1b[999999CX") == " " * 79 + "X"
    assert len(shown("\r" + "\x1b[998C" * 1000 + "X")) <= 10_001


def test_a_split_sequence_is_shown_once_it_is_known() -> None:
    stream = StreamText()
    stream.append("abc\x1b[")
    assert stream.text == "abc\x1b["
    stream.append("1DX")
    assert stream.text == "abX"
    stream.append("\r")
    assert stream.text == "abX"
    stream.append("\nnext")
    assert stream.text == "abX\r\nnext"


@settings(deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\b\x1b"))))
def test_text_without_control_codes_stays_as_it_is(chunks: list[str]) -> None:
    assert shown(*chunks) == "".join(chunks)


@settings(deadline=None)
@given(TERMINAL_TEXT, st.randoms(use_true_random=False))
def test_it_never_matters_how_text_is_cut(text: str, rng: random.Random) -> None:
    whole = shown(text)
    assert shown(*text) == whole
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(5))
    stream = StreamText()
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        stream.append(text[start:stop])
        assert isinstance(stream.text, str)  # looking changes nothing
    assert stream.text == whole


@settings(deadline=None)
@given(TERMINAL_TEXT, TERMINAL_TEXT)
def test_finished_text_and_the_rest_are_the_whole(first: str, second: str) -> None:
    stream = StreamText()
    first += "\n"  # no sequence is left open
    stream.append(first)
    taken = stream.take_finished()
    if "\x1b" not in first + second and "\r" not in first + second and "\b" not in first + second:
        stream.append(second)
        assert taken + stream.text == first + second
    else:
        assert taken + stream.text == shown(first)
        assert taken + stream.take_finished(everything=True) + stream.text == shown(first)


def test_finished_text_leaves_what_the_cursor_reaches() -> None:
    stream = StreamText()
    stream.append("".join(f"{n}\n" for n in range(1000)))
    taken = stream.take_finished()
    assert taken == "".join(f"{n}\n" for n in range(901))
    stream.append("\x1b[1AX")
    assert stream.text == "".join(f"{n}\n" for n in range(901, 999)) + "X99\n"


def test_style_carries_on_behind_finished_text() -> None:
    stream = StreamText()
    stream.append("\x1b[32m" + "green\n" * 200)
    stream.take_finished(everything=True)
    stream.append("still\rX\x1b[0m\n")
    assert stream.text == "Xtill\x1b[0m\n"


def test_a_line_without_end_is_taken_when_it_is_very_long() -> None:
    stream = StreamText()
    stream.append("x" * 1_000_000)
    assert stream.take_finished() == ""
    stream.append("x" * 4_000_000)
    assert len(stream.take_finished()) == 5_000_000
    assert stream.text == ""


def test_styles_stay_small_however_often_they_change() -> None:
    stream = StreamText()
    stream.append("\r")
    for n in range(2000):
        stream.append(f"\x1b[38;5;{n % 256}m\x1b[4{n % 8}m.")
    stream.append("\rX")
    assert len(stream.text) < 2000 * 20 + 100
