"""Attachments of a file's cell as content references, and back: what manifests are to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtimed.outputs.manifest import NewBlob, bundle_references, resolve_bundle

__all__ = ["build_attachments", "resolve_attachments"]


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
