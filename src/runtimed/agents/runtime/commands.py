"""Shell commands: what they print is streamed, and nothing of them outlives a cancel.

Each command is a process group of its own. It ends with its shell: what it left running in the
background lives on, and no longer holds up the request.
"""

from __future__ import annotations

import codecs
import math
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

import trio

from runtimed.errors import RuntimedError
from runtimed.processes import processes_from_proc

__all__ = ["CommandNotStarted", "OnOutput", "kill_all", "run_program", "run_shell", "stop_group"]

#: Takes the stream's name and a piece of text; may wait, which holds up the program.
OnOutput: TypeAlias = Callable[[str, str], Awaitable[None]]

_CHUNK = 1 << 16
#: After the shell has exited: how long to wait for more, and how much at most to read. A pipe
#: holds 64 KiB, 1 MiB at most, so this is all that the shell itself can have left in it.
_AFTERGLOW = 0.5
_AFTERGLOW_BYTES = 1 << 20
#: Between asking a group to end and killing it.
_TERM_GRACE = 2.0

#: The groups of this process, for an end that has no time for anything else.
_running: set[int] = set()


class CommandNotStarted(RuntimedError):
    """A command could not be started; the text says why."""


async def run_shell(
    command: str,
    on_output: OnOutput,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command with /bin/sh and give its exit code; -N if signal N ended it.

    The folder is made if it is not there; `env` is added to this process's environment. Cancelled,
    it ends the whole process group before it returns.

    Raises: CommandNotStarted.
    """
    return await run_program(["/bin/sh", "-c", command], on_output, cwd=cwd, env=env)


async def run_program(
    argv: list[str],
    on_output: OnOutput,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> int:
    """The same for a program and its arguments, and with something on its standard input."""
    try:
        if cwd:
            await trio.Path(cwd).mkdir(parents=True, exist_ok=True)
        process = await trio.lowlevel.open_process(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or None,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in a text
        raise CommandNotStarted(f"Command could not be started: {error}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    _running.add(process.pid)
    relays = [
        _Relay(process.stdout, "stdout", on_output),
        _Relay(process.stderr, "stderr", on_output),
    ]
    try:
        async with trio.open_nursery() as readers:
            feeding = trio.CancelScope()
            if process.stdin is not None:
                readers.start_soon(_feed, process.stdin, stdin or b"", feeding)
            for relay in relays:
                readers.start_soon(relay.run)
            code = await process.wait()
            feeding.cancel()
            for relay in relays:
                relay.program_ended()
        return code
    except BaseException:
        with trio.CancelScope(shield=True):
            await stop_group(process)
        raise
    finally:
        _running.discard(process.pid)
        with trio.CancelScope(shield=True):
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    await pipe.aclose()


async def _feed(pipe: trio.abc.SendStream, data: bytes, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError), scope:  # a program need not read all of it
        await pipe.send_all(data)
    await pipe.aclose()


class _Relay:
    """Hands on what a pipe gives, until its end or for a moment after its program has ended."""

    def __init__(self, pipe: trio.abc.ReceiveStream, name: str, on_output: OnOutput) -> None:
        self._pipe = pipe
        self._name = name
        self._on_output = on_output
        self._waiting = trio.CancelScope()
        self._since = 0.0
        self._seconds_left = math.inf
        self._bytes_left: float = math.inf

    def program_ended(self) -> None:
        self._seconds_left = _AFTERGLOW
        self._bytes_left = _AFTERGLOW_BYTES
        self._since = trio.current_time()
        self._waiting.deadline = self._since + _AFTERGLOW

    async def run(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while self._bytes_left > 0 and self._seconds_left > 0:
            # Only the time spent waiting for the pipe counts, not that for a slow client.
            self._since = trio.current_time()
            with trio.CancelScope(deadline=self._since + self._seconds_left) as self._waiting:
                chunk = bytes(await self._pipe.receive_some(_CHUNK))
            if self._waiting.cancelled_caught or not chunk:
                break
            self._bytes_left -= len(chunk)
            self._seconds_left -= trio.current_time() - self._since
            if text := decoder.decode(chunk):
                await self._on_output(self._name, text)
        if text := decoder.decode(b"", final=True):
            await self._on_output(self._name, text)


async def stop_group(process: trio.Process) -> None:
    """Ask all that a program has started to end, and kill what has not after two seconds.

    Shielded by its caller. Returns when none of it is left, or all of it has been killed.
    """
    session = process.pid
    if _signalled(session, signal.SIGTERM):
        with trio.move_on_after(_TERM_GRACE):
            await process.wait()
            while _left(session):  # noqa: ASYNC110 - nobody tells us of their end
                await trio.sleep(0.05)
        _signalled(session, signal.SIGKILL)
        for pid in _left(session):  # a group of its own, in the same session
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    await process.wait()


def _left(session: int) -> list[int]:
    """The processes of a session that still run. (Zombies don't, and may have nobody who reaps
    them in a container; that they are in the group still is why the group is not asked.)"""
    if sys.platform == "linux":
        return [each.pid for each in processes_from_proc() if each.session == session]
    return [session] if _signalled(session, 0) else []


def kill_all() -> None:
    """Kill every command at once: this process is about to end."""
    for group in list(_running):
        _signalled(group, signal.SIGKILL)


def _signalled(group: int, number: int) -> bool:
    """Whether there was such a group to be signalled; 0 only asks."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS, for a group of zombies; anywhere, for what runs as others
        return number != 0
    return True
