"""DaemonClient: questions to the daemon itself, each over a connection of its own.

A plain blocking socket around the protocol core. Doesn't import Trio, for it stands behind quick
commands.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from runtimed.client.connect import connect
from runtimed.errors import (
    ConnectionLost,
    DaemonSilent,
    RemoteProtocolError,
    RequestFailed,
    RuntimedError,
)
from runtimed.info_file import read_info_file
from runtimed.paths import default_paths, paths_for_socket
from runtimed.protocol import events, handshake, pool
from runtimed.protocol.connection import NEED_DATA, Connection, Role

__all__ = ["DaemonClient"]

#: Seconds for the daemon to answer.
_ANSWER_TIMEOUT = 30.0

#: Seconds for a ping to be answered; a daemon that takes longer is in no state to be used.
_PING_TIMEOUT = 5.0

_CHUNK = 65_536

T = TypeVar("T")


class DaemonClient:
    """Asks the daemon about itself. Never starts one.

    Which daemon is meant is decided when the object is made: by RUNTIMED_SOCKET_PATH and the other
    variables, unless `socket_path` names it.
    Units: `timeout` in seconds, for each answer; 30 without it.
    """

    def __init__(
        self, socket_path: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> None:
        self._timeout = timeout
        self._paths = (
            default_paths() if socket_path is None else paths_for_socket(Path(socket_path))
        )

    def ping(self) -> bool:
        """Whether the daemon answers. Never raises."""
        try:
            self.check()
        except (RuntimedError, OSError):
            return False
        return True

    def check(self) -> None:
        """Return if the daemon answers, at latest after five seconds.

        Raises: RuntimedError that says why it does not.
        """
        self._ask(pool.Ping(), pool.Pong, min(self._timeout or _PING_TIMEOUT, _PING_TIMEOUT))

    def is_running(self) -> bool:
        """Whether the daemon answers, or the process its info file names is alive. Never raises."""
        return self.ping() or self._process_is_alive()

    def status(self) -> dict[str, Any]:
        """How full the pools of environments are.

        Shape: counts by name (`uv_available`, `uv_warming`, `uv_target`, the same for conda); while
        a pool can't be filled also `uv_error` or `conda_error`, a dict.
        Raises: RuntimedError.
        """
        stats = self._ask(pool.Status(), pool.Stats).stats
        return {key: value for key, value in attrs.asdict(stats).items() if value is not None}

    def list_rooms(self) -> list[dict[str, Any]]:
        """The open notebooks. What is not known, such as the kernel's type without one, is None.

        Raises: RuntimedError.
        """
        return [attrs.asdict(room) for room in self._ask(pool.ListRooms(), pool.RoomsList).rooms]

    def list_kernels(self) -> list[dict[str, Any]]:
        """The running kernels: those of notebooks, then those that wait for one.

        Shape: `kernel_id`, `kernel_pid`, `kernel_type`, `env_source`, `kernel_status`, which is
        `warm` for one that waits; a notebook's also has what `list_rooms` says of it.
        Raises: RuntimedError.
        """
        answer = self._ask(pool.ListRooms(), pool.RoomsList)
        return [
            *(attrs.asdict(room) for room in answer.rooms if room.has_kernel),
            *({**attrs.asdict(warm), "kernel_status": "warm"} for warm in answer.warm_kernels),
        ]

    def inspect_notebook(self, notebook_id: str) -> dict[str, Any]:
        """A notebook's cells, from the live room or from what was persisted.

        Raises: RuntimedError, also if there is neither.
        """
        return attrs.asdict(self._ask(pool.InspectNotebook(notebook_id), pool.NotebookState))

    def shutdown_notebook(self, notebook_id: str) -> bool:
        """Close a notebook's room and stop its kernel, whoever is there. False if there is none.

        Raises: RuntimedError.
        """
        return self._ask(pool.ShutdownNotebook(notebook_id), pool.NotebookShutdown).found

    def interrupt_notebook(self, notebook_id: str) -> dict[str, Any]:
        """Interrupt the cell that a notebook runs and drop those that wait behind it.

        Shape: `found` and `has_kernel`, whether the notebook is open and has one; `running`,
        whether a cell was interrupted; `dropped`, how many waited.
        Raises: RuntimedError.
        """
        return attrs.asdict(
            self._ask(pool.InterruptNotebook(notebook_id), pool.NotebookInterrupted)
        )

    def take_environment(self, kind: Literal["uv", "conda"]) -> dict[str, Any] | None:
        """Take an environment out of a pool; None if there is none at the moment.

        It is the caller's until the daemon ends.
        Shape: `env_type`, `venv_path`, `python_path`.
        Raises: RuntimedError.
        """
        answer = self._ask(pool.Take(kind), (pool.Env, pool.Empty))
        return attrs.asdict(answer.env) if isinstance(answer, pool.Env) else None

    def flush_pool(self) -> None:
        """Throw the pooled environments away; new ones are built. Raises: RuntimedError."""
        self._ask(pool.FlushPool(), pool.Flushed)

    def shutdown(self) -> None:
        """Stop the daemon and its kernels; returns once it has agreed. Raises: RuntimedError."""
        self._ask(pool.Shutdown(), pool.ShuttingDown)

    def __repr__(self) -> str:
        return f"DaemonClient({'connected' if self.ping() else 'disconnected'})"

    def _ask(
        self,
        request: pool.PoolRequest,
        expected: type[T] | tuple[type[T], ...],
        timeout: float | None = None,
    ) -> T:
        timeout = timeout or self._timeout or _ANSWER_TIMEOUT
        protocol = Connection(Role.CLIENT)
        with connect(self._paths) as connection:
            give_up = time.monotonic() + timeout
            try:
                connection.settimeout(timeout)
                connection.sendall(
                    protocol.open(handshake.Pool()) + protocol.send(events.PoolRequest(request))
                )
                while True:
                    while (event := protocol.next_event()) is not NEED_DATA:
                        if isinstance(event, events.PoolResponse):
                            return _checked(event.response, expected)
                        if isinstance(event, events.Closed):
                            raise ConnectionLost
                    connection.settimeout(max(give_up - time.monotonic(), 0.001))
                    protocol.receive_data(connection.recv(_CHUNK))
            except TimeoutError as error:
                place, pid = str(self._paths.socket), _listener(connection)
                raise DaemonSilent(place, pid or self._recorded_pid(), timeout) from error
            except OSError as error:
                raise ConnectionLost from error
            except RemoteProtocolError as error:
                raise RuntimedError(f"Protocol error: {error}") from error

    def _recorded_pid(self) -> int | None:
        """The process that the info file names, alive or not."""
        pid: int | None = (read_info_file(self._paths.info) or {}).get("pid")
        return pid

    def _process_is_alive(self) -> bool:
        pid = self._recorded_pid()
        try:
            if pid is not None:
                os.kill(pid, 0)
        except PermissionError:
            return True
        except (OSError, OverflowError):
            return False
        return pid is not None


def _listener(connection: socket.socket) -> int | None:
    """The process that listens at the other end of a local connection, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    size = struct.calcsize("3i")
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    except OSError:
        return None
    return struct.unpack("3i", found)[0] or None


def _checked(response: pool.PoolResponse, expected: type[T] | tuple[type[T], ...]) -> T:
    if isinstance(response, expected):
        return response
    if isinstance(response, pool.Error):
        raise RequestFailed(f"Daemon returned error: {response.message}")
    raise RuntimedError(f"Protocol error: {type(response).__name__} answers another request")
