"""Variable-length integers, as the binary document format writes them."""

from __future__ import annotations

__all__ = ["encode_unsigned", "signed", "unsigned"]


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned number. Returns: it and where it ends. Raises: IndexError if cut off."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def signed(data: bytes, at: int) -> tuple[int, int]:
    """Read a signed number. Returns: it and where it ends. Raises: IndexError if cut off."""
    start = at
    value, at = unsigned(data, at)
    bits = 7 * (at - start)
    if value >> (bits - 1):
        value -= 1 << bits
    return value, at


def encode_unsigned(value: int) -> bytes:
    """Write an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
