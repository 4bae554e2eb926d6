"""Images on terminals that can show them, by the protocol that each understands.

Which that is, is told by the environment, for asking a terminal takes a round trip and some never
answer. Inside tmux and screen none is used: they swallow what they don't know.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Literal, TypeAlias

__all__ = ["PROTOCOLS", "Protocol", "image_sequence", "protocol_of"]

Protocol: TypeAlias = Literal["kitty", "iterm2", "sixel", "none"]

PROTOCOLS: tuple[Protocol, ...] = ("kitty", "iterm2", "sixel", "none")

#: What kitty takes in one sequence, in characters.
_CHUNK = 4096

_KITTY = {"kitty", "ghostty", "WezTerm"}
_ITERM2 = {"iTerm.app", "mintty", "vscode"}
_SIXEL = ("foot", "mlterm", "contour", "yaft", "vt340")


def protocol_of(environ: Mapping[str, str]) -> Protocol:
    """The protocol of the terminal that this environment describes."""
    if environ.get("TMUX") or environ.get("STY"):
        return "none"
    program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
    if environ.get("KITTY_WINDOW_ID") or term.startswith(("xterm-kitty", "xterm-ghostty")):
        return "kitty"
    if program in _KITTY:
        return "kitty"
    if program in _ITERM2 or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    if term.startswith(_SIXEL) or environ.get("WT_SESSION"):
        return "sixel"
    return "none"


def image_sequence(data: Mapping[str, str], protocol: Protocol) -> str | None:
    """What shows the image among these data, ending with a newline; None if nothing does."""
    if protocol == "none":
        return None
    kinds = ("image/png",) if protocol == "kitty" else ("image/png", "image/jpeg", "image/gif")
    text = next((data[mime] for mime in kinds if mime in data), None)
    if text is None:
        return None
    try:
        image = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
    if protocol == "kitty":
        return "".join(_kitty(base64.b64encode(image).decode())) + "\n"
    if protocol == "iterm2":
        payload = base64.b64encode(image).decode()
        return f"\x1b]1337;File=inline=1;size={len(image)}:{payload}\x07\n"
    return _sixel(image)


def _kitty(payload: str) -> Iterator[str]:
    """Source: kitty, "Terminal graphics protocol": transmit and display, PNG, in pieces."""
    for start in range(0, len(payload), _CHUNK):
        more = int(start + _CHUNK < len(payload))
        keys = f"a=T,f=100,q=2,m={more}" if start == 0 else f"m={more}"
        yield f"\x1b_G{keys};{payload[start : start + _CHUNK]}\x1b\\"


def _sixel(image: bytes) -> str | None:
    """An image as sixels, by Pillow where it is installed: nothing else here can read a PNG."""
    try:
        from PIL import Image
    except ImportError:
        return None
    try:
        with Image.open(BytesIO(image)) as opened:
            rgba = opened.convert("RGBA")
    except (OSError, ValueError):
        return None
    rgba.thumbnail((1000, 1000))
    paper = Image.new("RGBA", rgba.size, "white")
    paper.alpha_composite(rgba)
    indexed = paper.convert("RGB").quantize(colors=64)
    palette = indexed.getpalette() or []
    return _sixels(indexed.tobytes(), indexed.width, indexed.height, palette) + "\n"


def _sixels(pixels: bytes, width: int, height: int, palette: list[int]) -> str:
    """Source: DEC, VT330/VT340 Programmer Reference Manual, chapter 14: bands of six rows, each
    colour of a band a line of its own."""
    parts = [f'\x1bPq"1;1;{width};{height}']
    for number in range(len(palette) // 3):
        red, green, blue = (round(v * 100 / 255) for v in palette[number * 3 : number * 3 + 3])
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        rows = [pixels[y * width : (y + 1) * width] for y in range(top, min(top + 6, height))]
        for colour in sorted(set().union(*rows)):
            bits = [
                sum((row[x] == colour) << i for i, row in enumerate(rows)) for x in range(width)
            ]
            parts.append(f"#{colour}{_run_lengths(bits)}$")
        parts.append("-")
    return "".join(parts) + "\x1b\\"


def _run_lengths(bits: list[int]) -> str:
    parts = []
    start = 0
    for x in range(1, len(bits) + 1):
        if x == len(bits) or bits[x] != bits[start]:
            character, length = chr(63 + bits[start]), x - start
            parts.append(f"!{length}{character}" if length > 3 else character * length)
            start = x
    return "".join(parts)
