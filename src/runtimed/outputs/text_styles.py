"""Colours of terminal text, kept as they were written.

A style is the short list of escape sequences that are in force. Emulated lines note the style of
each character, and rendering writes the sequences that lead from one style to the next.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["PLAIN", "Style", "StyleItem", "apply_sequence", "is_plain", "style_after", "transition"]

_SEQUENCE = re.compile(r"\x1b\[[0-9:;]*m|\x1b\]8;[^\x00-\x1f]{0,4096}(?:\x07|\x1b\\)")
_NEUTRAL = re.compile(r"\x1b\[(?:(?:0|10|2[2-9]|39|49|5[459])?(?:;|(?=m)))*m")
_LINK_END = re.compile(r"\x1b\]8;[^;]*;(?:\x07|\x1b\\)")

_BOLD, _DIM, _ITALIC, _UNDERLINE, _BLINK, _REVERSE, _HIDDEN, _STRIKE, _FONT = (
    1 << n for n in range(9)
)
_COLOR, _BACKGROUND, _UNDERLINE_COLOR, _OVERLINE, _OTHER = (1 << n for n in range(9, 14))
_ALL = (1 << 14) - 1
_LINK = 1 << 14

_ATTRIBUTES = {
    1: _BOLD,
    2: _DIM,
    3: _ITALIC,
    4: _UNDERLINE,
    5: _BLINK,
    6: _BLINK,
    7: _REVERSE,
    8: _HIDDEN,
    9: _STRIKE,
    21: _UNDERLINE,
    22: _BOLD | _DIM,
    23: _ITALIC,
    24: _UNDERLINE,
    25: _BLINK,
    27: _REVERSE,
    28: _HIDDEN,
    29: _STRIKE,
    53: _OVERLINE,
    55: _OVERLINE,
    58: _UNDERLINE_COLOR,
    59: _UNDERLINE_COLOR,
}


class StyleItem(NamedTuple):
    """A sequence as written, and the bits of those of its effects that nothing has replaced yet."""

    sequence: str
    effects: int


Style = tuple[StyleItem, ...]
PLAIN: Style = ()


def is_plain(style: Style) -> bool:
    """Whether text in this style looks like text without any."""
    return all(_is_neutral(item.sequence) for item in style)


@lru_cache(maxsize=4096)
def apply_sequence(style: Style, sequence: str) -> Style:
    """The style in force once the sequence was written on top of another.

    A style never grows beyond the number of different effects: what is replaced is forgotten.
    """
    if _LINK_END.fullmatch(sequence):
        return tuple(item for item in style if not item.effects & _LINK)
    effects = _effects(sequence)
    kept = tuple(
        StyleItem(item.sequence, item.effects & ~effects)
        for item in style
        if item.effects & ~effects and not _is_neutral(item.sequence)
    )
    return (*kept, StyleItem(sequence, effects))


def style_after(style: Style, text: str) -> Style:
    """The style in force at the end of a text that begins in `style`."""
    if "\x1b" in text:
        for sequence in _SEQUENCE.findall(text):
            style = apply_sequence(style, sequence)
    return style


@lru_cache(maxsize=4096)
def transition(old: Style, new: Style) -> str:
    """The escape sequences that lead from one style to another; as few as written, if possible."""
    if old == new or (is_plain(old) and is_plain(new)):
        return ""
    for count in range(1, len(new) + 1):
        reached = old
        for item in new[-count:]:
            reached = apply_sequence(reached, item.sequence)
        if reached == new:
            return "".join(item.sequence for item in new[-count:])
    parts = []
    if any(item.effects & _LINK for item in old):
        parts.append("\x1b]8;;\x1b\\")
    if any(item.effects & _ALL for item in old) and not is_plain(old):
        parts.append("\x1b[0m")
    parts.extend(item.sequence for item in new)
    return "".join(parts)


@lru_cache(maxsize=4096)
def _is_neutral(sequence: str) -> bool:
    """Whether the sequence only turns things off. It is kept for its spelling, if it came last."""
    return _NEUTRAL.fullmatch(sequence) is not None


@lru_cache(maxsize=4096)
def _effects(sequence: str) -> int:
    if sequence.startswith("\x1b]"):
        return _LINK
    effects = 0
    # Arguments of 38, 48 and 58 are skipped; with colons they are part of one field anyway.
    fields = iter(sequence[2:-1].split(";"))
    for field in fields:
        code = int(field.split(":")[0] or "0")
        if code == 0:
            return _ALL
        if code in (38, 48, 58) and ":" not in field:
            for _ in range({"5": 1, "2": 3}.get(next(fields, ""), 0)):
                next(fields, "")
        if 30 <= code <= 39 or 90 <= code <= 97:
            effects |= _COLOR
        elif 40 <= code <= 49 or 100 <= code <= 107:
            effects |= _BACKGROUND
        elif 10 <= code <= 20:
            effects |= _FONT
        else:
            effects |= _ATTRIBUTES.get(code, _OTHER)
    return effects
