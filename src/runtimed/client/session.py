"""Session: a notebook for ordinary, blocking programs.

Each method makes one call on the portal's loop and waits for it; what happens there is
AsyncSession's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from runtimed.client.async_session import AsyncSession
from runtimed.client.input_answers import is_async
from runtimed.client.portal import portal
from runtimed.client.preparing import OnProgress
from runtimed.client.results import (
    Cell,
    Comm,
    CompletionResult,
    ExecutionResult,
    HistoryEntry,
    InputRequest,
    NotebookConnectionInfo,
    QueueState,
    SyncEnvironmentResult,
    TrustInfo,
)
from runtimed.client.streams import EventIteratorSubscription, ExecutionEventIterator

__all__ = ["Session"]


class Session:
    """A notebook of the daemon, for blocking programs. May be used by several threads at once.

    Making one opens nothing. Use it in `with`, which on leaving stops the kernel unless others are
    in the room, or `connect` and `close` it. Ctrl-C ends any call and leaves the session usable.

    `notebook_id` names the room, so that the same id is the same notebook; without one it is new.
    `peer_label` is the name that others see.
    """

    def __init__(self, notebook_id: str | None = None, peer_label: str | None = None) -> None:
        self._session = AsyncSession(notebook_id, peer_label)

    @staticmethod
    def open_notebook(path: str | os.PathLike[str], peer_label: str | None = None) -> Session:
        """Open a notebook file, or a new notebook at that path; gives a connected session."""
        return _wrapped(portal().call(AsyncSession.open_notebook, path, peer_label))

    @staticmethod
    def create_notebook(
        runtime: str = "python",
        working_dir: str | os.PathLike[str] | None = None,
        peer_label: str | None = None,
    ) -> Session:
        """Make a new untitled notebook with one empty cell; gives a connected session.

        Raises: FileNotFoundError, NotADirectoryError for the folder.
        """
        return _wrapped(
            portal().call(AsyncSession.create_notebook, runtime, working_dir, peer_label)
        )

    # State

    @property
    def notebook_id(self) -> str:
        """The notebook's id: the same id is the same notebook."""
        return self._session.notebook_id

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up."""
        return self._session._connected

    @property
    def kernel_started(self) -> bool:
        """Whether this object has started a kernel, or found one running, that still runs."""
        return self._session._kernel.started

    @property
    def kernel_type(self) -> str | None:
        """What the kernel was launched as."""
        return self._session._kernel.kernel_type

    @property
    def env_source(self) -> str | None:
        """What the kernel's environment was made from."""
        return self._session._kernel.env_source

    @property
    def connection_info(self) -> NotebookConnectionInfo | None:
        """What the daemon said on connecting; None before."""
        return self._session._info

    def get_settings(self) -> dict[str, Any] | None:
        """The user's settings as they were on connecting; None before, or if they can't be read.

        Shape: `theme`, `default_runtime`, `default_python_env`, `keep_alive_secs`,
        `onboarding_completed`; `uv` and `conda`, each with `default_packages`.
        """
        return self._session.get_settings()

    # Joining and leaving

    def connect(self) -> None:
        """Join the notebook's room; returns once the document is here."""
        portal().call(self._session.connect)

    def close(self) -> None:
        """Leave the room, stopping the kernel unless others are there. May be called twice."""
        portal().call(self._session.close)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> Literal[False]:
        portal().call(self._session._exit, exc_type, exc_val, exc_tb)
        return False

    # Kernel

    def start_kernel(
        self,
        kernel_type: str = "python",
        env_source: str = "auto",
        notebook_path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Start the notebook's kernel, or find it running. Returns when it answers."""
        portal().call(self._session.start_kernel, kernel_type, env_source, notebook_path)

    def shutdown_kernel(self) -> None:
        """Stop the kernel. No kernel is no error."""
        portal().call(self._session.shutdown_kernel)

    def restart_kernel(self, wait_for_ready: bool = True) -> None:
        """Stop the kernel and start one of the same type, its environment looked for anew."""
        portal().call(self._session.restart_kernel, wait_for_ready)

    def interrupt(self) -> None:
        """Interrupt the running cell and drop those that wait. An idle kernel is no error."""
        portal().call(self._session.interrupt)

    def set_progress_handler(self, handler: OnProgress | None) -> None:
        """Have `handler` called with each step in which an environment of this notebook is
        prepared, whoever asked for it; None ends that.

        It is called in another thread, must not block, and must not call this session.
        """
        portal().call(self._session.set_progress_handler, handler)

    def sync_environment(self) -> SyncEnvironmentResult:
        """Install what was declared since the kernel started. Failures are in the result."""
        return portal().call(self._session.sync_environment)

    def trust_info(self) -> TrustInfo:
        """What the notebook asks for, and whether that was approved on this machine."""
        return portal().call(self._session.trust_info)

    def approve_trust(self, content: str | None = None) -> TrustInfo:
        """Approve what the notebook asks for, so that it may be installed.

        With `content`, that of a TrustInfo, nothing is approved that was not shown there.
        """
        return portal().call(self._session.approve_trust, content)

    def complete(self, code: str, cursor_pos: int) -> CompletionResult:
        """What the kernel proposes for the text before `cursor_pos`, counted in characters."""
        return portal().call(self._session.complete, code, cursor_pos)

    def get_history(
        self, pattern: str | None = None, n: int = 100, unique: bool = True
    ) -> list[HistoryEntry]:
        """The last `n` inputs the kernel remembers that contain `pattern`."""
        return portal().call(self._session.get_history, pattern, n, unique)

    def get_queue_state(self) -> QueueState:
        """Which cell is executing and which wait. Idle and empty without a kernel."""
        return portal().call(self._session.get_queue_state)

    # Execution

    def run(self, code: str, timeout_secs: float = 60.0) -> ExecutionResult:
        """Add a cell with this code at the end, run it and wait for the end."""
        return portal().call(self._session.run, code, timeout_secs)

    def execute_cell(self, cell_id: str, timeout_secs: float = 60.0) -> ExecutionResult:
        """Run a code cell and wait for the end. Starts a kernel if there is none."""
        return portal().call(self._session.execute_cell, cell_id, timeout_secs)

    def queue_cell(self, cell_id: str) -> None:
        """Have a code cell run without waiting for it. Starts no kernel."""
        portal().call(self._session.queue_cell, cell_id)

    def run_all_cells(self) -> int:
        """Queue all code cells in order; how many there are, without waiting for them."""
        return portal().call(self._session.run_all_cells)

    def stream_execute(
        self, cell_id: str, timeout_secs: float = 60.0, signal_only: bool = False
    ) -> ExecutionEventIterator:
        """Run a code cell and follow it: `for event in session.stream_execute(id)`."""
        return ExecutionEventIterator(
            portal().call(self._session.stream_execute, cell_id, timeout_secs, signal_only)
        )

    def subscribe(
        self,
        cell_ids: Collection[str] | None = None,
        event_types: Collection[str] | None = None,
    ) -> EventIteratorSubscription:
        """Follow the whole notebook from now on, whoever causes what happens."""
        return EventIteratorSubscription(self._session.subscribe(cell_ids, event_types))

    # Talking with what runs

    def set_input_handler(self, handler: Callable[[InputRequest], str | None] | None) -> None:
        """Have a function answer what cells ask with `input()` and `getpass()`; None removes it.

        It is called on a thread of its own, so it may wait for a person. It returns the text, or
        None for the end of input.
        """
        if is_async(handler):
            raise TypeError("the handler of a Session must be a plain function, not an async one")
        portal().call(self._session.set_input_handler, handler)

    def allow_input(self, enabled: bool = True) -> None:
        """Say that this program answers `input_request` events with `answer_input`."""
        portal().call(self._session.allow_input, enabled)

    def answer_input(self, request_id: str, value: str | None) -> None:
        """Answer a question of a running cell; None is the end of input."""
        portal().call(self._session.answer_input, request_id, value)

    def get_comms(self) -> list[Comm]:
        """The open widgets (and other comms) of the kernel, oldest first, as they are now."""
        return portal().call(self._session.get_comms)

    def send_comm(
        self,
        comm_id: str,
        state: Mapping[str, Any] | None = None,
        content: Any = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Set some of a widget's state as its user would, or send it a custom message."""
        portal().call(self._session.send_comm, comm_id, state, content, buffers)

    # Cells

    def create_cell(
        self, source: str = "", cell_type: str = "code", index: int | None = None
    ) -> str:
        """Add a cell, at the end or at an index, and return its id. Connects if need be."""
        if not self._session._connected:
            self.connect()
        return portal().call(self._session.create_cell, source, cell_type, index)

    def set_source(self, cell_id: str, source: str) -> None:
        """Replace a cell's source, by edits small enough to merge with those of others."""
        portal().call(self._session.set_source, cell_id, source)

    def append_source(self, cell_id: str, text: str) -> None:
        """Add text at the end of a cell's source."""
        portal().call(self._session.append_source, cell_id, text)

    def set_cell_type(self, cell_id: str, cell_type: str) -> None:
        """Make a cell `code`, `markdown` or `raw`."""
        portal().call(self._session.set_cell_type, cell_id, cell_type)

    def delete_cell(self, cell_id: str) -> None:
        """Remove a cell."""
        portal().call(self._session.delete_cell, cell_id)

    def move_cell(self, cell_id: str, after_cell_id: str | None = None) -> str:
        """Put a cell behind another one, or to the top. Returns its new position."""
        return portal().call(self._session.move_cell, cell_id, after_cell_id)

    def clear_outputs(self, cell_id: str) -> None:
        """Remove a cell's outputs and its execution count."""
        portal().call(self._session.clear_outputs, cell_id)

    def get_cell(self, cell_id: str) -> Cell:
        """A cell as it is now in the local copy, with its outputs."""
        return portal().call(self._session.get_cell, cell_id)

    def get_cells(self) -> list[Cell]:
        """All cells in order, with their outputs."""
        return portal().call(self._session.get_cells)

    def save(self, path: str | os.PathLike[str] | None = None, format_cells: bool = False) -> str:
        """Write the notebook file and return its absolute path. See AsyncSession.save."""
        return portal().call(self._session.save, path, format_cells=format_cells)

    def clone_notebook(self, path: str | os.PathLike[str], overwrite: bool = False) -> str:
        """Write a copy without outputs and return its absolute path.

        See AsyncSession.clone_notebook.
        """
        return portal().call(self._session.clone_notebook, path, overwrite=overwrite)

    # Metadata

    def set_metadata(self, key: str, value: str) -> None:
        """Store a text in the shared document. It isn't written to the notebook file."""
        portal().call(self._session.set_metadata, key, value)

    def get_metadata(self, key: str) -> str | None:
        """The text stored under a key; None if there is none."""
        return portal().call(self._session.get_metadata, key)

    def set_kernelspec(self, name: str, display_name: str, language: str | None = None) -> None:
        """Say which kernel the notebook is for. Other metadata stays as it is."""
        portal().call(self._session.set_kernelspec, name, display_name, language)

    def get_kernelspec(self) -> dict[str, str] | None:
        """`name`, `display_name` and, if set, `language`; None if there is none."""
        return portal().call(self._session.get_kernelspec)

    def get_cell_metadata(self, cell_id: str) -> str | None:
        """A cell's metadata as JSON text; None if there is no such cell."""
        return portal().call(self._session.get_cell_metadata, cell_id)

    def set_cell_metadata(self, cell_id: str, metadata_json: str) -> bool:
        """Replace a cell's metadata by a JSON object. False if there is no such cell."""
        return portal().call(self._session.set_cell_metadata, cell_id, metadata_json)

    def update_cell_metadata_at(self, cell_id: str, path: Sequence[str], value_json: str) -> bool:
        """Set one value inside a cell's metadata. False if there is no such cell."""
        return portal().call(self._session.update_cell_metadata_at, cell_id, path, value_json)

    def set_cell_source_hidden(self, cell_id: str, hidden: bool) -> bool:
        """Hide or show a cell's source. False if there is no such cell."""
        return portal().call(self._session.set_cell_source_hidden, cell_id, hidden)

    def set_cell_outputs_hidden(self, cell_id: str, hidden: bool) -> bool:
        """Hide or show a cell's outputs. False if there is no such cell."""
        return portal().call(self._session.set_cell_outputs_hidden, cell_id, hidden)

    def set_cell_tags(self, cell_id: str, tags: Sequence[str]) -> bool:
        """Replace a cell's tags. False if there is no such cell."""
        return portal().call(self._session.set_cell_tags, cell_id, tags)

    def get_uv_dependencies(self) -> list[str]:
        """The packages that uv installs for this notebook."""
        return portal().call(self._session.get_uv_dependencies)

    def add_uv_dependency(self, package: str) -> None:
        """Declare a package for uv; an entry for the same package is replaced."""
        portal().call(self._session.add_uv_dependency, package)

    def remove_uv_dependency(self, package: str) -> bool:
        """Drop a package for uv. True if it was declared."""
        return portal().call(self._session.remove_uv_dependency, package)

    def get_conda_dependencies(self) -> list[str]:
        """The conda packages of this notebook."""
        return portal().call(self._session.get_conda_dependencies)

    def add_conda_dependency(self, package: str) -> None:
        """Declare a conda package; an entry for the same package is replaced."""
        portal().call(self._session.add_conda_dependency, package)

    def remove_conda_dependency(self, package: str) -> bool:
        """Drop a conda package. True if it was declared."""
        return portal().call(self._session.remove_conda_dependency, package)

    def get_metadata_env_type(self) -> str | None:
        """`conda` or `uv`, whichever the notebook has a section for; None if neither."""
        return portal().call(self._session.get_metadata_env_type)

    # Presence

    def set_cursor(self, cell_id: str, line: int, column: int) -> None:
        """Show others a cursor of this peer, counted from 0 and in characters."""
        portal().call(self._session.set_cursor, cell_id, line, column)

    def set_selection(
        self, cell_id: str, anchor_line: int, anchor_col: int, head_line: int, head_col: int
    ) -> None:
        """Show others a selection of this peer; the head is its end that moves."""
        portal().call(
            self._session.set_selection, cell_id, anchor_line, anchor_col, head_line, head_col
        )

    def get_peers(self) -> list[tuple[str, str]]:
        """Id and label of the other peers that have announced something, sorted by id."""
        return portal().call(self._session.get_peers)

    def get_remote_cursors(self) -> list[tuple[str, str, str, int, int]]:
        """Id, label, cell, line and column of the other peers' cursors, sorted by id."""
        return portal().call(self._session.get_remote_cursors)

    def __repr__(self) -> str:
        status = "disconnected"
        if self.is_connected:
            status = "kernel_running" if self.kernel_started else "connected"
        return f"Session(id={self.notebook_id}, status={status})"


def _wrapped(opened: AsyncSession) -> Session:
    session = Session.__new__(Session)
    session._session = opened
    return session
