"""Finding the programs that belong to runtimed: `runtimed`, `runt`, whatever lies beside them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from runtimed.errors import RuntimedError

__all__ = ["BinaryNotFoundError", "find_binary"]


class BinaryNotFoundError(RuntimedError, FileNotFoundError):
    """A program is in none of the places where it may be.

    Shape: `binary_name`; `searched_paths`, one text for each place.
    """

    def __init__(self, binary_name: str, searched_paths: Sequence[str]) -> None:
        places = "".join(f"\n  {place}" for place in searched_paths)
        super().__init__(
            f"Could not find '{binary_name}' binary. Searched:{places}\n"
            f"Or set {_variable(binary_name)} to the binary path."
        )
        self.binary_name = binary_name
        self.searched_paths = list(searched_paths)


def find_binary(name: str) -> str:
    """The path of a program.

    Looked for in $RUNTIMED_<NAME>_PATH, the package itself, PATH, and the folders that installers
    use, in this order.
    Raises: BinaryNotFoundError.
    """
    searched = []
    variable = _variable(name)
    if told := os.environ.get(variable):
        if Path(told).is_file():
            return told
        searched.append(f"${variable}: {told}")
    for place in _places(name):
        if place is None:
            if found := shutil.which(name):
                return found
            searched.append("PATH")
        elif place.is_file() and os.access(place, os.X_OK):
            return str(place)
        else:
            searched.append(str(place))
    raise BinaryNotFoundError(name, searched)


def _variable(name: str) -> str:
    return f"RUNTIMED_{name.upper().replace('-', '_')}_PATH"


def _places(name: str) -> Iterator[Path | None]:
    """Where to look after the variable; None stands for PATH."""
    file = f"{name}.exe" if sys.platform == "win32" else name
    yield Path(__file__).parent / "_bin" / file
    yield None
    if sys.platform == "win32":
        if local := os.environ.get("LOCALAPPDATA"):
            yield Path(local) / "runt" / "bin" / file
        return
    yield Path("/usr/local/bin") / file
    data = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    yield Path.home() / data / "runt" / "bin" / file
