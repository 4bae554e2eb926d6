"""What the disk says when an environment can't be made on it, with what to do about it.

Text out of an error, for whoever raises it further.
"""

from __future__ import annotations

import errno
from pathlib import Path

__all__ = ["disk_trouble"]


def disk_trouble(error: OSError, root: Path) -> str:
    """What a user reads of it. root: the folder that was to hold the environment."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"Failed to create environment: the disk of {root} is full: free some space, "
            "for example with `runt env clean` or `uv cache prune`, then start the kernel again"
        )
    return f"Failed to create environment in {root}: {error}"
