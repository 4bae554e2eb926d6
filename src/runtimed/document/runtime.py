"""Which language a notebook is in, as its metadata tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["notebook_runtime"]

_LANGUAGES = {
    "python": "python",
    "deno": "deno",
    "typescript": "deno",
    "javascript": "deno",
}


def notebook_runtime(snapshot: Mapping[str, Any] | None) -> str | None:
    """`python`, `deno`, or None where the metadata says neither.

    The notebook's own kernel beats a stray `runt.deno`; another kernel is none of ours.
    """
    snapshot = snapshot or {}
    kernelspec = _group(snapshot.get("kernelspec"))
    name = _lower(kernelspec.get("name"))
    for runtime in ("deno", "python"):
        if runtime in name:
            return runtime
    for group in (kernelspec.get("language"), _group(snapshot.get("language_info")).get("name")):
        if (language := _LANGUAGES.get(_lower(group))) is not None:
            return language
    return "deno" if _group(snapshot.get("runt")).get("deno") is not None else None


def _group(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _lower(value: Any) -> str:
    return value.lower() if isinstance(value, str) else ""
