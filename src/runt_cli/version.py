"""The version that `runt --version` prints."""

from __future__ import annotations

__all__ = ["version"]


def version() -> str:
    """The installed distribution's version; `0.0.0-dev` for a tree that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("runtimed")
    except metadata.PackageNotFoundError:
        return "0.0.0-dev"
