from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from runt_cli.output_printer import OutputPrinter, Screen
from runtimed.client.results import Output


class Page:
    """A printer with the two streams that it writes to."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.out, self.err = io.BytesIO(), io.BytesIO()
        self.printer = OutputPrinter(Screen(out=self.out, err=self.err, terminal=terminal))

    def stream(self, index: int, text: str, name: str = "stdout") -> None:
        self.printer.show(index, Output(output_type="stream", name=name, text=text))

    def result(self, index: int, text: str) -> None:
        output = Output(output_type="execute_result", data={"text/plain": text})
        self.printer.show(index, output)

    @property
    def written(self) -> tuple[str, str]:
        return self.out.getvalue().decode(), self.err.getvalue().decode()


def test_a_stream_that_grows_is_printed_once() -> None:
    page = Page()
    for text in ("a", "a", "ab\n", "ab\nc"):
        page.stream(0, text)
    assert page.written == ("ab\nc", "")


@given(st.text(), st.integers(min_value=1, max_value=10))
def test_the_text_of_a_stream_arrives_byte_for_byte(text: str, step: int) -> None:
    page = Page()
    for end in range(0, len(text), step):
        page.stream(0, text[:end])
    page.stream(0, text)
    assert page.written == (text, "")


def test_lone_surrogates_do_not_stop_the_rest() -> None:
    page = Page()
    page.stream(0, "\ud800 and on\n")
    assert page.out.getvalue().endswith(b" and on\n")


def test_stdout_and_stderr_go_where_the_cell_wrote_them() -> None:
    page = Page()
    page.stream(0, "out\n")
    page.stream(1, "err\n", "stderr")
    page.stream(0, "out\nmore\n")
    assert page.written == ("out\nmore\n", "err\n")


def test_a_result_begins_on_a_line_of_its_own() -> None:
    page = Page()
    page.stream(0, "no newline")
    page.result(1, "3")
    assert page.written == ("no newline\n3\n", "")


def test_a_display_that_is_updated_is_printed_again_only_when_it_differs() -> None:
    page = Page()
    for text in ("10%", "10%", "20%"):
        page.result(0, text)
    assert page.written == ("10%\n20%\n", "")


def test_a_progress_bar_rewrites_its_line_on_a_terminal() -> None:
    page = Page(terminal=True)
    for text in ("first\n 10%", "first\n 20%", "first\n100%\nlast\n"):
        page.stream(0, text)
    assert page.written == ("first\n 10%\r\x1b[K 20%\r\x1b[K100%\nlast\n", "")


def test_lines_that_changed_further_up_are_printed_again() -> None:
    page = Page()
    page.stream(0, "a\nb\nc\n")
    page.stream(0, "a\nB\nc\n")
    assert page.written == ("a\nb\nc\nB\nc\n", "")


def test_cleared_output_stays_on_the_paper_and_the_new_one_follows() -> None:
    page = Page()
    page.stream(0, "one\n")
    page.stream(0, "")
    page.stream(0, "two\n")
    assert page.written == ("one\ntwo\n", "")


def test_a_traceback_goes_to_stderr() -> None:
    page = Page()
    page.printer.show(0, Output(output_type="error", ename="E", evalue="v", traceback=["E: v"]))
    assert page.written == ("", "E: v\n")
