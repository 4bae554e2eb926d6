"""Reading what the solver stack complains about: which package is to blame, is it the network.

Text in, values out.
"""

from __future__ import annotations

import re

__all__ = ["failed_package", "install_remedy", "is_network_trouble", "one_line", "spec_name"]

_KERNEL = frozenset({"ipykernel", "ipywidgets"})

_NAME = r"([A-Za-z0-9_][A-Za-z0-9_.-]*)"
_BLAMED = tuple(
    re.compile(pattern)
    for pattern in (
        # the innermost reason first: what is required and not to be had
        rf"No candidates were found for {_NAME}",
        rf"{_NAME}[^\n,]*, for which no candidates were found",
        rf"{_NAME}[^\n]* cannot be installed because there are no viable options",
        rf"{_NAME}[^\n]* can be installed with any of the following options",
        rf"failed to (?:fetch|link) {_NAME}",
    )
)

# What the specification retries, and the words that this library has for the same.
_NETWORK = re.compile(
    r"\b(429|500|502|503|504)\b|time[d ]*out|connection|sending request|reading a body|dns error",
    re.IGNORECASE,
)


def is_network_trouble(message: str) -> bool:
    """Whether trying again may help."""
    return _NETWORK.search(message) is not None


def failed_package(message: str) -> str | None:
    """The package that the solver or the installer names. The kernel's own are never to blame."""
    for pattern in _BLAMED:
        for match in pattern.finditer(message):
            name = re.sub(r"-\d[^-]*-[^-]*(\.conda|\.tar\.bz2)$", "", match[1]).lower()
            if name not in _KERNEL:
                return name
    return None


def install_remedy(message: str, disk: str) -> str:
    """What can be done about it, as a sentence to append; empty if we know nothing."""
    if re.search(r"No space left|File too large|quota exceeded", message, re.IGNORECASE):
        return f". Make room on {disk}"
    if re.search(r"hash mismatch|checksum|invalid zip", message, re.IGNORECASE):
        return (
            ". What the channel sent is not what its index promises: try again later, or use "
            "another channel"
        )
    return ""


def spec_name(spec: str) -> str:
    """The package that a spec is about, as far as it can be told from the text."""
    bare = spec.rpartition("::")[2]
    return re.split(r"[\s=<>!~\[@;]", bare.strip(), maxsplit=1)[0].lower()


def one_line(message: str) -> str:
    """An error with its causes, each said once."""
    parts = [part.removeprefix("Caused by: ").strip() for part in message.strip().splitlines()]
    return ": ".join(dict.fromkeys(part for part in parts if part))
