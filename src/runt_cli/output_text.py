"""What a terminal shows of a cell's output: text as it is, a note in place of what it can't draw.

Pure: outputs in, text out.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Mapping

from runt_cli.terminal import without_colour
from runtimed.client.results import Output

__all__ = ["rich_text", "size_text", "traceback_text"]

#: Types that are text for people, the best first.
_TEXTS = ("text/plain", "text/markdown", "text/latex")

#: The plain text of IPython's display classes, such as `<IPython.core.display.HTML object>`.
_OBJECT = re.compile(r"<IPython\.[\w.]+ object>\Z")


def rich_text(data: Mapping[str, str]) -> str:
    """A display or result as text, ending with a newline; empty when there is nothing to show.

    An image is a note, for its text form says nothing (`<Figure size 640x480 with 1 Axes>`).
    Otherwise `text/plain`, unless that only names a class; otherwise Markdown or LaTeX, which are
    text for people; otherwise a note that names what there is.
    """
    image = next((mime for mime in data if mime.startswith("image/")), None)
    if image is not None:
        return f"{_image_note(image, data[image])}\n"
    texts = [data[mime] for mime in _TEXTS if mime in data and not _OBJECT.match(data[mime])]
    if texts:
        return texts[0] if texts[0].endswith("\n") else f"{texts[0]}\n"
    others = {mime: text for mime, text in data.items() if mime != "text/plain"} or data
    return "".join(f"[{mime}, {size_text(len(text.encode()))}]\n" for mime, text in others.items())


def traceback_text(output: Output, *, colour: bool) -> str:
    """An error output as a terminal shows it, ending with a newline."""
    text = "\n".join(output.traceback or []) or f"{output.ename}: {output.evalue}"
    return (text if colour else without_colour(text)).rstrip("\n") + "\n"


def size_text(size: int) -> str:
    """A number of bytes for people: `812 bytes`, `12 kB`, `3.4 MB`."""
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    if size < 999_500:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"


def _image_note(mime: str, text: str) -> str:
    if mime == "image/svg+xml":
        return f"[{mime}, {size_text(len(text.encode()))}]"
    try:
        image = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return f"[{mime}]"
    dimensions = _dimensions(image)
    shape = f" {dimensions[0]}x{dimensions[1]}" if dimensions else ""
    return f"[{mime}{shape}, {size_text(len(image))}]"


def _dimensions(image: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the header of a PNG, GIF or JPEG."""
    if image.startswith(b"\x89PNG\r\n\x1a\n") and len(image) >= 24:
        return struct.unpack(">II", image[16:24])
    if image[:6] in (b"GIF87a", b"GIF89a") and len(image) >= 10:
        return struct.unpack("<HH", image[6:10])
    if image.startswith(b"\xff\xd8"):
        return _jpeg_dimensions(image)
    return None


def _jpeg_dimensions(image: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(image) and image[position] == 0xFF:
        marker = image[position + 1]
        # The frame headers SOF0 to SOF15, less the three that are other tables.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", image[position + 5 : position + 9])
            return width, height
        position += 2 + int.from_bytes(image[position + 2 : position + 4], "big")
    return None
