"""Sizes and times as people write them, and as they type them."""

from __future__ import annotations

import re

import click

__all__ = ["ago", "duration", "size"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def size(count: float) -> str:
    """Such as `12 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def ago(moment: float, now: float) -> str:
    """Such as `3 d`: how long ago, in the largest unit that fits."""
    seconds = max(0.0, now - moment)
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def duration(text: str) -> float:
    """A number with a unit, as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration: write it like 12h, 30d or 2w.")
    return float(found[1]) * _UNITS[found[2]]
