"""What uv says when it can't install, with what to do about it.

Knows nothing of processes: text in, text out.
"""

from __future__ import annotations

import re

__all__ = ["with_remedy"]

_NOISE = re.compile(r"^Using Python .*\n", re.MULTILINE)

# The first that matches: the more precise come first.
_REMEDIES = tuple(
    (re.compile(pattern, re.IGNORECASE), remedy)
    for pattern, remedy in (
        (
            r"no space left on device|disk quota exceeded|os error 28|os error 122",
            "The disk is full: free some space, for example with `runt env clean` or "
            "`uv cache prune`, then start the kernel again.",
        ),
        (
            r"file too large|os error 27",
            "A file is larger than the daemon may write: start it without that limit "
            "(`ulimit -f unlimited`), then start the kernel again.",
        ),
        (
            r"it was killed \(SIG",
            "Something ended it, perhaps for want of memory: start the kernel again.",
        ),
        (
            r"network connectivity is disabled|--offline",
            "uv works offline (UV_OFFLINE): unset that, or use packages that its cache has.",
        ),
        (
            r"error sending request|failed to fetch|dns error|timed out|timeout|connection "
            r"(?:refused|reset|closed)|request failed|end of file before message|failed to "
            r"(?:download|extract)|error decoding response|unexpected eof",
            "The package index can't be reached or breaks off: check the network, proxy and index "
            "settings (UV_DEFAULT_INDEX, uv.toml), then start the kernel again.",
        ),
        (
            r"not found in the (?:package registry|provided package locations)",
            "Check the name of the package, and whether the index that has it is configured "
            "(UV_DEFAULT_INDEX, UV_INDEX, uv.toml).",
        ),
        (
            r"does not satisfy Python|requires-python|incompatible with the project's python",
            "Change `requires-python`, or take a version of the package for this Python.",
        ),
        (
            r"pre-releases",
            'Allow pre-releases (`"prerelease": "allow"` in the uv section), or ask for a release.',
        ),
        (
            r"there (?:is|are) no versions? of",
            "Ask for a version that exists, or allow pre-releases.",
        ),
        (
            r"unsatisfiable|incompatible|conflict",
            "The requirements exclude each other: loosen the versions of one of them.",
        ),
        (
            r"failed to build|build backend",
            "The package has no wheel for this Python and platform and does not build here: take "
            "another version of it, or install what its build needs.",
        ),
    )
)


def with_remedy(stderr: str) -> str:
    """The text, and in a line of its own what can be done, where that is known."""
    text = _NOISE.sub("", stderr)
    for pattern, remedy in _REMEDIES:
        if pattern.search(text):
            return f"{text}\n{remedy}"
    return text
