"""Metadata of the notebook and of its cells, and the dependencies declared there.

Every edit touches only the value it is about, so that edits of others survive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from runtimed.client.arguments import as_flag, as_optional_text, as_text, as_texts
from runtimed.client.membership import Membership
from runtimed.client.portal import on_trio
from runtimed.errors import RuntimedError

__all__ = ["NotebookMetadata", "package_name"]

_RESERVED = ("kernelspec", "language_info", "runt")
_NEW_SECTIONS: dict[str, dict[str, list[str]]] = {
    "uv": {"dependencies": []},
    "conda": {"dependencies": [], "channels": ["conda-forge"]},
}
_DEFAULT_RUNT = {"schema_version": "1"}

#: How often an added dependency is put back should a section made elsewhere at the same moment win.
_ATTEMPTS = 3


class NotebookMetadata(Membership):
    """The part of a session that is about metadata and dependencies."""

    @on_trio
    async def set_metadata(self, key: str, value: str) -> None:
        """Store a text in the shared document. It isn't written to the notebook file."""
        as_text("key", key), as_text("value", value)
        if key in _RESERVED:
            raise RuntimedError(f"Reserved metadata key: {key}")
        link = await self._connect()
        link.replica.document.set_raw_metadata(key, value)
        link.edited()

    @on_trio
    async def get_metadata(self, key: str) -> str | None:
        """The text stored under a key; None if there is none."""
        link = await self._connect()
        return link.replica.document.raw_metadata(as_text("key", key))

    @on_trio
    async def set_kernelspec(
        self, name: str, display_name: str, language: str | None = None
    ) -> None:
        """Say which kernel the notebook is for. Other metadata stays as it is."""
        kernelspec = {"name": as_text("name", name)}
        kernelspec["display_name"] = as_text("display_name", display_name)
        if as_optional_text("language", language) is not None:
            kernelspec["language"] = language or ""
        await self._connect()
        self._write_snapshot({**self._snapshot(), "kernelspec": kernelspec})

    @on_trio
    async def get_kernelspec(self) -> dict[str, str] | None:
        """`name`, `display_name` and, if set, `language`; None if there is none."""
        link = await self._connect()
        kernelspec = (link.replica.document.metadata_snapshot() or {}).get("kernelspec")
        return None if kernelspec is None else dict(kernelspec)

    # Cells

    @on_trio
    async def get_cell_metadata(self, cell_id: str) -> str | None:
        """A cell's metadata as JSON text; None if there is no such cell."""
        document = self._document
        if as_text("cell_id", cell_id) not in document:
            return None
        return orjson.dumps(document.cell_metadata(cell_id)).decode()

    @on_trio
    async def set_cell_metadata(self, cell_id: str, metadata_json: str) -> bool:
        """Replace a cell's metadata by a JSON object. False if there is no such cell."""
        return self._set_cell_metadata_at(cell_id, [], _parsed(metadata_json))

    @on_trio
    async def update_cell_metadata_at(
        self, cell_id: str, path: Sequence[str], value_json: str
    ) -> bool:
        """Set one value inside a cell's metadata, making the objects on the way to it.

        An empty path stands for all of the metadata. False if there is no such cell.
        """
        return self._set_cell_metadata_at(cell_id, as_texts("path", path), _parsed(value_json))

    @on_trio
    async def set_cell_source_hidden(self, cell_id: str, hidden: bool) -> bool:
        """Hide or show a cell's source. False if there is no such cell."""
        return self._set_cell_metadata_at(
            cell_id, ["jupyter", "source_hidden"], as_flag("hidden", hidden)
        )

    @on_trio
    async def set_cell_outputs_hidden(self, cell_id: str, hidden: bool) -> bool:
        """Hide or show a cell's outputs. False if there is no such cell."""
        return self._set_cell_metadata_at(
            cell_id, ["jupyter", "outputs_hidden"], as_flag("hidden", hidden)
        )

    @on_trio
    async def set_cell_tags(self, cell_id: str, tags: Sequence[str]) -> bool:
        """Replace a cell's tags. False if there is no such cell."""
        return self._set_cell_metadata_at(cell_id, ["tags"], as_texts("tags", tags))

    def _set_cell_metadata_at(self, cell_id: str, path: list[str], value: Any) -> bool:
        link = self._linked()
        document = link.replica.document
        if as_text("cell_id", cell_id) not in document:
            return False
        if path:
            document.set_cell_metadata_at(cell_id, path, value)
        elif isinstance(value, dict):
            document.set_cell_metadata(cell_id, value)
        else:
            raise RuntimedError("Invalid JSON: expected an object")
        link.edited()
        return True

    # Dependencies

    @on_trio
    async def get_uv_dependencies(self) -> list[str]:
        """The packages that uv installs for this notebook."""
        return self._dependencies("uv")

    @on_trio
    async def add_uv_dependency(self, package: str) -> None:
        """Declare a package for uv; an entry for the same package is replaced."""
        await self._add_dependency("uv", package)

    @on_trio
    async def remove_uv_dependency(self, package: str) -> bool:
        """Drop a package for uv. True if it was declared."""
        return self._remove_dependency("uv", package)

    @on_trio
    async def get_conda_dependencies(self) -> list[str]:
        """The conda packages of this notebook."""
        return self._dependencies("conda")

    @on_trio
    async def add_conda_dependency(self, package: str) -> None:
        """Declare a conda package; an entry for the same package is replaced."""
        await self._add_dependency("conda", package)

    @on_trio
    async def remove_conda_dependency(self, package: str) -> bool:
        """Drop a conda package. True if it was declared."""
        return self._remove_dependency("conda", package)

    @on_trio
    async def get_metadata_env_type(self) -> str | None:
        """`conda` or `uv`, whichever the notebook has a section for; None if neither."""
        runt = (self._document.metadata_snapshot() or {}).get("runt", {})
        return next((kind for kind in ("conda", "uv") if kind in runt), None)

    def _snapshot(self) -> dict[str, Any]:
        return self._document.metadata_snapshot() or {"runt": dict(_DEFAULT_RUNT)}

    def _write_snapshot(self, snapshot: dict[str, Any]) -> None:
        link = self._linked()
        link.replica.document.set_metadata_snapshot(snapshot)
        link.edited()

    def _section(self, kind: str) -> dict[str, Any] | None:
        section = self._snapshot().get("runt", {}).get(kind)
        return section if isinstance(section, dict) else None

    def _dependencies(self, kind: str) -> list[str]:
        return list((self._section(kind) or {}).get("dependencies", []))

    async def _add_dependency(self, kind: str, package: str) -> None:
        package = as_text("package", package).strip()
        if not package_name(package):
            raise RuntimedError(f"Not a package: {package!r}")
        if self._section(kind) is not None:
            self._put_dependency(kind, package)
            return
        # Two clients that make the section at the same moment make two, and one is dropped. So look
        # at the daemon's document first, and afterwards whether ours has survived.
        for _ in range(_ATTEMPTS):
            await self._in_step()
            if package in self._dependencies(kind):
                return
            self._put_dependency(kind, package)
        await self._in_step()

    def _put_dependency(self, kind: str, package: str) -> None:
        section = self._section(kind) or _NEW_SECTIONS[kind]
        old = list(section.get("dependencies", []))
        name = package_name(package)
        same = [at for at, entry in enumerate(old) if package_name(entry) == name]
        if same:
            new = [entry for at, entry in enumerate(old) if at not in same[1:]]
            new[same[0]] = package
        else:
            new = [*old, package]
        if new != old:
            self._write_dependencies(kind, section, new)

    def _remove_dependency(self, kind: str, package: str) -> bool:
        name = package_name(as_text("package", package))
        section = self._section(kind) or {}
        old = list(section.get("dependencies", []))
        new = [entry for entry in old if package_name(entry) != name]
        if len(new) == len(old):
            return False
        self._write_dependencies(kind, section, new)
        return True

    def _write_dependencies(self, kind: str, section: dict[str, Any], new: list[str]) -> None:
        snapshot = self._snapshot()
        runt = {**snapshot["runt"], kind: {**section, "dependencies": new}}
        self._write_snapshot({**snapshot, "runt": runt})


def package_name(package: str) -> str:
    """What two entries for the same package have in common: its name, in normal form.

    Source: PEP 503: case doesn't matter, and runs of `-`, `_` and `.` are alike.
    """
    name = re.split(r"[><=!~\[;@\s]", package.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _parsed(text: str) -> Any:
    try:
        return json.loads(as_text("JSON", text))
    except ValueError as error:
        raise RuntimedError(f"Invalid JSON: {error}") from error
