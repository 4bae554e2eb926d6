"""What a person sees while a kernel is launched: a bar on the terminal, and then what was not done.

A pipe gets no bar.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from runt_cli.terminal import is_terminal

if TYPE_CHECKING:
    from runtimed import EnvironmentProgress

__all__ = ["EnvironmentBar"]

#: Steps after which there is, or was, nothing to wait for.
_QUICK = {"starting", "cache_hit", "ready", "error"}


class EnvironmentBar:
    """Drawn from the first step that takes time, erased at the end of the block.

    The warnings of a launch are printed as notes.
    """

    def __init__(self) -> None:
        self._catching = warnings.catch_warnings(record=True)
        self._caught: Sequence[warnings.WarningMessage] = ()
        self._terminal = is_terminal(sys.stderr)
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> EnvironmentBar:
        self._caught = self._catching.__enter__() or ()
        warnings.simplefilter("always", RuntimeWarning)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._catching.__exit__(exc_type, exc, trace)
        if self._progress is not None:
            self._progress.stop()
        if exc is not None:
            return  # which says it
        for caught in self._caught:
            print(f"Note: {caught.message}", file=sys.stderr)

    def show(self, step: EnvironmentProgress) -> None:
        """Draw a step; to be given to `start_kernel`."""
        if not self._terminal:
            return
        if self._progress is None:
            if step.phase in _QUICK and not step.details.get("elsewhere"):
                return
            self._draw()
        self._progress.update(
            self._task,
            description=step.message,
            total=1.0 if step.fraction is not None else None,
            completed=step.fraction or 0.0,
        )

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._progress.start()
