"""Structures that several messages share: launch configuration, cells, widgets, completions.

They have no tag of their own and appear only inside messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from runtimed.protocol.spelling import OMIT_EMPTY, Paths, SignedInt, Wire, strings

__all__ = [
    "CellSnapshot",
    "CommSnapshot",
    "CompletionItem",
    "DenoLaunchedConfig",
    "EnvSyncDiff",
    "HistoryEntry",
    "KernelInfo",
    "LaunchedEnvConfig",
    "SimilarName",
    "byte_strings",
    "cell_snapshots",
    "optional_strings",
    "paths",
]


def optional_strings(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Like `strings`, for a field that may be absent."""
    return None if values is None else tuple(values)


@attrs.frozen(eq=False, repr=False)
class DenoLaunchedConfig(Wire):
    """What a Deno kernel was started with."""

    permissions: tuple[str, ...] = attrs.field(default=(), converter=strings)
    import_map: str | None = None
    config: str | None = None
    flexible_npm_imports: bool = True


@attrs.frozen(eq=False, repr=False)
class LaunchedEnvConfig(Wire):
    """What a kernel's environment was made from, for noticing drift later."""

    uv_deps: tuple[str, ...] | None = attrs.field(default=None, converter=optional_strings)
    conda_deps: tuple[str, ...] | None = attrs.field(default=None, converter=optional_strings)
    conda_channels: tuple[str, ...] | None = attrs.field(default=None, converter=optional_strings)
    deno_config: DenoLaunchedConfig | None = None
    venv_path: str | None = None
    python_path: str | None = None
    launch_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class EnvSyncDiff(Wire):
    """How the notebook's dependencies differ from those its kernel was launched with."""

    added: tuple[str, ...] = attrs.field(default=(), converter=strings)
    removed: tuple[str, ...] = attrs.field(default=(), converter=strings)
    channels_changed: bool = False
    deno_changed: bool = False


@attrs.frozen(eq=False, repr=False)
class SimilarName(Wire):
    """A package whose name is almost that of a popular one; `distance` counts letters."""

    package: str
    similar_to: str
    distance: int


@attrs.frozen(eq=False, repr=False)
class CellSnapshot(Wire):
    """A cell as it stands in the document; its count is a decimal number or the word null."""

    id: str
    cell_type: str
    position: str
    source: str
    execution_count: str
    outputs: tuple[str, ...] = attrs.field(converter=strings)
    metadata: dict[str, Any] = attrs.field(factory=dict)
    resolved_assets: dict[str, str] = attrs.field(factory=dict, metadata=OMIT_EMPTY)


def cell_snapshots(cells: Iterable[CellSnapshot]) -> tuple[CellSnapshot, ...]:
    """Any iterable of cells as a tuple."""
    return tuple(cells)


def byte_strings(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Any iterable of buffers as a tuple; on the wire each is an array of integers."""
    return tuple(values)


def paths(values: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    """Any iterable of paths as a tuple of lists."""
    return tuple([list(path) for path in values])


@attrs.frozen(eq=False, repr=False)
class CommSnapshot(Wire):
    """One open widget channel, with its state merged so far.

    Binary values are in `buffers`, and `buffer_paths` says where in the state each belongs.
    """

    comm_id: str
    target_name: str
    state: dict[str, Any]
    model_module: str | None = None
    model_name: str | None = None
    buffers: tuple[bytes, ...] = attrs.field(
        default=(), converter=byte_strings, metadata=OMIT_EMPTY
    )
    buffer_paths: Paths = attrs.field(default=(), converter=paths, metadata=OMIT_EMPTY)


@attrs.frozen(eq=False, repr=False)
class CompletionItem(Wire):
    """One completion."""

    label: str
    kind: str | None = None
    detail: str | None = None
    source: str | None = None


@attrs.frozen(eq=False, repr=False)
class HistoryEntry(Wire):
    """One input the kernel remembers."""

    session: SignedInt
    line: SignedInt
    source: str


@attrs.frozen(eq=False, repr=False)
class KernelInfo(Wire):
    """The kernel of a live room, as far as it is known."""

    kernel_type: str | None
    env_source: str | None
    status: str
