"""AsyncSession: a notebook for asynchronous programs, on Trio and on asyncio.

Under Trio everything runs in the caller's own loop; under asyncio, on the portal's. What a session
can do is spread over its bases: this module has the ways to open one, saving, and its state.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from runtimed.client.arguments import (
    absolute_path,
    as_optional_text,
    as_text,
    check_working_dir,
)
from runtimed.client.comms import CommCalls
from runtimed.client.input_answers import InputAnswers
from runtimed.client.membership import unexpected
from runtimed.client.notebook_metadata import NotebookMetadata
from runtimed.client.portal import look_up, on_trio
from runtimed.client.presence_calls import PresenceCalls
from runtimed.client.results import NotebookConnectionInfo, QueueState
from runtimed.client.running import Running
from runtimed.client.streams import EventSubscription, ExecutionEventStream
from runtimed.client.trust_calls import TrustCalls
from runtimed.errors import RuntimedError
from runtimed.protocol import handshake, requests, responses

__all__ = ["AsyncSession", "create_notebook_file", "open_without_autosave", "stream_in_turn"]


class AsyncSession(Running, NotebookMetadata, PresenceCalls, CommCalls, InputAnswers, TrustCalls):
    """A notebook of the daemon, for `await`.

    Making one opens nothing. Use it in `async with`, which on leaving stops the kernel unless
    others are in the room, or `connect` and `close` it. Several calls may be under way at once.

    `notebook_id` names the room, so that the same id is the same notebook; without one it is new.
    `peer_label` is the name that others see.
    """

    @staticmethod
    def open_notebook(
        path: str | os.PathLike[str], peer_label: str | None = None
    ) -> Coroutine[object, None, AsyncSession]:
        """Open a notebook file, or a new notebook at that path; gives a connected session.

        Raises: RuntimedError if the file can't be read as a notebook.
        """
        target = absolute_path("path", path)
        session = AsyncSession(target, as_optional_text("peer_label", peer_label))
        session._hello = handshake.OpenNotebook(target)
        return session._opened()

    @staticmethod
    def create_notebook(
        runtime: str = "python",
        working_dir: str | os.PathLike[str] | None = None,
        peer_label: str | None = None,
    ) -> Coroutine[object, None, AsyncSession]:
        """Make a new untitled notebook with one empty cell; gives a connected session.

        Raises: FileNotFoundError, NotADirectoryError for the folder, in the call itself.
        """
        as_text("runtime", runtime)
        folder = check_working_dir(working_dir)
        session = AsyncSession(None, as_optional_text("peer_label", peer_label))
        session._hello = handshake.CreateNotebook(runtime, folder)
        session._project = folder
        return session._opened()

    @on_trio
    async def _opened(self) -> AsyncSession:
        hello = self._hello
        await self._connect()
        assert self._info is not None
        self._notebook_id = self._info.notebook_id
        # Should this object connect again, it is to the notebook it has been given.
        if isinstance(hello, handshake.OpenNotebook):
            self._hello = handshake.OpenNotebook(self._notebook_id, hello.autosave)
            self._project = self._notebook_id
        elif isinstance(hello, handshake.CreateNotebook):
            self._hello = handshake.CreateNotebook(
                hello.runtime, hello.working_dir, self._notebook_id
            )
        return self

    # State

    async def is_connected(self) -> bool:
        """Whether the connection is up."""
        await look_up()
        return self._connected

    async def kernel_started(self) -> bool:
        """Whether this object has started a kernel, or found one running, that still runs."""
        await look_up()
        return self._kernel.started

    async def kernel_type(self) -> str | None:
        """What the kernel was launched as."""
        await look_up()
        return self._kernel.kernel_type

    async def env_source(self) -> str | None:
        """What the kernel's environment was made from."""
        await look_up()
        return self._kernel.env_source

    async def connection_info(self) -> NotebookConnectionInfo | None:
        """What the daemon said on connecting; None before."""
        await look_up()
        return self._info

    def get_settings(self) -> dict[str, Any] | None:
        """The user's settings as they were on connecting; None before, or if they can't be read.

        Shape: `theme`, `default_runtime`, `default_python_env`, `keep_alive_secs`,
        `onboarding_completed`; `uv` and `conda`, each with `default_packages`.
        """
        return None if self._settings is None else self._settings.as_dict()

    # Saving

    @on_trio
    async def save(
        self, path: str | os.PathLike[str] | None = None, format_cells: bool = False
    ) -> str:
        """Write the notebook file and return its absolute path.

        Without a path it is the notebook's own file. `.ipynb` is appended to a name that lacks it.
        With `format_cells` the code cells are formatted before, by ruff or deno where it is
        installed; what can't be formatted stays as it is.
        Raises: RuntimedError for an untitled notebook without a path, or with the daemon's reason.
        """
        target = None if path is None else _notebook_name(absolute_path("path", path))
        await self._connect()
        if target is None and not Path(self._notebook_id).is_absolute():
            raise RuntimedError("Notebook has no path: pass save(path=...)")
        answer = await self._request(requests.SaveNotebook(format_cells, target))
        if not isinstance(answer, responses.NotebookSaved):
            raise unexpected("save_notebook", answer)
        return answer.path

    @on_trio
    async def clone_notebook(self, path: str | os.PathLike[str], overwrite: bool = False) -> str:
        """Write a copy of the notebook, without outputs, and return its absolute path.

        The copy gets an environment of its own, and nobody has approved its dependencies yet. This
        session stays with its notebook.
        Raises: RuntimedError if there is a file already, unless it may be overwritten.
        """
        target = _notebook_name(absolute_path("path", path))
        await self._connect()
        answer = await self._request(requests.CloneNotebook(target, overwrite))
        if not isinstance(answer, responses.NotebookCloned):
            raise unexpected("clone_notebook", answer)
        return answer.path

    # Events

    @on_trio
    async def stream_execute(
        self, cell_id: str, timeout_secs: float = 60.0, signal_only: bool = False
    ) -> ExecutionEventStream:
        """Run a code cell and follow it: `async for event in await session.stream_execute(id)`.

        `timeout_secs` is the longest silence between two events. With `signal_only`, outputs are
        only announced, to be read with `get_cell`.
        """
        return await self._stream_execute(cell_id, timeout_secs, signal_only)

    def subscribe(
        self,
        cell_ids: Collection[str] | None = None,
        event_types: Collection[str] | None = None,
    ) -> EventSubscription:
        """Follow the whole notebook from now on, whoever causes what happens.

        None or nothing stands for all cells and all types of events.
        """
        return self._subscribe(cell_ids, event_types)

    async def __aenter__(self) -> AsyncSession:
        await self._enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> Literal[False]:
        await self._exit(exc_type, exc_val, exc_tb)
        return False

    def __repr__(self) -> str:
        return f"AsyncSession(id={self._notebook_id})"


def _notebook_name(path: str) -> str:
    return path if path.endswith(".ipynb") else path + ".ipynb"


def open_without_autosave(
    path: str | os.PathLike[str], peer_label: str | None = None
) -> Coroutine[object, None, AsyncSession]:
    """As AsyncSession.open_notebook, for somebody who does not want the file written by itself.

    That holds while nobody else is or was in the notebook who does.
    """
    target = absolute_path("path", path)
    session = AsyncSession(target, as_optional_text("peer_label", peer_label))
    session._hello = handshake.OpenNotebook(target, autosave=False)
    return session._opened()


async def create_notebook_file(
    path: str | os.PathLike[str], runtime: str | None = None, peer_label: str | None = None
) -> str:
    """Write a new notebook, for the user's default runtime if none is named; the path written.

    Raises: RuntimedError with the reason.
    """
    target = absolute_path("path", path)
    session = AsyncSession(target, as_optional_text("peer_label", peer_label))
    session._hello = handshake.OpenNotebook(target, runtime=as_optional_text("runtime", runtime))
    async with await session._opened():
        return await session.save()


async def leave_running(session: AsyncSession) -> None:
    """Leave the room of a session, and its kernel as it is.

    For somebody who came to a kernel that others had started.
    """
    session._kernel.forget()
    await session.close()


async def stream_in_turn(
    session: AsyncSession, cell_id: str, waiting: Callable[[QueueState], None]
) -> ExecutionEventStream:
    """Run a code cell when nothing else runs or waits in the notebook, and follow it.

    The run is the caller's own: it is never one that somebody else has asked for. `waiting` is
    called with what is in the way, each time that something is. A cancelled call has run nothing,
    unless it returns.
    Raises: RuntimedError `No kernel running`.
    """
    return await session._stream_in_turn(cell_id, waiting)
