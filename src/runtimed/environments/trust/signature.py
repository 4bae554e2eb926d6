"""Signatures over what a notebook asks for. Pure: the key is an argument."""

from __future__ import annotations

import hashlib
import hmac
import re

__all__ = ["KEY_SIZE", "is_signed", "sign"]

#: Bytes of a key.
KEY_SIZE = 32

_PREFIX = "hmac-sha256:"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def sign(key: bytes, content: bytes) -> str:
    """The signature of some content, as a notebook stores it.

    Shape: `hmac-sha256:` and 64 lower-case hex digits.
    """
    return _PREFIX + hmac.new(key, content, hashlib.sha256).hexdigest()


def is_signed(key: bytes, content: bytes, signature: str | None) -> bool:
    """Whether a signature is that of the content. Takes the same time wherever it differs."""
    if signature is None or not signature.startswith(_PREFIX):
        return False
    digest = signature[len(_PREFIX) :]
    if _DIGEST.fullmatch(digest) is None:
        return False
    expected = hmac.new(key, content, hashlib.sha256).digest()
    return hmac.compare_digest(expected, bytes.fromhex(digest))
