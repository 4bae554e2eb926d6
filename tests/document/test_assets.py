"""Images of markdown cells: what counts as one, and what may be resolved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.assets import (
    Attachment,
    RelativeFile,
    attached_image,
    image_references,
    resolvable,
)


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ("no images, [a link](a.png), `![code](a.png)`", []),
        ('![a](a.png) and ![b](<b c.png> "title")', ["a.png", "b c.png"]),
        ("![a](a%20b.png?x=1#y)", ["a%20b.png?x=1#y"]),
        ("![a](a&amp;b.png) ![b](a\\_b.png)", ["a&b.png", "a_b.png"]),
        ("![twice](a.png) ![again](a.png)", ["a.png"]),
        ("![ref][r] ![r]\n\n[r]: r.png\n[u]: unused.png", ["r.png"]),
        ("![out ![in](in.png)](out.png)", ["out.png", "in.png"]),
        ("    ![code](a.png)\n\n```\n![code](b.png)\n<img src=c.png>\n```", []),
        ("text <IMG SRC='a.png'> <img alt=x src=b.png/>", ["a.png", "b.png/"]),
        ('<div>\n<img\n  src = "c.png">\n<img/src=d.png>\n</div>', ["c.png", "d.png"]),
        ('<img alt="src=no.png > " data-src="no.png" src="yes.png">', ["yes.png"]),
        ("<img src><img alt=a><imgs src=b.png>", []),
        ("- list\n  > ![a](a.png)\n\n| t |\n|---|\n| ![b](b.png) |", ["a.png", "b.png"]),
        ("![](javascript:x) ![](attachment:a.png)", ["javascript:x", "attachment:a.png"]),
    ],
)
def test_images_are_those_of_commonmark_and_of_html(source: str, references: list[str]) -> None:
    assert image_references(source) == references


def test_images_inside_the_text_itself_are_skipped_without_reading_them() -> None:
    source = f"![a](data:image/png;base64,{'A' * 3_000_000}) ![b](b.png)"
    assert image_references(source)[-1] == "b.png"


def test_texts_that_would_keep_the_parser_busy_are_not_looked_at() -> None:
    assert image_references("![a](a.png)" + "![" * 40_000) == []
    assert image_references("![a](a.png)" + "x" * 200_000) == []


@given(st.text(alphabet="![]()<>img src='\"/=\\\n`*&;#:a.", max_size=200))
def test_any_text_gives_references_each_once(source: str) -> None:
    found = image_references(source)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("a.png", RelativeFile("a.png", "image/png")),
        ("sub/../a.JPG?w=3#f", RelativeFile("sub/../a.JPG", "image/jpeg")),
        ("a%20b.svg", RelativeFile("a%20b.svg", "image/svg+xml")),
        ("attachment:a b.png?x#y", Attachment("a b.png")),
        ("a.txt", None),
        ("png", None),
        ("", None),
        ("http://x/a.png", None),
        ("https://x/a.png", None),
        ("data:image/png;base64,AA", None),
        ("blob:x.png", None),
        ("/etc/a.png", None),
        ("C:a.png", None),
        ("a\0.png", None),
    ],
)
def test_only_relative_images_and_attachments_are_resolvable(
    reference: str, target: object
) -> None:
    assert resolvable(reference) == target


def test_the_image_of_an_attachment_is_found_by_its_name_as_written_or_encoded() -> None:
    image = {"inline": "QUJD"}
    attachments = {"a b.png": {"text/plain": {"inline": "x"}, "image/png": image}, "t": {}}
    assert attached_image(attachments, "a b.png") == ("image/png", image)
    assert attached_image(attachments, "a%20b.png") == ("image/png", image)
    assert attached_image(attachments, "t") is None
    assert attached_image(attachments, "other") is None
