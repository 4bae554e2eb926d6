"""All kernels of the daemon, and the warm ones that wait to be adopted.

A room launches through here and gets a running Kernel back. The kernel's task stays in this
service's nursery, because a warm kernel is older than the room that adopts it: one parent for its
whole life, and rooms only ask.
"""

from __future__ import annotations

import contextvars
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from runtimed.environments.builder import Report
from runtimed.environments.pool import Pool
from runtimed.environments.wanted import Choice, Pooled
from runtimed.errors import KernelStartFailed, leaves
from runtimed.kernels.connection import clear_directory, socket_directory, write_connection_file
from runtimed.kernels.registry import KernelRegistry, record_process
from runtimed.protocol.pool import WarmKernel

if TYPE_CHECKING:
    import zmq

    from runtimed.kernels.kernel import Kernel
    from runtimed.kernels.launch import LaunchSpec
    from runtimed.kernels.preparation import Preparation

__all__ = ["Kernels"]

log = logging.getLogger(__name__)

#: Seconds between a warm kernel that failed to start and the next attempt.
_RETRY = 30.0

#: Seconds without a cell running after which a replacement is started, and the longest that cells
#: which run one after another hold it up: they get the processor first.
_QUIET = 0.3
_LONGEST_WAIT = 5.0

#: Seconds a warm kernel may take to move to its notebook's directory.
_ADOPTION = 10.0

#: What warm kernels run in.
_WARM = Pooled("uv")
_WARM_CHOICE = Choice("python", "uv:prewarmed", _WARM)


class Kernels:
    """Launches kernels, keeps `warm_target` of them running in stock, ends them all at the end."""

    def __init__(
        self,
        *,
        connections: Path,
        registry: KernelRegistry,
        preparation: Preparation,
        pool: Pool,
        warm_target: int,
    ) -> None:
        self._connections = connections
        self._registry = registry
        self._preparation = preparation
        self._pool = pool
        self.warm_target = warm_target
        self._running: set[Kernel] = set()
        self._warm: list[Kernel] = []
        # Where warm kernels were adopted: what is logged of one's end belongs there, and its task,
        # which is older, knows nothing of it.
        self._adopters: dict[Kernel, contextvars.Context] = {}
        self._warming = 0
        self._generation = 0  # kernels that were begun before a flush are not wanted after it
        self._retry_at = 0.0
        self._wake = trio.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    @property
    def warm_count(self) -> int:
        return len(self._warm)

    def list_warm(self) -> list[WarmKernel]:
        """The kernels that wait for a notebook."""
        kind, source = _WARM_CHOICE.kernel_type, _WARM_CHOICE.env_source
        return [WarmKernel(each.kernel_id, each.pid, kind, source) for each in self._warm]

    async def run(
        self, *, task_status: trio.TaskStatus[Kernels] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Own the kernels. Started once orphans of an earlier daemon are gone. Runs until
        cancelled; then every kernel is asked, terminated, killed."""
        self._registry.reap_orphans()
        self._sockets = socket_directory(self._connections)
        clear_directory(self._connections)
        clear_directory(self._sockets)
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started(self)
                if self.warm_target > 0:
                    self._nursery.start_soon(self._relay_pool_changes)
                    await self._keep_warm()
                await trio.sleep_forever()
        finally:
            if self._context is not None:
                self._context.destroy(linger=0)

    # ------------------------------------------------------------------ launching

    async def launch(
        self,
        choice: Choice,
        working_directory: Path,
        progress: Report,
    ) -> Kernel:
        """A running kernel for a notebook: a warm one where there is one, else a new one.

        Raises: EnvironmentBuildFailed, KernelStartFailed.
        """
        while choice.wanted == _WARM and self._warm:
            kernel = self._warm.pop(0)
            self._wake.set()
            if await self._adopt(kernel, working_directory):
                return kernel
        spec = await self._preparation.prepare(choice, working_directory, progress)
        return await self._start(spec, working_directory)

    async def _adopt(self, kernel: Kernel, working_directory: Path) -> bool:
        if not kernel.running:
            return False
        adopted = False
        try:
            with trio.move_on_after(_ADOPTION):
                reply = await kernel.run_silently(_move_to(working_directory))
                adopted = reply.content.get("status") == "ok"
        except Exception as error:
            log.warning("warm kernel not adopted kernel=%s error=%r", kernel.kernel_id, error)
        finally:
            if adopted:
                self._adopters[kernel] = contextvars.copy_context()
            else:
                kernel.stop()
        log.info("warm kernel adopted=%s kernel=%s", adopted, kernel.kernel_id)
        return adopted

    async def _start(self, spec: LaunchSpec, working_directory: Path) -> Kernel:
        """Start a kernel. Whatever comes of it, what it runs in is released at its end."""
        # Here and not above: the daemon answers before it has a kernel to start.
        import zmq

        from runtimed.kernels.kernel import Kernel

        try:
            self._context = self._context or zmq.Context()
            connection = write_connection_file(
                self._connections, self._sockets, spec.kernel_name, spec.transport
            )
            kernel = Kernel(spec, connection, self._context, working_directory=working_directory)
        except BaseException:
            spec.release()
            raise
        try:
            await self._nursery.start(self._run_kernel, kernel)
        except BaseException:
            kernel.stop()  # a start that was cancelled at its last step leaves a kernel behind
            raise
        return kernel

    async def _run_kernel(
        self, kernel: Kernel, *, task_status: trio.TaskStatus[Kernel] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run one kernel; an error after its start ends this kernel alone."""
        self._running.add(kernel)
        try:
            await kernel.run(
                on_process=lambda pid: self._registry.add(kernel.kernel_id, record_process(pid)),
                task_status=task_status,
            )
            self._adopters.get(kernel, contextvars.copy_context()).run(
                log.info, "kernel ended kernel=%s reason=%s", kernel.kernel_id, kernel.exit_text
            )
        except Exception as error:
            if not kernel.started:
                raise _start_failure(error) from error
            self._adopters.get(kernel, contextvars.copy_context()).run(
                log.exception, "kernel task failed kernel=%s", kernel.kernel_id
            )
        finally:
            self._running.discard(kernel)
            self._adopters.pop(kernel, None)
            self._registry.remove(kernel.kernel_id)
            if kernel in self._warm:
                self._warm.remove(kernel)
                self._wake.set()
            kernel.spec.release()

    # ------------------------------------------------------------------ warm kernels

    async def flush(self) -> None:
        """Throw the warm kernels away; new ones start in new environments."""
        thrown, self._warm = self._warm, []
        self._generation += 1
        self._retry_at = 0.0
        self._wake.set()
        for kernel in thrown:
            kernel.stop()
        for kernel in thrown:
            await kernel.wait_ended()

    async def _relay_pool_changes(self) -> None:
        seen = 0
        while True:
            seen = await self._pool.wait_changed(seen)
            self._wake.set()

    async def _keep_warm(self) -> None:
        while True:
            self._wake = trio.Event()
            missing = self.warm_target - len(self._warm) - self._warming
            missing = min(missing, self._pool.status().available)
            if missing > 0 and trio.current_time() >= self._retry_at:
                await self._wait_quiet()
                self._warming += missing
                for _ in range(missing):
                    self._nursery.start_soon(self._warm_one)
                continue
            retry = self._retry_at if self._retry_at > trio.current_time() else math.inf
            with trio.move_on_at(retry):
                await self._wake.wait()

    async def _wait_quiet(self) -> None:
        """Wait until no kernel has been at work for a moment, or for long enough."""
        with trio.move_on_after(_LONGEST_WAIT):
            while True:
                last = max((kernel.last_busy for kernel in self._running), default=-math.inf)
                if trio.current_time() >= last + _QUIET:
                    return
                await trio.sleep_until(last + _QUIET)

    async def _warm_one(self) -> None:
        generation = self._generation
        try:
            spec = await self._preparation.prepare(_WARM_CHOICE, Path("/"), _ignore)
            assert spec.environment is not None
            kernel = await self._start(spec, spec.environment.path)
            if generation != self._generation:
                kernel.stop()
            elif kernel.running:
                self._warm.append(kernel)
                log.info("warm kernel ready kernel=%s pid=%d", kernel.kernel_id, kernel.pid)
        except Exception as error:
            self._retry_at = trio.current_time() + _RETRY
            log.error("warm kernel failed error=%s", error)
        finally:
            self._warming -= 1
            self._wake.set()


def _ignore(phase: object) -> None:
    """Nobody waits for a warm kernel."""


def _start_failure(error: BaseException) -> BaseException:
    for leaf in leaves(error):
        if isinstance(leaf, KernelStartFailed):
            return leaf
    return KernelStartFailed(f"{type(error).__name__}: {error}")


def _move_to(folder: Path) -> str:
    """Code that moves a kernel without leaving a name in its namespace."""
    return f"__import__('os').chdir({str(folder)!r})"
