from __future__ import annotations

import base64
import struct

import pytest

from runt_cli.output_text import rich_text, size_text, traceback_text
from runtimed.client.results import Output


def _png(width: int, height: int, size: int) -> str:
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height)
    return base64.b64encode(header.ljust(size, b"\0")).decode()


def test_a_result_is_shown_as_its_plain_text_on_a_line() -> None:
    assert rich_text({"text/html": "<b>3</b>", "text/plain": "3"}) == "3\n"


def test_an_image_is_a_note_with_its_dimensions_and_size() -> None:
    data = {"text/plain": "<Figure>", "image/png": _png(640, 480, 12_345)}
    assert rich_text(data) == "[image/png 640x480, 12 kB]\n"


def test_the_dimensions_of_gif_and_jpeg_are_read_too() -> None:
    gif = base64.b64encode(b"GIF89a" + struct.pack("<HH", 3, 2)).decode()
    jpeg = base64.b64encode(
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x0b\x08" + struct.pack(">HH", 7, 9) + b"\0" * 9
    ).decode()
    assert rich_text({"image/gif": gif}) == "[image/gif 3x2, 10 bytes]\n"
    assert rich_text({"image/jpeg": jpeg}).startswith("[image/jpeg 9x7, ")


@pytest.mark.parametrize("text", ["not base64!", "", "AAAA"])
def test_a_damaged_image_is_still_a_note(text: str) -> None:
    assert rich_text({"image/png": text}).startswith("[image/png")


def test_what_has_no_text_form_is_named() -> None:
    assert rich_text({"text/html": "<p>x</p>"}) == "[text/html, 8 bytes]\n"


def test_a_plain_text_that_only_names_a_class_gives_way() -> None:
    plain = "<IPython.core.display.Markdown object>"
    assert rich_text({"text/plain": plain, "text/markdown": "**7** wins"}) == "**7** wins\n"
    plain = "<IPython.core.display.HTML object>"
    assert rich_text({"text/plain": plain, "text/html": "<p>x</p>"}) == "[text/html, 8 bytes]\n"


def test_nothing_is_nothing() -> None:
    assert rich_text({}) == ""


def test_a_traceback_loses_its_colours_for_a_pipe() -> None:
    output = Output(
        output_type="error",
        ename="ValueError",
        evalue="no",
        traceback=["\x1b[31mValueError\x1b[39m: \x1b[38;5;28mno\x1b[0m"],
    )
    assert traceback_text(output, colour=False) == "ValueError: no\n"
    assert traceback_text(output, colour=True) == (output.traceback or [""])[0] + "\n"


def test_an_error_without_a_traceback_is_its_name_and_value() -> None:
    output = Output(output_type="error", ename="KernelError", evalue="it died", traceback=[])
    assert traceback_text(output, colour=False) == "KernelError: it died\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (3_400_000, "3.4 MB")],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
