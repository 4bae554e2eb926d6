"""The place for a room's one kernel, from the decision to launch it to its end.

Launches are shared: whoever asks while one is under way waits for the same, and one who goes away
does not end it. Which environment and which folder is for the room to say.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import attrs
import trio

from runtimed.environments.drift import tracked
from runtimed.environments.wanted import Choice, CondaPackages, UvPackages
from runtimed.errors import KernelStartFailed, RuntimedError, leaves
from runtimed.kernels.kernel import Kernel
from runtimed.kernels.kernels import Kernels
from runtimed.protocol import progress
from runtimed.protocol.structures import LaunchedEnvConfig
from runtimed.rooms.execution import CellRunner, LaunchedKernel

__all__ = ["KernelSlot"]

log = logging.getLogger(__name__)


class KernelSlot:
    """Holds at most one kernel.

    report: hears how its environment is built, kind and phase. launched: called when one runs.
    """

    def __init__(
        self,
        runner: CellRunner,
        kernels: Kernels,
        report: Callable[[str, progress.Phase], None],
        launched: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._kernels = kernels
        self._report = report
        self._launched = launched
        self._launch: _Launch | None = None

    @property
    def occupied(self) -> bool:
        return self._launch is not None

    @property
    def usable(self) -> bool:
        """Whether cells can be queued: a kernel runs, or is about to."""
        return self._launch is not None and not self._launch.ending

    @property
    def launching(self) -> bool:
        return self._launch is not None and not self._launch.decided.is_set()

    async def launch(
        self,
        nursery: trio.Nursery,
        choose: Callable[[], Awaitable[Choice]],
        directory: Callable[[], Awaitable[Path]],
        *,
        explicit: bool,
        named: bool = False,
    ) -> tuple[LaunchedKernel, bool]:
        """The kernel, launched in the room's nursery if need be; True if it was found running.

        `choose` says which environment, and is asked only if there is no kernel. Who asks
        explicitly has a choice of his own, should a launch that nobody asked for fail. One that is
        `named` replaces another kernel that nobody asked for and nobody has used.
        Raises: RuntimedError with the reason.
        """
        launch = self._launch
        if named and launch is not None and not (launch.ending or self._claimed(launch)):
            choice = await choose()
            if self._launch is launch and not self._claimed(launch) and not launch.is_for(choice):
                launch.end()
            launch = self._launch
        if launch is not None and launch.ending:
            await launch.ended.wait()
            launch = self._launch
        if launch is not None and explicit:
            launch.claimed = True
        found = launch is not None and launch.launched is not None
        if launch is None:
            launch = self._begin(nursery, choose, directory, explicit)
        await launch.decided.wait()
        if launch.launched is None and explicit and not (launch.explicit or launch.ending):
            launch = self._launch or self._begin(nursery, choose, directory, explicit)
            await launch.decided.wait()
        if launch.launched is None:
            raise RuntimedError(launch.failure)
        return launch.launched, found

    def _claimed(self, launch: _Launch) -> bool:
        """Whether somebody has asked for this kernel, or has run something in it."""
        return launch.explicit or launch.claimed or self._runner.used

    def _begin(
        self,
        nursery: trio.Nursery,
        choose: Callable[[], Awaitable[Choice]],
        directory: Callable[[], Awaitable[Path]],
        explicit: bool,
    ) -> _Launch:
        launch = self._launch = _Launch(explicit)
        nursery.start_soon(self._run, launch, choose, directory)
        return launch

    def end(self) -> None:
        """Ask the kernel, or its launch, to end: from now on it is not usable any more."""
        if self._launch is not None:
            self._launch.end()

    async def stop(self) -> bool:
        """Shut the kernel down and wait for its end; False if there was none."""
        launch = self._launch
        if launch is None:
            return False
        self.end()
        await launch.ended.wait()
        return launch.launched is not None

    async def _run(
        self,
        launch: _Launch,
        choose: Callable[[], Awaitable[Choice]],
        directory: Callable[[], Awaitable[Path]],
    ) -> None:
        """Launch a kernel and serve it until it ends. An error in here ends the kernel alone."""
        kernel = None
        try:
            with launch.scope:
                self._runner.launch_began()
                choice = launch.choice = await choose()
                folder = await directory()
                kind = choice.env_source.partition(":")[0]
                kernel = await self._kernels.launch(choice, folder, partial(self._report, kind))
                launch.launched = LaunchedKernel(
                    kernel=kernel,
                    kernel_type=choice.kernel_type,
                    env_source=choice.env_source,
                    launched_config=_launched_config(choice, kernel),
                    notes=(*choice.notes, *kernel.spec.notes),
                )
            if launch.launched is not None:
                if launch.ending:  # asked for when there was nothing to stop yet
                    launch.launched.kernel.stop()
                launch.decided.set()
                self._launched()
                await self._runner.serve(launch.launched)
        except Exception as error:
            launch.failure = "; ".join(map(_reason, leaves(error)))
            expected = all(isinstance(leaf, RuntimedError) for leaf in leaves(error))
            # That none is allowed, or can be chosen, is told to whoever asked.
            refused = expected and launch.choice is None
            log.log(
                logging.WARNING if refused else logging.ERROR,
                "kernel failed reason=%s",
                launch.failure,
                exc_info=None if expected else error,
            )
        finally:
            if kernel is not None:
                kernel.stop()
            if launch.launched is None:
                self._runner.launch_failed(launch.failure)
            self._launch = None
            launch.decided.set()
            launch.ended.set()


class _Launch:
    """A kernel from the decision to launch it to its end, shared by everybody who waits for it."""

    def __init__(self, explicit: bool) -> None:
        self.explicit = explicit
        self.claimed = False  # asked for by somebody after it had begun
        self.choice: Choice | None = None
        self.scope = trio.CancelScope()
        self.decided = trio.Event()
        self.ended = trio.Event()
        self.ending = False
        self.launched: LaunchedKernel | None = None
        self.failure = "Failed to launch kernel: The launch was cancelled"

    def is_for(self, choice: Choice) -> bool:
        """Whether it is about such a kernel."""
        mine = self.choice
        return mine is not None and (mine.kernel_type, mine.env_source) == (
            choice.kernel_type,
            choice.env_source,
        )

    def end(self) -> None:
        """Give up the launch, or ask the launched kernel to end."""
        self.ending = True
        self.scope.cancel()
        if self.launched is not None:
            self.launched.kernel.stop()


def _launched_config(choice: Choice, kernel: Kernel) -> LaunchedEnvConfig:
    config = tracked(choice)
    environment = kernel.spec.environment
    if environment is not None and isinstance(choice.wanted, (UvPackages, CondaPackages)):
        config = attrs.evolve(
            config, venv_path=str(environment.path), python_path=str(environment.python)
        )
    return attrs.evolve(config, launch_id=str(uuid.uuid4()))


def _reason(error: BaseException) -> str:
    """What a user reads of it: errors about environments speak for themselves."""
    text = str(error) or repr(error)
    if isinstance(error, RuntimedError) and not isinstance(error, KernelStartFailed):
        return text
    return f"Failed to launch kernel: {text}"
