"""Which texts may hold a name, a password or a token, such as addresses of indexes and proxies."""

from __future__ import annotations

import re

__all__ = ["may_hold_credentials"]

#: A name before a host, with or without a scheme; a query; and the path of conda's tokens.
_SIGNS = re.compile(r"@|\?|(?<![\w.-])t/", re.IGNORECASE)


def may_hold_credentials(text: str) -> bool:
    """Whether an address, or a list of them, may hold something that is nobody else's business.

    In doubt it may: a password can have any character in it, and an address no scheme.
    """
    return _SIGNS.search(text) is not None
