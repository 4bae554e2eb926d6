"""Who may connect: whoever knows the token, and no web page that has not been let in.

Pure. A browser tells with `Origin` which page opens a WebSocket, and lets any page do it; whoever
can talk to a runtime can run commands.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable
from urllib.parse import parse_qs, urlsplit

import attrs

__all__ = ["Access"]


@attrs.frozen
class Access:
    """The rules of a server. Without a token everybody may connect; `origins` may hold `*`."""

    token: str | None = None
    origins: Collection[str] = ()

    def refusal(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> int | None:
        """The HTTP status with which a connection is refused; None if it is welcome."""
        named = {name.lower(): value.decode("latin-1") for name, value in headers}
        origin = named.get(b"origin")
        if origin is not None and origin not in self.origins and "*" not in self.origins:
            return 403
        if self.token is None:
            return None
        scheme, _, given = named.get(b"authorization", "").partition(" ")
        offered = [given.strip()] if scheme.lower() == "bearer" else []
        offered += parse_qs(urlsplit(path).query).get("token", [])
        # Each in the same time, whatever of it is right.
        right = [hmac.compare_digest(each.encode(), self.token.encode()) for each in offered]
        return None if any(right) else 401
