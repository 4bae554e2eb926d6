"""Documents and settings that can't be read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runtimed.doctor.aside import move_aside
from runtimed.doctor.finding import Finding, Repair, ok
from runtimed.doctor.site import Site
from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NotebookDocument
from runtimed.document.settings import SettingsDocument
from runtimed.document.settings_mirror import parse_mirror
from runtimed.document.settings_unused import unknown_keys, unused_values
from runtimed.document.settings_values import Values
from runtimed.document.storage import split_chunks
from runtimed.errors import DocumentTooNew, DocumentUnreadable
from runtimed.paths import settings_folder

__all__ = ["documents", "settings"]


def documents(site: Site) -> Iterator[Finding]:
    """Saved notebooks that can't be read. The newest first, as many as time allows."""
    folder = site.paths.documents
    give_up = time.monotonic() + site.reading
    files = sorted(folder.glob("*.automerge"), key=_changed_at, reverse=True)
    if not files:
        yield ok("documents", "There are no saved documents", folder)
        return
    checked = 0
    all_right = True
    for path in files:
        if checked and time.monotonic() > give_up:
            break
        checked += 1
        for finding in _look_at(path):
            all_right = False
            yield finding
    extent = f"{checked} of {len(files)} saved documents were checked, the newest first"
    yield ok("documents", f"{extent}; all can be read" if all_right else extent, folder)


def _look_at(path: Path) -> Iterator[Finding]:
    try:
        good, _ = split_chunks(path.read_bytes())
        if not good:
            raise DocumentUnreadable("no complete chunk in it")
        NotebookDocument.load(good, daemon_actor())
    except FileNotFoundError:
        return
    except DocumentTooNew as error:
        yield Finding(
            name="documents",
            status="note",
            path=path,
            what=f"The document is of a later version: {error}",
            why="It was written by a newer runtimed, and is left alone",
            remedy="Update runtimed to open it",
        )
    except DocumentUnreadable as error:
        yield Finding(
            name="documents",
            status="error",
            path=path,
            what=f"The document can't be read: {error}",
            why="The machine or its disk failed while it was written, or something changed it",
            remedy="The notebook begins anew from its .ipynb file; the document is kept aside",
            repair=_moving(path, "document"),
            alone=True,
        )


def settings(site: Site) -> Iterator[Finding]:
    """The settings: the document that daemons share, and the file that people edit."""
    document = site.paths.settings
    mirror = settings_folder(site.environ) / "settings.json"
    current: Values | None = None
    try:
        loaded = SettingsDocument.load(document.read_bytes(), daemon_actor())
        current = loaded.read().values()
    except FileNotFoundError:
        pass
    except DocumentUnreadable as error:
        yield Finding(
            name="settings",
            status="error",
            path=document,
            what=f"The settings document can't be read: {error}",
            why="The machine or its disk failed while it was written, or something changed it",
            remedy="The next daemon begins it anew from settings.json",
            repair=_moving(document, "settings document"),
            alone=True,
        )
    try:
        content = parse_mirror(mirror.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError as error:
        # Not moved: it is the user's own, and most likely one comma short.
        yield Finding(
            name="settings",
            status="error",
            path=mirror,
            what=f"The settings file can't be read: {error}",
            why="The daemon goes on with the settings it had before",
            remedy="Correct it in an editor; settings.schema.json beside it says what may be in it",
        )
    else:
        yield from _values(content, current, mirror)


def _values(content: Mapping[str, Any], current: Values | None, mirror: Path) -> Iterator[Finding]:
    unused = unused_values(content, current)
    for one in unused:
        yield Finding(
            name="settings",
            status="warning",
            path=mirror,
            what=f"The setting {one.key} is not used: {one.value}",
            why=f"Allowed is {one.allowed}; used instead: {one.instead}",
            remedy="Correct it in an editor, or take it out",
        )
    for key in unknown_keys(content):
        yield Finding(
            name="settings",
            status="note",
            path=mirror,
            what=f"The setting {key} is not known",
            why="It is misspelt or of another version, and left as it is",
        )
    if not unused:
        yield ok("settings", "The settings file can be read", mirror)


def _moving(path: Path, what: str) -> Repair:
    def move() -> str:
        return f"Moved the unreadable {what} to {move_aside(path)}"

    return move


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
