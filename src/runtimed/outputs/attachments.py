"""Attachments of a file's cell as content references, and back: what manifests are to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtimed.outputs.json_text import utf8
from runtimed.outputs.manifest import (
    NewBlob,
    base64_bytes,
    bundle_references,
    is_manifest_hash,
    new_blob,
    resolve_bundle,
)

__all__ = ["build_attachments", "image_blob", "resolve_attachments"]

_SVG = "image/svg+xml"


def build_attachments(
    attachments: Mapping[str, Mapping[str, Any]], blobs: list[NewBlob]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Content references by name and MIME type; large contents go to `blobs`, binary ones decoded.

    Raises: ValueError for content that can't be JSON.
    """
    return {name: bundle_references(bundle, blobs) for name, bundle in attachments.items()}


def resolve_attachments(
    references: Mapping[str, Mapping[str, Any]], read_blob: Callable[[str], bytes | None]
) -> dict[str, dict[str, Any]]:
    """The attachments as a file has them. Raises: as resolve_manifest does."""
    return {name: resolve_bundle(bundle, read_blob) for name, bundle in references.items()}


def image_blob(
    media_type: str, reference: Mapping[str, Any], read_blob: Callable[[str], bytes | None]
) -> str | NewBlob | None:
    """The bytes of an attached image: the hash of the blob that has them, or one to be stored.

    None if there are none, because the blob is missing or the text is no base64.
    """
    name = reference.get("blob")
    if isinstance(name, str) and is_manifest_hash(name):
        data = read_blob(name)
        if data is None:
            return None
        if media_type == _SVG or reference.get("encoding") == "base64":
            return name
        decoded = base64_bytes(data)  # as peers write it that keep base64 for text
        return name if decoded is None else new_blob(decoded, media_type)
    text = utf8(str(reference.get("inline", "")))
    image = text if media_type == _SVG else base64_bytes(text)
    return new_blob(image, media_type) if image else None
