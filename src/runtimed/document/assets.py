"""The images a markdown cell refers to, and which of them may be resolved to blobs.

Text and content references in, values out: reading files and blobs is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = [
    "MAX_ASSET_SIZE",
    "Attachment",
    "RelativeFile",
    "attached_image",
    "image_references",
    "may_have_images",
    "resolvable",
]

#: Bytes in one asset.
MAX_ASSET_SIZE = 25 * 1024 * 1024

# Nobody writes so much into a cell, and the parser needs half a second for it; for brackets that
# don't match, time in proportion to the square of their number.
_LONGEST_SOURCE = 100_000
_MOST_BRACKETS = 2_000

_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "bmp": "image/bmp",
    "ico": "image/x-icon",
    "tiff": "image/tiff",
    "tif": "image/tiff",
    "avif": "image/avif",
}

_MAY_HAVE_IMAGES = re.compile(r"!\[|<img\b", re.IGNORECASE)
_DATA_URL = re.compile(r"""(?<=data:)[^\s()<>"']{64,}""")
_IMG = re.compile(r"<img(?=[\s/])", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s=<>"'/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?""")
_ELSEWHERE = ("http://", "https://", "data:", "blob:", "/")
_ATTACHMENT = "attachment:"


@attrs.frozen
class Attachment:
    """An image among the attachments of the cell."""

    name: str


@attrs.frozen
class RelativeFile:
    """An image file, its path relative to the notebook's directory."""

    path: str
    media_type: str


def may_have_images(source: str) -> bool:
    """Whether a markdown text could refer to images; quick, and never wrong when it says no."""
    return _MAY_HAVE_IMAGES.search(source) is not None


def image_references(source: str) -> list[str]:
    """What the images of a markdown text refer to, as it is written there, each once, in order.

    Images are those of CommonMark and `<img>` tags; code has none. Very long texts are not looked
    at.
    """
    if not may_have_images(source):
        return []
    source = _DATA_URL.sub("", source)  # often megabytes, and never resolved
    if len(source) > _LONGEST_SOURCE or source.count("[") > _MOST_BRACKETS:
        return []
    return list(dict.fromkeys(_references(_parser().parse(source))))


def resolvable(reference: str) -> Attachment | RelativeFile | None:
    """What a reference may be resolved to; None for what is none of ours."""
    if not reference or reference.startswith(_ELSEWHERE) or reference[1:2] == ":":
        return None
    if reference.startswith(_ATTACHMENT):
        return Attachment(_path(reference[len(_ATTACHMENT) :]))
    path = _path(reference)
    _, dot, extension = path.rpartition(".")
    media_type = _MEDIA_TYPES.get(extension.lower())
    if not dot or media_type is None or "\0" in path:
        return None
    return RelativeFile(path, media_type)


def attached_image(
    attachments: Mapping[str, Mapping[str, Mapping[str, Any]]], name: str
) -> tuple[str, Mapping[str, Any]] | None:
    """The MIME type and content reference of an attached image; None if there is none.

    A name that a URL could not hold may be percent-encoded in the text.
    """
    bundle = attachments.get(name)
    if bundle is None:
        bundle = attachments.get(unquote(name), {})
    for media_type in sorted(bundle):
        if media_type.startswith("image/"):
            return media_type, bundle[media_type]
    return None


def _path(reference: str) -> str:
    """A reference without its query and fragment."""
    return re.split(r"[?#]", reference, maxsplit=1)[0]


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # half of the notebooks never need it

    parser = MarkdownIt("commonmark")
    # References are wanted as they are written, and whatever they are.
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser


def _references(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "image":
            yield str(token.attrs.get("src", ""))
        elif token.type in ("html_block", "html_inline"):
            yield from _sources_of_tags(token.content)
        if token.children:
            yield from _references(token.children)


def _sources_of_tags(html: str) -> Iterator[str]:
    """The `src` of each `<img>`. Attributes one by one: an expression for all of them would take
    for ever on odd ones."""
    at = 0
    while (tag := _IMG.search(html, at)) is not None:
        at = tag.end()
        found: str | None = None
        while (attribute := _ATTRIBUTE.match(html, at)) is not None:
            at = attribute.end()
            if found is None and attribute[1].lower() == "src":
                found = next((value for value in attribute.groups()[1:] if value is not None), None)
        if found is not None:
            yield found
