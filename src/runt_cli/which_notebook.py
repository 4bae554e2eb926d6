"""Which open notebook is meant: by its id or the beginning of one, its path, its name, its kernel.

Knows nothing of the daemon: the caller brings what `DaemonClient.list_rooms` gave.
"""

from __future__ import annotations

import os
import re
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from runt_cli.failure import Fail
from runt_cli.terminal import tilde

__all__ = [
    "Room",
    "absolute_path",
    "find_room",
    "names_file",
    "not_found",
    "notebook_id_of",
]

#: A room as `DaemonClient.list_rooms` describes it.
Room: TypeAlias = Mapping[str, Any]

_SUFFIX = ".ipynb"
_ID_BEGINNING = re.compile(r"[0-9A-Za-z_-]+")


def find_room(text: str, rooms: Sequence[Room]) -> Room | None:
    """The open notebook that a user's text means, None if none is.

    What is exact goes before what is a guess: the whole id, then the path, then the beginning of an
    id, of the notebook or of its kernel, or the mere name of the file. A text that is the path of a
    file which is there means that file alone, open or not.
    Raises: Fail that lists the candidates, if the first of these that fits fits several.
    """
    if not text:
        return None
    paths = {_composed(path) for path in _paths(text)}
    exact: Sequence[Callable[[Room], bool]] = (
        lambda room: text in (room["notebook_id"], room.get("kernel_id")),
        lambda room: bool({_composed(path) for path in _paths_of(room)} & paths),
    )
    for look in exact:
        if found := [room for room in rooms if look(room)]:
            return _only(text, found)
    if names_file(text):
        return None
    found = [room for room in rooms if _begins(room, text) or _has_name(room, text)]
    return _only(text, found) if found else None


def _only(text: str, found: Sequence[Room]) -> Room:
    if len(found) > 1:
        names = ", ".join(sorted(_candidate(text, room) for room in found))
        raise Fail(f"'{text}' means {len(found)} open notebooks: {names}")
    return found[0]


def _candidate(text: str, room: Room) -> str:
    """How a notebook is told from others that a text may mean, too."""
    name, kernel_id = tilde(str(room["notebook_id"])), str(room.get("kernel_id") or "")
    by_kernel = kernel_id.lower().startswith(text.lower())
    return f"{name} (kernel {kernel_id})" if by_kernel else name


def names_file(text: str) -> bool:
    """Whether a text is the path of a file that is there, be it without the suffix."""
    return any(os.path.isfile(path) for path in _paths(text))  # noqa: PTH113


def not_found(text: str) -> Fail:
    """The Fail for a text that means no open notebook."""
    hint = "Use 'runt notebooks' to see open notebooks."
    if text and names_file(text):
        return Fail(f"{text} is not open. {hint}")
    return Fail(f"Notebook not found: {text}. {hint}")


def notebook_id_of(text: str) -> str:
    """The id that a notebook has which is not open: a UUID, or a path as the daemon resolves it."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return _paths(text)[-1]


def absolute_path(text: str) -> Path:
    """The notebook file that a text names: from the root, `~` replaced, with the suffix.

    Links in it are not followed: whoever shows the path shows it as it was given.
    """
    path = Path.cwd() / _expanded(text)
    named = path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX)
    return path if path.is_file() else named


def _paths(text: str) -> list[str]:
    """What a text means as a path, all links followed: as it stands, then with the suffix."""
    text = _expanded(text)
    spelt = [text] if text.endswith(_SUFFIX) else [text, text.rstrip("/") + _SUFFIX]
    return [os.path.realpath(each) for each in spelt]


def _expanded(text: str) -> str:
    # Without a home folder the tilde stays, and names a file.
    return os.path.expanduser(text)  # noqa: PTH111  # Path's raises then


def _composed(path: str) -> str:
    """A name in one form: macOS writes letters and their accents apart."""
    return unicodedata.normalize("NFC", path)


def _paths_of(room: Room) -> set[str]:
    return {text for text in (room["notebook_id"], room.get("path")) if text and "/" in text}


def _begins(room: Room, text: str) -> bool:
    """Whether a text is the beginning of an id; those that are paths are no ids for that."""
    if not _ID_BEGINNING.fullmatch(text):
        return False
    return any(
        identity.lower().startswith(text.lower())
        for identity in (room["notebook_id"], room.get("kernel_id"))
        if identity and "/" not in identity
    )


def _has_name(room: Room, text: str) -> bool:
    if "/" in text:
        return False
    names = {_composed(text), _composed(text + _SUFFIX)}
    return any(_composed(path.rpartition("/")[2]) in names for path in _paths_of(room))
