"""Shell commands: what they print is streamed, and nothing of them outlives a cancel.

Each command is a process group of its own. It ends with its shell: what it left running in the
background lives on, and no longer holds up the request.
"""

from __future__ import annotations

import codecs
import math
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

import trio

from runtimed.agents.runtime.command_ends import CommandMark
from runtimed.errors import RuntimedError

__all__ = ["CommandNotStarted", "OnOutput", "run_program", "run_shell"]

#: Takes the stream's name and a piece of text; may wait, which holds up the program.
OnOutput: TypeAlias = Callable[[str, str], Awaitable[None]]

_CHUNK = 1 << 16
#: After the shell has exited: how long to wait for more, and how much at most to read. A pipe
#: holds 64 KiB, 1 MiB at most, so this is all that the shell itself can have left in it.
_AFTERGLOW = 0.5
_AFTERGLOW_BYTES = 1 << 20


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
    mark = CommandMark.new()
    try:
        if cwd:
            await trio.Path(cwd).mkdir(parents=True, exist_ok=True)
        process = await trio.lowlevel.open_process(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or None,
            env={**os.environ, **(env or {}), **mark.environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in a text
        raise CommandNotStarted(f"Command could not be started: {error}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    mark.started(process)
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
            await mark.stop()
        raise
    finally:
        mark.ended()
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
