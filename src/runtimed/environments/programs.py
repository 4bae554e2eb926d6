"""Running programs that build environments: uv, interpreters, shells.

None of them outlives this process: one that goes on after its daemon was killed would write into a
folder that the next daemon is building in.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import trio

from runtimed.errors import EnvironmentBuildFailed

__all__ = ["ProgramResult", "run_program"]

_STDERR_KEPT = 8000
_SHELL = "/bin/sh"

# Standard input is a pipe whose other end only we hold: when it closes, we are gone, however that
# came, and the whole process group goes. A shell, because neither what uv does nor what macOS has
# would watch its parent. A file that grows beyond what is allowed (ulimit -f) is to be an error
# that says so, and not the end by SIGXFSZ.
_GUARD = """
trap '' XFSZ
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
"$@" 3<&-
code=$?
{ kill -KILL "$!"; wait "$!"; } >/dev/null 2>&1
exit "$code"
"""
_SIGNALLED = 128  # what a shell adds to the number of the signal


@attrs.frozen
class ProgramResult:
    """How a program ended, and the end of what it wrote to its error stream.

    returncode: negative for the signal that ended it.
    """

    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.returncode == 0

    @property
    def complaint(self) -> str:
        """What it wrote, and what ended it unless that was its own will."""
        if self.returncode >= 0:
            return self.stderr
        try:
            name = signal.Signals(-self.returncode).name
        except ValueError:
            name = f"signal {-self.returncode}"
        return f"{self.stderr}\nit was killed ({name})".lstrip()


async def run_program(
    argv: Sequence[str], *, environ: Mapping[str, str], cwd: Path, limit: float
) -> ProgramResult:
    """Run a program in a process group of its own. However this is left, the group is dead, also
    when it is left by the end of this process.

    Raises: trio.TooSlowError after `limit` seconds; EnvironmentBuildFailed if it can't be started.
    """
    if shutil.which(argv[0], path=environ.get("PATH")) is None:
        raise EnvironmentBuildFailed(f"Failed to run {argv[0]}: there is no such program")
    try:
        watched, ours = os.pipe()
        try:
            with trio.fail_after(limit):
                done = await trio.run_process(
                    [_SHELL, "-c", _GUARD, _SHELL, *argv],
                    stdin=watched,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=dict(environ),
                    cwd=cwd,
                    start_new_session=True,
                    deliver_cancel=_kill_group,
                )
        finally:
            os.close(watched)
            os.close(ours)
    except OSError as error:
        raise EnvironmentBuildFailed(f"Failed to run {argv[0]}: {error}") from error
    code = done.returncode
    return ProgramResult(
        _SIGNALLED - code if code > _SIGNALLED else code,
        done.stdout.decode(errors="replace"),
        done.stderr[-_STDERR_KEPT:].decode(errors="replace").strip(),
    )


async def _kill_group(process: trio.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
