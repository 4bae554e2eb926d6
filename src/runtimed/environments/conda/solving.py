"""Having the worker process solve and link: starting it, hearing it, ending it in time."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from typing import IO

import attrs
import trio

from runtimed.environments.builder import Report
from runtimed.environments.conda.channels import Channel
from runtimed.environments.conda.messages import (
    Answered,
    Done,
    Failed,
    Line,
    Order,
    from_line,
    to_line,
)
from runtimed.errors import EnvironmentBuildFailed
from runtimed.own_programs import own_program
from runtimed.protocol import progress

__all__ = ["Limits", "solve_and_link"]

_WORKER = own_program("runtimed.environments.conda.worker")

_STDERR_KEPT = 4000
_LONGEST_LINE = 1 << 20
_LAST_WORDS = 1.0


@attrs.frozen
class Limits:
    """How long each part may take, in seconds. stall: installing without any progress."""

    metadata: float = 120.0
    solve: float = 120.0
    install: float = 1800.0
    stall: float = 120.0
    pip: float = 600.0


@attrs.define
class _Watch:
    """Where the worker is, and until when it must have come further."""

    order: Order
    limits: Limits
    waiting: list[Channel]
    deadline: float = math.inf
    installed_by: float = math.inf
    complaint: str = ""

    def heard(self, line: Line, now: float) -> None:
        limits = self.limits
        if isinstance(line, Answered):
            self.waiting = [channel for channel in self.waiting if channel.url != line.url]
            self._await_metadata(self.deadline)
        elif isinstance(line, progress.FetchingRepodata):
            self._await_metadata(now + limits.metadata)
        elif isinstance(line, progress.Solving):
            self.deadline = now + limits.solve
            self.complaint = (
                f"Failed to solve dependencies: nothing found within {limits.solve:.0f} seconds. "
                "Narrow the versions down"
            )
        elif isinstance(line, progress.Installing):
            self.installed_by = now + limits.install
        if self.installed_by < math.inf:
            self.deadline = min(now + limits.stall, self.installed_by)
            how = (
                f"not done within {limits.install:.0f} seconds"
                if self.deadline == self.installed_by
                else f"no progress for {limits.stall:.0f} seconds"
            )
            names = ", ".join(str(channel) for channel in self.order.channels)
            self.complaint = f"Failed to install packages: {how}. Look to the network and {names}"

    def _await_metadata(self, deadline: float) -> None:
        self.deadline = deadline
        names = ", ".join(str(channel) for channel in self.waiting or self.order.channels)
        self.complaint = (
            "Failed to fetch package metadata: no answer within "
            f"{self.limits.metadata:.0f} seconds from {names}. Look to the network, or name a "
            "channel that can be reached"
        )


async def solve_and_link(
    order: Order,
    report: Report,
    *,
    limits: Limits,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Carry out the order in a process of its own. However this is left, that process is gone.

    What there is at the order's prefix by then stays.
    Raises: EnvironmentBuildFailed, OSError.
    """
    watch = _Watch(order, limits, list(order.channels), trio.current_time() + limits.metadata)
    watch.complaint = "Failed to run the conda worker: it did not start"
    with tempfile.TemporaryFile() as complaints:
        process = await _start(environ, complaints.fileno())
        try:
            assert process.stdin is not None
            try:
                # kept open: the worker ends itself when this end is closed, by whatever
                await process.stdin.send_all(to_line(order))
            except trio.BrokenResourceError:
                pass  # it has ended; below is what it said
            ended = await _hear_out(process, watch, report)
            if ended is None:
                with trio.move_on_after(_LAST_WORDS):  # how it ends by itself says more
                    await process.wait()
        finally:
            await _end(process)
        if isinstance(ended, Failed):
            raise EnvironmentBuildFailed(ended.message, ended.failed_package)
        if ended is None:
            said = _tail(complaints)
            raise EnvironmentBuildFailed(
                f"The conda worker ended unexpectedly ({_how(process.returncode)})"
                + (f": {said}" if said else "")
            )


async def _start(environ: Mapping[str, str], stderr: int) -> trio.Process:
    try:
        return await trio.lowlevel.open_process(
            _WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd="/",
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentBuildFailed(f"Failed to run the conda worker: {error}") from error


async def _hear_out(process: trio.Process, watch: _Watch, report: Report) -> Done | Failed | None:
    """Report what the worker says until it is done; None if it ends without having said so."""
    assert process.stdout is not None
    held = b""
    while True:
        with trio.move_on_at(watch.deadline) as scope:
            chunk = await process.stdout.receive_some()
        if scope.cancelled_caught:
            return Failed(watch.complaint)
        if not chunk or len(held) > _LONGEST_LINE:
            return None
        *lines, held = (held + chunk).split(b"\n")
        for text in lines:
            try:
                line = from_line(text)
            except ValueError:
                return None
            if isinstance(line, (Done, Failed)):
                return line
            watch.heard(line, trio.current_time())
            if not isinstance(line, Answered):
                report(line)


async def _end(process: trio.Process) -> None:
    """Have the worker and whatever it started gone, and its pipes closed."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    with trio.CancelScope(shield=True):  # a killed process ends at once
        await process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await stream.aclose()


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _STDERR_KEPT))
    return file.read().decode(errors="replace").strip()


def _how(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return signal.Signals(-returncode).name
    return f"exit code {returncode}"
