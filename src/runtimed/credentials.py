"""Which texts may hold a name, a password or a token, such as addresses of indexes and proxies."""

from __future__ import annotations

import re

__all__ = ["is_secret", "may_hold_credentials"]

#: A name before a host, with or without a scheme; a query; and the path of conda's tokens.
_SIGNS = re.compile(r"@|\?|(?<![\w.-])t/", re.IGNORECASE)

_SECRET_NAME = re.compile(r"(TOKEN|KEY|SECRET|PASS|PASSWORD|CREDENTIAL)S?\Z", re.IGNORECASE)
_PLACE_NAME = re.compile(r"_(PATH|DIR|HOME)\Z")


def may_hold_credentials(text: str) -> bool:
    """Whether an address, or a list of them, may hold something that is nobody else's business.

    In doubt it may: a password can have any character in it, and an address no scheme.
    """
    return _SIGNS.search(text) is not None


def is_secret(name: str, value: str) -> bool:
    """Whether a variable may hold credentials, by its name or its value."""
    if _SECRET_NAME.search(name):
        return True
    return _PLACE_NAME.search(name) is None and may_hold_credentials(value)
