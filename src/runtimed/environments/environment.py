"""What an environment is: a folder with an interpreter in it that a kernel can run on.

Knows nothing of how one is built, where it waits or who uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

__all__ = ["Environment", "Kind"]

Kind = Literal["uv", "conda"]


@attrs.frozen
class Environment:
    """A finished environment: its folder and the interpreter inside."""

    kind: Kind
    path: Path
    python: Path

    @property
    def bin(self) -> Path:
        """Where its console scripts lie: first on a kernel's PATH."""
        return self.python.parent
