"""Metadata of the notebook and of its cells, and the dependencies declared there.

Every edit touches only the value it is about, so that edits of others survive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from runtimed.client.arguments import as_flag, as_optional_text, as_text, as_texts
from runtimed.client.membership import REQUEST_TIMEOUT, Membership, unexpected
from runtimed.client.portal import on_trio
from runtimed.document.metadata import DEFAULT_RUNT
from runtimed.errors import RequestFailed, RuntimedError
from runtimed.protocol import requests, responses

__all__ = ["NotebookMetadata", "package_name"]

_RESERVED = ("kernelspec", "language_info", "runt")
_NEW_SECTIONS: dict[str, dict[str, list[str]]] = {
    "uv": {"dependencies": []},
    "conda": {"dependencies": [], "channels": ["conda-forge"]},
}


class NotebookMetadata(Membership):
    """The part of a session that is about metadata and dependencies."""

    @on_trio
    async def set_metadata(self, key: str, value: str) -> None:
        """Store a text in the shared document. It isn't written to the notebook file."""
        as_text("key", key), as_text("value", value)
        if key in _RESERVED:
            raise RuntimedError(f"Reserved metadata key: {key}")
        await self._connect()
        link = await self._editing()
        link.replica.document.set_raw_metadata(key, value)
        link.edited()

    @on_trio
    async def get_metadata(self, key: str) -> str | None:
        """The text stored under a key; None if there is none."""
        as_text("key", key)
        await self._connect()
        link = await self._reading()
        return link.replica.document.raw_metadata(key)

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
        link = await self._editing()
        link.replica.document.set_metadata_at(["kernelspec"], kernelspec)
        link.edited()

    @on_trio
    async def get_kernelspec(self) -> dict[str, str] | None:
        """`name`, `display_name` and, if set, `language`; None if there is none."""
        await self._connect()
        link = await self._reading()
        kernelspec = (link.replica.document.metadata_snapshot() or {}).get("kernelspec")
        return None if kernelspec is None else dict(kernelspec)

    # Cells

    @on_trio
    async def get_cell_metadata(self, cell_id: str) -> str | None:
        """A cell's metadata as JSON text; None if there is no such cell."""
        document = (await self._reading()).replica.document
        if as_text("cell_id", cell_id) not in document:
            return None
        return orjson.dumps(document.cell_metadata(cell_id)).decode()

    @on_trio
    async def set_cell_metadata(self, cell_id: str, metadata_json: str) -> bool:
        """Replace a cell's metadata by a JSON object. False if there is no such cell."""
        return await self._set_cell_metadata_at(cell_id, [], _parsed(metadata_json))

    @on_trio
    async def update_cell_metadata_at(
        self, cell_id: str, path: Sequence[str], value_json: str
    ) -> bool:
        """Set one value inside a cell's metadata, making the objects on the way to it.

        An empty path stands for all of the metadata. False if there is no such cell.
        """
        value = _parsed(value_json)
        return await self._set_cell_metadata_at(cell_id, as_texts("path", path), value)

    @on_trio
    async def set_cell_source_hidden(self, cell_id: str, hidden: bool) -> bool:
        """Hide or show a cell's source. False if there is no such cell."""
        return await self._set_cell_metadata_at(
            cell_id, ["jupyter", "source_hidden"], as_flag("hidden", hidden)
        )

    @on_trio
    async def set_cell_outputs_hidden(self, cell_id: str, hidden: bool) -> bool:
        """Hide or show a cell's outputs. False if there is no such cell."""
        return await self._set_cell_metadata_at(
            cell_id, ["jupyter", "outputs_hidden"], as_flag("hidden", hidden)
        )

    @on_trio
    async def set_cell_tags(self, cell_id: str, tags: Sequence[str]) -> bool:
        """Replace a cell's tags. False if there is no such cell."""
        return await self._set_cell_metadata_at(cell_id, ["tags"], as_texts("tags", tags))

    async def _set_cell_metadata_at(self, cell_id: str, path: list[str], value: Any) -> bool:
        document = self._document
        if as_text("cell_id", cell_id) not in document:
            return False
        if len(path) > 1:
            await self._ensure_metadata(cell_id, path[:-1], {})
        link = await self._editing()
        document = link.replica.document
        if cell_id not in document:
            return False  # deleted by somebody meanwhile
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
        await self._reading()
        return self._dependencies("uv")

    @on_trio
    async def add_uv_dependency(self, package: str) -> None:
        """Declare a package for uv; an entry for the same package is replaced."""
        await self._add_dependency("uv", package)

    @on_trio
    async def remove_uv_dependency(self, package: str) -> bool:
        """Drop a package for uv. True if it was declared."""
        return await self._remove_dependency("uv", package)

    @on_trio
    async def get_conda_dependencies(self) -> list[str]:
        """The conda packages of this notebook."""
        await self._reading()
        return self._dependencies("conda")

    @on_trio
    async def add_conda_dependency(self, package: str) -> None:
        """Declare a conda package; an entry for the same package is replaced."""
        await self._add_dependency("conda", package)

    @on_trio
    async def remove_conda_dependency(self, package: str) -> bool:
        """Drop a conda package. True if it was declared."""
        return await self._remove_dependency("conda", package)

    @on_trio
    async def get_metadata_env_type(self) -> str | None:
        """`conda` or `uv`, whichever the notebook has a section for; None if neither."""
        document = (await self._reading()).replica.document
        for kind in ("conda", "uv"):
            if document.has_metadata_object(None, ["runt", kind]):
                return kind
        return None

    def _dependencies(self, kind: str) -> list[str]:
        entries = self._document.metadata_at(["runt", kind, "dependencies"])
        if not isinstance(entries, list):
            return []
        return [entry for entry in entries if isinstance(entry, str)]

    async def _add_dependency(self, kind: str, package: str) -> None:
        package = as_text("package", package).strip()
        if not package_name(package):
            raise RuntimedError(f"Not a package: {package!r}")
        await self._ensure_metadata(None, ["runt"], DEFAULT_RUNT)
        await self._ensure_metadata(None, ["runt", kind], _NEW_SECTIONS[kind])
        await self._editing()
        old = self._dependencies(kind)
        name = package_name(package)
        same = [at for at, entry in enumerate(old) if package_name(entry) == name]
        new = [entry for at, entry in enumerate(old) if at not in same[1:]]
        if same:
            new[same[0]] = package
        else:
            new.append(package)
        self._write_dependencies(kind, new)

    async def _remove_dependency(self, kind: str, package: str) -> bool:
        name = package_name(as_text("package", package))
        await self._editing()
        old = self._dependencies(kind)
        new = [entry for entry in old if package_name(entry) != name]
        if len(new) == len(old):
            return False
        self._write_dependencies(kind, new)
        return True

    def _write_dependencies(self, kind: str, new: list[str]) -> None:
        link = self._linked()
        link.replica.document.set_metadata_at(["runt", kind, "dependencies"], new)
        link.edited()

    async def _ensure_metadata(
        self, cell_id: str | None, path: list[str], value: Mapping[str, Any]
    ) -> None:
        """Have an object in the metadata that is the same one for all who write into it.

        The daemon makes it: two that were made at the same moment would hide one another. A daemon
        that can't leaves it to the write that follows.
        """
        if self._document.has_metadata_object(cell_id, path):
            return
        request = requests.EnsureMetadata(cell_id, path, dict(value))
        try:
            answer = await self._request(request)
        except RequestFailed:
            return
        if not isinstance(answer, responses.Heads):
            raise unexpected("ensure_metadata", answer)
        await self._linked().caught_up(answer.heads, REQUEST_TIMEOUT)


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
