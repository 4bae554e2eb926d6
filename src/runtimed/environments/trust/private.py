"""The folder of approvals: for its user alone. Blocks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["make_private_folder"]


def make_private_folder(folder: Path) -> None:
    """Make a folder that nobody else can look into, and one of our own that was open so, too.

    Special cases: a folder that is somebody else's, such as /tmp, stays as it is.
    Raises: OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    ours = status.st_uid == os.getuid() and folder.name == "runt"
    if ours and stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
