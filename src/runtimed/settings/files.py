"""The files that settings lie in: the document, its mirror that people edit, the mirror's schema.

Plain blocking functions, called in worker threads. What is replaced is written beside its target,
flushed and renamed, so that a crash leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Any

import attrs
import orjson

from runtimed.document.actors import daemon_actor
from runtimed.document.settings import SettingsDocument
from runtimed.document.settings_mirror import parse_mirror, schema_text
from runtimed.document.settings_values import KEYS, Values
from runtimed.errors import DocumentUnreadable
from runtimed.replacing import replace_file

__all__ = ["Loaded", "SettingsFiles", "Signature"]

log = logging.getLogger(__name__)

#: What tells one state of a file from another without reading it; None where there is no file.
Signature = tuple[int, int, int] | None


@attrs.frozen
class Loaded:
    """What was found at the start. `seen` is what the mirror said when both files last agreed."""

    document: SettingsDocument
    seen: Values
    mirror: bytes | None


class SettingsFiles:
    """The paths of one daemon's settings, and the ways to read and write there."""

    def __init__(self, document: Path, folder: Path) -> None:
        self.document = document
        self.mirror = folder / "settings.json"
        self._schema = folder / "settings.schema.json"
        # What the mirror said when it was last read or written. Without this, a daemon that starts
        # could not tell a hand edit from a change that had not reached the mirror.
        self._seen = document.with_name("settings-mirrored.json")
        self._readable = True

    def load(self) -> Loaded:
        """Read everything. What can't be read is logged, and replaced by the next best."""
        document = self._load_document()
        seen = self._load_seen() if document is not None else {}
        mirror = None
        try:
            mirror = self.read_mirror()
        except OSError as error:
            log.error("settings file can't be read path=%s error=%s", self.mirror, error)
        return Loaded(document or SettingsDocument.create(daemon_actor()), seen, mirror)

    def _load_document(self) -> SettingsDocument | None:
        try:
            return SettingsDocument.load(self.document.read_bytes(), daemon_actor())
        except FileNotFoundError:
            pass
        except DocumentUnreadable as error:
            aside = keep_aside(self.document)
            log.error(
                "settings document is damaged, begun anew from the settings file "
                "path=%s kept_as=%s error=%s",
                self.document,
                aside,
                error,
            )
        except OSError as error:
            self._readable = False  # and so not ours to replace
            log.error(
                "settings document can't be read, settings are not saved there path=%s error=%s",
                self.document,
                error,
            )
        return None

    def _load_seen(self) -> dict[str, Any]:
        try:
            content = parse_mirror(self._seen.read_bytes())
        except (OSError, ValueError):
            return {}
        return {
            key: value
            for key, clean in KEYS.items()
            if (value := clean(content.get(key))) is not None
        }

    def write_schema(self) -> None:
        """Bring the schema file up to date. Its absence does no harm, so nor does a refusal."""
        content = schema_text()
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._schema.read_bytes() == content:
                    return
            self._schema.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._schema, content)
        except OSError as error:
            log.warning("settings schema not written path=%s error=%s", self._schema, error)

    def signature(self) -> Signature:
        """Of the mirror, links followed."""
        try:
            status = self.mirror.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def read_mirror(self) -> bytes | None:
        """The mirror's content; None if there is none.

        Raises: OSError.
        """
        try:
            if not stat.S_ISREG(self.mirror.stat().st_mode):  # reading a pipe would wait for ever
                raise OSError("no regular file")
            return self.mirror.read_bytes()
        except FileNotFoundError:
            return None

    def replace_mirror(self, expected: bytes | None, content: bytes) -> bool:
        """Write the mirror, if it still is what is expected.

        Raises: OSError.
        """
        self.mirror.parent.mkdir(parents=True, exist_ok=True)
        if self.read_mirror() != expected:
            return False
        replace_file(Path(os.path.realpath(self.mirror)), content)  # a link stays one
        return True

    def write_document(self, data: bytes, seen: Values) -> None:
        """Write the document, and what of it the mirror says.

        Raises: OSError.
        """
        if self._readable:
            replace_file(self.document, data)
            replace_file(self._seen, orjson.dumps(seen, option=orjson.OPT_INDENT_2))


def keep_aside(path: Path) -> Path | None:
    """Rename a damaged file, keeping those that were damaged before; None if it can't be."""
    target = path.with_name(f"{path.name}.corrupt")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{number}")
    try:
        path.rename(target)
    except OSError as error:
        log.error("damaged file can't be kept aside path=%s error=%s", path, error)
        return None
    return target
