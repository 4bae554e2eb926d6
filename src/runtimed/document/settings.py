"""The settings as a document that clients and the daemon edit at once.

Reads whatever a peer may have written; writes only what differs. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automerge.core import ROOT, Document, ObjType, ScalarType, Transaction

from runtimed.document.cell_values import part, read_str, read_strings
from runtimed.document.guarded import get, is_panic
from runtimed.document.json_mapping import write_key
from runtimed.document.settings_values import (
    KEYS,
    LONGEST_KEEP_ALIVE,
    NAMES,
    Settings,
    packages,
)
from runtimed.document.shared_document import SharedDocument, SyncPeer
from runtimed.errors import DocumentUnreadable, RuntimedError

__all__ = ["SettingsDocument"]

# The first change of every settings document is the same, byte for byte. So a document that is made
# anew, because nothing was written yet or the file was damaged, merges with what a peer still has;
# two different roots would hide each other's sections. Another first change needs another name.
_FIRST_ACTOR = b"runtimed:settings:1"

_SECTIONS = ("uv", "conda")
_FLAGS = ("onboarding_completed", "autosave", "format_on_save")


class SettingsDocument(SharedDocument):
    """A settings document."""

    @classmethod
    def create(cls, actor: bytes) -> SettingsDocument:
        """Make the document of somebody who has never set anything."""
        document = Document(_FIRST_ACTOR)
        with document.transaction() as t:
            t.put(ROOT, "theme", ScalarType.Str, "system")
            t.put(ROOT, "default_runtime", ScalarType.Str, "python")
            t.put(ROOT, "default_python_env", ScalarType.Str, "uv")
            t.put(ROOT, "keep_alive_secs", ScalarType.Int, 30)
            t.put(ROOT, "onboarding_completed", ScalarType.Boolean, False)
            for section in _SECTIONS:
                made = t.put_object(ROOT, section, ObjType.Map)
                t.put_object(made, "default_packages", ObjType.List)
        document.set_actor(actor)
        return cls(document)

    @classmethod
    def empty(cls, actor: bytes) -> SettingsDocument:
        """Make a replica that has nothing yet and gets everything by syncing."""
        return cls(Document(actor))

    @classmethod
    def load(cls, data: bytes, actor: bytes) -> SettingsDocument:
        """Load a stored document, bringing older ones up to date.

        Raises: DocumentUnreadable for bytes that are no document.
        """
        document = cls._load(data, actor)
        settings = cls(document, data)
        try:
            with document.transaction() as t:
                _migrate(document, t)
        except BaseException as error:
            if not is_panic(error):
                raise
            raise DocumentUnreadable(f"The document is damaged: {error}") from error
        settings._set_heads()
        return settings

    def read(self) -> Settings:
        """The settings as they are now. What is missing or senseless has its default."""
        values: dict[str, Any] = {}
        for key, clean in KEYS.items():
            section, _, member = key.partition(".")
            if member:
                value: Any = _read_list(self._doc, section, member)
            else:
                value = _tolerant(key, _scalar(self._doc, key))
            value = clean(value)
            if value is not None:
                values[key] = value
        if get(self._doc, ROOT, "onboarding_completed") is None:
            # Somebody who had chosen before there was such a question is not asked again.
            chosen = ("theme", "default_runtime")
            values["onboarding_completed"] = any(get(self._doc, ROOT, key) for key in chosen)
        return Settings.of(values)

    def update(self, values: Mapping[str, Any]) -> None:
        """Change settings, by dotted key, in one change. Equal ones are left alone.

        Raises: RuntimedError for a setting there is not, or a value that is none.
        """
        current = self.read()
        changed = {}
        for key, value in values.items():
            if key not in KEYS:
                raise RuntimedError(f"There is no setting {key}: use one of {', '.join(KEYS)}")
            clean = KEYS[key](value)
            if clean is None:
                raise RuntimedError(f"Not a value for the setting {key}: {value!r}")
            if getattr(current, NAMES[key]) != clean:
                changed[key] = clean
        if not changed:
            return
        with self._edit() as t:
            for key, value in changed.items():
                _put(self._doc, t, key, value)

    def receive_sync(self, peer: SyncPeer, data: bytes) -> bool:
        """Take a sync message of a peer in. Returns whether it brought changes.

        Raises: RemoteProtocolError if it can't be read or applied; the document is still good.
        """
        before = self._heads
        self._receive(peer, data)
        return self._heads != before


def _put(doc: Document, t: Transaction, key: str, value: Any) -> None:
    section, _, member = key.partition(".")
    if not member:
        write_key(doc, t, ROOT, section, value, _ignore)
        return
    inside = part(doc, ROOT, section, ObjType.Map)
    if inside is None:
        write_key(doc, t, ROOT, section, {member: list(value)}, _ignore)
    else:
        write_key(doc, t, inside, member, list(value), _ignore)


def _ignore(made: bytes) -> None:
    pass


def _scalar(doc: Document, key: str) -> Any:
    """The scalar under a root key; None if there is none of a kind that settings have."""
    found = get(doc, ROOT, key)
    if found is None or not isinstance(found[0], tuple):
        return None
    kind, value = found[0]
    known = (ScalarType.Str, ScalarType.Int, ScalarType.Uint, ScalarType.F64, ScalarType.Boolean)
    return value if kind in known else None


def _tolerant(key: str, value: Any) -> Any:
    """A value as other writers spell it, in the spelling that the clean form is made from."""
    if key == "keep_alive_secs":
        if isinstance(value, str) and len(value) < 20:
            text = value.strip()
            return int(text) if text.isascii() and text.isdecimal() else None
        if isinstance(value, float):
            return int(value) if value.is_integer() else None
    if key in _FLAGS and isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value


def _read_list(doc: Document, section: str, member: str) -> tuple[str, ...] | None:
    inside = part(doc, ROOT, section, ObjType.Map)
    listed = None if inside is None else part(doc, inside, member, ObjType.List)
    found = packages(read_strings(doc, listed))
    if member == "default_packages":
        return found or _listed_before(doc, section) or found
    return found


def _listed_before(doc: Document, section: str) -> tuple[str, ...] | None:
    """The packages as older versions had them: text with commas, at the root."""
    text = read_str(doc, ROOT, f"default_{section}_packages")
    return None if text is None else packages(text.split(","))


def _migrate(doc: Document, t: Transaction) -> None:
    for section in _SECTIONS:
        old_key = f"default_{section}_packages"
        if get(doc, ROOT, old_key) is not None:
            if listed := _read_list(doc, section, "default_packages"):
                _put(doc, t, f"{section}.default_packages", listed)
            t.delete(ROOT, old_key)
    found = get(doc, ROOT, "keep_alive_secs")
    if found is not None and found[0] == (ScalarType.Null, None):
        t.put(ROOT, "keep_alive_secs", ScalarType.Int, LONGEST_KEEP_ALIVE)
