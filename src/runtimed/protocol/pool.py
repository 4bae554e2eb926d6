"""Requests, responses and structures of the pool channel (tag key `type`), and the pool state.

`PoolState` is what subscribers of the pool state get; its tag key is `event`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from runtimed.protocol.spelling import OMIT_EMPTY, Bare, Wire
from runtimed.protocol.structures import CellSnapshot, KernelInfo, cell_snapshots

__all__ = [
    "Empty",
    "Env",
    "EnvType",
    "Error",
    "FlushPool",
    "Flushed",
    "InspectNotebook",
    "InterruptNotebook",
    "ListRooms",
    "NotebookInterrupted",
    "NotebookShutdown",
    "NotebookState",
    "Ping",
    "Pong",
    "PoolError",
    "PoolRequest",
    "PoolResponse",
    "PoolState",
    "PoolStats",
    "PooledEnv",
    "Return",
    "Returned",
    "RoomInfo",
    "RoomsList",
    "Shutdown",
    "ShutdownNotebook",
    "ShuttingDown",
    "Stats",
    "Status",
    "Take",
    "WarmKernel",
]

EnvType = Literal["uv", "conda"]


@attrs.frozen(eq=False, repr=False)
class PooledEnv(Wire):
    """A finished environment."""

    env_type: EnvType
    venv_path: str
    python_path: str


@attrs.frozen(eq=False, repr=False)
class PoolError(Wire):
    """Why a pool can't be filled at the moment."""

    message: str
    consecutive_failures: int
    retry_in_secs: int
    failed_package: str | None = None


@attrs.frozen(eq=False, repr=False)
class PoolStats(Wire):
    """How full the pools are."""

    uv_available: int
    uv_warming: int
    uv_target: int
    conda_available: int
    conda_warming: int
    conda_target: int
    uv_error: PoolError | None = None
    conda_error: PoolError | None = None
    uv_warm_kernels: int | None = None
    uv_warm_kernels_target: int | None = None


@attrs.frozen(eq=False, repr=False)
class RoomInfo(Wire):
    """One open notebook.

    queued: how many cells wait, without the one that runs; None for none.
    """

    notebook_id: str
    active_peers: int
    has_kernel: bool
    kernel_type: str | None = None
    env_source: str | None = None
    kernel_status: str | None = None
    kernel_pid: int | None = None
    queued: int | None = None
    loading: bool | None = None
    path: str | None = None
    unsaved: bool | None = None
    kernel_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class WarmKernel(Wire):
    """A kernel that waits for a notebook."""

    kernel_id: str
    kernel_pid: int
    kernel_type: str
    env_source: str


def warm_kernels(kernels: Iterable[WarmKernel]) -> tuple[WarmKernel, ...]:
    """Any iterable of kernels as a tuple."""
    return tuple(kernels)


def room_infos(rooms: Iterable[RoomInfo]) -> tuple[RoomInfo, ...]:
    """Any iterable of rooms as a tuple."""
    return tuple(rooms)


# Requests


@attrs.frozen(eq=False, repr=False)
class Take(Wire):
    """Take an environment out of the pool."""

    env_type: EnvType


@attrs.frozen(eq=False, repr=False)
class Return(Wire):
    """Give an environment back."""

    env: PooledEnv


class Status(Bare):
    """How full the pools are."""

    __slots__ = ()


class Ping(Bare):
    """Is anybody there?"""

    __slots__ = ()


class Shutdown(Bare):
    """Stop the daemon."""

    __slots__ = ()


class FlushPool(Bare):
    """Throw the pools' environments away and build new ones."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class InspectNotebook(Wire):
    """The cells of a live or persisted notebook."""

    notebook_id: str


class ListRooms(Bare):
    """Every open notebook."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class ShutdownNotebook(Wire):
    """Close a room and stop its kernel, whoever is connected."""

    notebook_id: str


@attrs.frozen(eq=False, repr=False)
class InterruptNotebook(Wire):
    """Interrupt what a notebook runs and drop what waits, from outside."""

    notebook_id: str


PoolRequest = (
    Take
    | Return
    | Status
    | Ping
    | Shutdown
    | FlushPool
    | InspectNotebook
    | ListRooms
    | ShutdownNotebook
    | InterruptNotebook
)


# Responses


@attrs.frozen(eq=False, repr=False)
class Env(Wire):
    """The environment taken."""

    env: PooledEnv


class Empty(Bare):
    """The pool has none at the moment."""

    __slots__ = ()


class Returned(Bare):
    """The environment is back in the pool."""

    __slots__ = ()


class Pong(Bare):
    """Yes."""

    __slots__ = ()


class ShuttingDown(Bare):
    """The daemon is about to stop."""

    __slots__ = ()


class Flushed(Bare):
    """The pools are empty."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Stats(Wire):
    """How full the pools are."""

    stats: PoolStats


@attrs.frozen(eq=False, repr=False)
class Error(Wire):
    """The request failed; the text is for people."""

    message: str


@attrs.frozen(eq=False, repr=False)
class NotebookState(Wire):
    """A notebook's cells; `source` is `live_room` or `persisted_file`."""

    notebook_id: str
    cells: tuple[CellSnapshot, ...] = attrs.field(converter=cell_snapshots)
    source: str
    kernel_info: KernelInfo | None


@attrs.frozen(eq=False, repr=False)
class RoomsList(Wire):
    """Every open notebook, and the kernels that wait for one."""

    rooms: tuple[RoomInfo, ...] = attrs.field(converter=room_infos)
    warm_kernels: tuple[WarmKernel, ...] = attrs.field(
        default=(), converter=warm_kernels, metadata=OMIT_EMPTY
    )


@attrs.frozen(eq=False, repr=False)
class NotebookShutdown(Wire):
    """Whether there was such a room."""

    found: bool


@attrs.frozen(eq=False, repr=False)
class NotebookInterrupted(Wire):
    """What an interrupt met: whether the room and its kernel are there, whether a cell ran, and how
    many waited behind it."""

    found: bool
    has_kernel: bool
    running: bool
    dropped: int


PoolResponse = (
    Env
    | Empty
    | Returned
    | Pong
    | ShuttingDown
    | Flushed
    | Stats
    | Error
    | NotebookState
    | RoomsList
    | NotebookShutdown
    | NotebookInterrupted
)


@attrs.frozen(eq=False, repr=False)
class PoolState(Wire):
    """The pools' errors, sent to subscribers at once and on every change."""

    uv_error: PoolError | None
    conda_error: PoolError | None
