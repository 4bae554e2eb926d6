"""Which environment a notebook's kernel gets. Pure: metadata in, a label or a clear refusal out."""

from __future__ import annotations

from typing import Any

from runtimed.errors import RuntimedError

__all__ = ["choose_env_source", "declared_dependencies"]

_RESOLVE = {"", "auto", "prewarmed"}


def declared_dependencies(snapshot: dict[str, Any] | None) -> list[str]:
    """The packages that a notebook's metadata asks for."""
    runt = (snapshot or {}).get("runt") or {}
    found: list[str] = []
    for section in ("uv", "conda"):
        entries = (runt.get(section) or {}).get("dependencies")
        if isinstance(entries, list):
            found += [entry for entry in entries if isinstance(entry, str)]
    return found


def choose_env_source(kernel_type: str, env_source: str, snapshot: dict[str, Any] | None) -> str:
    """The label of the environment to use.

    Raises: RuntimedError, naming the remedy, for what this version can't provide; a kernel never
    runs in another environment than the notebook asks for.
    """
    if kernel_type not in ("", "auto", "python"):
        raise RuntimedError(
            f"Failed to launch kernel: Unsupported kernel type: {kernel_type}. "
            "Supported types: python"
        )
    if env_source == "uv:prewarmed":
        return env_source
    if env_source not in _RESOLVE:
        raise RuntimedError(
            f'Environments of kind "{env_source}" are not available in this version: '
            'use env_source="uv:prewarmed"'
        )
    if packages := declared_dependencies(snapshot):
        raise RuntimedError(
            f"The notebook declares dependencies ({', '.join(packages)}), and environments made "
            "from such a list are not available in this version: start the kernel with "
            'env_source="uv:prewarmed" to run without them'
        )
    return "uv:prewarmed"
