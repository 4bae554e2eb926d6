"""The kernel of a notebook: starting, stopping, asking it."""

from __future__ import annotations

import math
import os
import warnings

import trio

from runtimed.client.arguments import (
    absolute_path,
    as_count,
    as_flag,
    as_optional_text,
    as_text,
)
from runtimed.client.membership import REQUEST_TIMEOUT, Membership, unexpected
from runtimed.client.portal import on_trio
from runtimed.client.preparing import OnProgress, Preparing
from runtimed.client.results import (
    CompletionItem,
    CompletionResult,
    HistoryEntry,
    QueueState,
    SyncEnvironmentResult,
)
from runtimed.errors import RequestFailed, RuntimedError
from runtimed.protocol import broadcasts, requests, responses

__all__ = ["KernelControl"]

#: Seconds for a kernel to start, its environment included, and for packages to be installed.
_LAUNCH_TIMEOUT = 1000.0

#: Seconds for a restarted kernel to become idle once it has answered.
_READY_TIMEOUT = 30.0

#: Seconds for the kernel to complete or to search its history, with some for the way.
_KERNEL_ANSWER_TIMEOUT = 5.0 + 2.0

_RESOLVED_SOURCES = ("", "auto", "prewarmed")


class KernelControl(Membership):
    """The part of a session that is about the kernel."""

    @on_trio
    async def start_kernel(
        self,
        kernel_type: str = "python",
        env_source: str = "auto",
        notebook_path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Start the notebook's kernel, or find it running. Returns when it answers.

        `notebook_path` is where project files are looked for. A running kernel that somebody has
        asked for or used is kept, whatever was asked for; a RuntimeWarning says so when an
        environment was named and another one runs. One that came up with the notebook gives way.
        Raises: RuntimedError with the daemon's reason.
        """
        as_text("kernel_type", kernel_type), as_text("env_source", env_source)
        path = None
        if notebook_path is not None:
            path = absolute_path("notebook_path", notebook_path)
        await self._connect()
        await self._launch(kernel_type, env_source, path)

    @on_trio
    async def shutdown_kernel(self) -> None:
        """Stop the kernel. No kernel is no error."""
        await self._request(requests.ShutdownKernel())
        self._kernel.forget()

    @on_trio
    async def restart_kernel(self, wait_for_ready: bool = True) -> None:
        """Stop the kernel and start one of the same type, its environment looked for anew.

        Raises: RuntimedError `Kernel not ready after 30 seconds` if it doesn't become idle.
        """
        as_flag("wait_for_ready", wait_for_ready)
        kernel_type = self._kernel.kernel_type
        if kernel_type is None:
            info = await self._request(requests.GetKernelInfo())
            if isinstance(info, responses.KernelInfo):
                kernel_type = info.kernel_type
        await self._request(requests.ShutdownKernel())
        self._kernel.forget()
        await self._launch(kernel_type or "python", "auto", None)
        if wait_for_ready:
            await self._wait_idle()

    @on_trio
    async def interrupt(self) -> None:
        """Interrupt the running cell and drop those that wait. An idle kernel is no error.

        Raises: RuntimedError `No kernel running`.
        """
        answer = await self._linked().request(requests.InterruptExecution(), REQUEST_TIMEOUT)
        if isinstance(answer, responses.NoKernel):
            raise RuntimedError("No kernel running")

    @on_trio
    async def set_progress_handler(self, handler: OnProgress | None) -> None:
        """Have `handler` called with each step in which an environment of this notebook is
        prepared, whoever asked for it; None ends that. It must not block. A step that lasts comes
        again every ten seconds.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"handler must be callable, not {type(handler).__name__}")
        self._kernel.on_progress = handler

    @on_trio
    async def sync_environment(self) -> SyncEnvironmentResult:
        """Install what was declared since the kernel started. Failures are in the result."""
        try:
            answer = await self._request_patiently(requests.SyncEnvironment())
        except RequestFailed as error:
            return SyncEnvironmentResult(success=False, error=str(error))
        if isinstance(answer, responses.SyncEnvironmentComplete):
            return SyncEnvironmentResult(success=True, synced_packages=answer.synced_packages)
        if isinstance(answer, responses.SyncEnvironmentFailed):
            return SyncEnvironmentResult(
                success=False, error=answer.error, needs_restart=answer.needs_restart
            )
        if isinstance(answer, responses.NoKernel):
            return SyncEnvironmentResult(success=False, error="No kernel running")
        raise unexpected("sync_environment", answer)

    @on_trio
    async def complete(self, code: str, cursor_pos: int) -> CompletionResult:
        """What the kernel proposes for the text before `cursor_pos`, counted in characters."""
        request = requests.Complete(as_text("code", code), as_count("cursor_pos", cursor_pos))
        answer = await self._linked().request(request, _KERNEL_ANSWER_TIMEOUT)
        if isinstance(answer, responses.NoKernel):
            raise RuntimedError("No kernel running")
        if not isinstance(answer, responses.CompletionResult):
            raise unexpected("complete", answer)
        items = [
            CompletionItem(label=i.label, kind=i.kind, detail=i.detail, source=i.source)
            for i in answer.items
        ]
        return CompletionResult(
            items=items, cursor_start=answer.cursor_start, cursor_end=answer.cursor_end
        )

    @on_trio
    async def get_history(
        self, pattern: str | None = None, n: int = 100, unique: bool = True
    ) -> list[HistoryEntry]:
        """The last `n` inputs the kernel remembers that contain `pattern`."""
        request = requests.GetHistory(
            as_optional_text("pattern", pattern), as_count("n", n), as_flag("unique", unique)
        )
        answer = await self._linked().request(request, _KERNEL_ANSWER_TIMEOUT)
        if isinstance(answer, responses.NoKernel):
            raise RuntimedError("No kernel running")
        if not isinstance(answer, responses.HistoryResult):
            raise unexpected("get_history", answer)
        return [
            HistoryEntry(session=entry.session, line=entry.line, source=entry.source)
            for entry in answer.entries
        ]

    @on_trio
    async def get_queue_state(self) -> QueueState:
        """Which cell is executing and which wait. Idle and empty without a kernel."""
        answer = await self._linked().request(requests.GetQueueState(), REQUEST_TIMEOUT)
        if not isinstance(answer, responses.QueueState):
            raise unexpected("get_queue_state", answer)
        return QueueState(executing=answer.executing, queued=answer.queued)

    async def _launch(self, kernel_type: str, env_source: str, path: str | None) -> None:
        answer = await self._request_patiently(
            requests.LaunchKernel(kernel_type, env_source, path or self._project)
        )
        if not isinstance(answer, (responses.KernelLaunched, responses.KernelAlreadyRunning)):
            raise unexpected("launch_kernel", answer)
        self._kernel.learn(answer.kernel_type, answer.env_source)
        for note in answer.notes:
            warnings.warn(note, RuntimeWarning, stacklevel=2)
        other_source = env_source not in _RESOLVED_SOURCES and env_source != answer.env_source
        # "python" is what is asked for when nothing is.
        other_type = kernel_type == "deno" and answer.kernel_type != "deno"
        if other_source or other_type:
            warnings.warn(
                f"asked for a kernel from {env_source if other_source else kernel_type}, "
                f"but the one from {answer.env_source} is running and was kept",
                RuntimeWarning,
                stacklevel=2,
            )

    async def _request_patiently(
        self, request: requests.NotebookRequest
    ) -> responses.NotebookResponse:
        """The answer to a request that may have an environment prepared, however long that goes on
        making progress."""
        link = self._linked()
        with trio.CancelScope(deadline=trio.current_time() + _LAUNCH_TIMEOUT) as patience:
            preparing = Preparing(patience, _LAUNCH_TIMEOUT)
            link.listen(preparing)
            try:
                if not link.replica.confirmed:
                    await link.confirm(REQUEST_TIMEOUT)
                return await link.request(request, math.inf)
            finally:
                link.unlisten(preparing)
        raise RuntimedError(f"Request timed out: no progress within {_LAUNCH_TIMEOUT:g} seconds")

    async def _start_kernel_if_needed(self) -> None:
        if not self._kernel.started:
            await self._launch("python", "auto", None)

    async def _wait_idle(self) -> None:
        link = self._linked()
        idle = _IdleKernel()
        link.listen(idle)
        try:
            with trio.move_on_after(_READY_TIMEOUT) as limit:
                answer = await link.request(requests.GetKernelInfo(), REQUEST_TIMEOUT)
                if not isinstance(answer, responses.KernelInfo) or answer.status != "idle":
                    await idle.changed.wait()
                    if idle.error is not None:
                        raise idle.error
            if limit.cancelled_caught:
                raise RuntimedError("Kernel not ready after 30 seconds")
        finally:
            link.unlisten(idle)


class _IdleKernel:
    """Notices when the kernel becomes idle, or can't any more."""

    def __init__(self) -> None:
        self.changed = trio.Event()
        self.error: RuntimedError | None = None

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if isinstance(broadcast, broadcasts.KernelStatus) and broadcast.status == "idle":
            self.changed.set()
        elif isinstance(broadcast, broadcasts.KernelError):
            self.end(RuntimedError(broadcast.error))

    def end(self, error: RuntimedError) -> None:
        self.error = error
        self.changed.set()
