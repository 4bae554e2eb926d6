"""The console itself: reads an input, runs it, and so on, at a terminal or from a pipe.

Trio has the main thread, so that a signal is an event here like any other: Ctrl-C interrupts what
runs, and what ends the terminal ends the console in order.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import trio

from runt_cli.failure import FAILED
from runt_cli.interruptible import run_interruptible
from runt_cli.jupyter.console.attached import Attached, Face
from runt_cli.jupyter.console.completeness import Pieces
from runt_cli.jupyter.console.images import PROTOCOLS, Protocol, protocol_of
from runt_cli.jupyter.console.places import Opened, Place, Surroundings
from runt_cli.terminal import is_terminal
from runt_cli.terminal_input import TerminalInput
from runt_cli.watching import standard_screen
from runtimed.errors import KernelDied, RuntimedError
from runtimed.messages.wire import Message
from runtimed.paths import cache_root

if TYPE_CHECKING:
    from runt_cli.jupyter.console.prompt import Prompt

__all__ = ["run_console"]

#: Interrupts of one run, none of which it heeded, after which it is left alone.
_PATIENCE = 3

_CHUNK = 65_536


def run_console(place: Place, *, images: str, verbose: bool) -> int:
    """Run a console to its end; the exit code."""
    trace = _trace if verbose else None
    typed = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    if typed:
        chosen = next((p for p in PROTOCOLS if p == images), protocol_of(os.environ))
        return trio.run(_Terminal(chosen, trace).run, place)
    return run_interruptible(partial(_run_piped, place, trace))


def _trace(channel: str, message: Message) -> None:
    print(f"{channel} {message.msg_type} {message.content}", file=sys.stderr, flush=True)


class _Terminal:
    """A console with somebody at it."""

    def __init__(self, images: Protocol, trace: Callable[[str, Message], None] | None) -> None:
        self._screen = standard_screen()
        self._face = Face(self._screen, self._aside, images)
        self._trace = trace
        self._prompt: Prompt | None = None
        self._attached: Attached | None = None
        self._running: trio.CancelScope | None = None
        self._interrupts = 0
        self._code = 0

    def _aside(self, text: str) -> None:
        if self._prompt is not None:
            self._prompt.aside(lambda: self._screen.block(False, text))
        else:
            self._screen.block(False, text)

    def _say(self, text: str) -> None:
        self._screen.block(True, f"{text}\n")

    async def run(self, place: Place) -> int:
        """Runs until Ctrl-D, a signal that ends programs, or the loss of the kernel."""
        around = Surroundings(self._face, TerminalInput(self._screen), self._trace, self._say)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._heed_signals, nursery.cancel_scope)
            async with place(around) as opened, trio.open_nursery() as inner:
                if opened.banner:
                    self._screen.block(False, opened.banner.rstrip("\n") + "\n")
                inner.start_soon(self._heed_loss, opened, inner.cancel_scope)
                await self._loop(opened.attached)
                inner.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        return self._code

    async def _loop(self, attached: Attached) -> None:
        from runt_cli.jupyter.console.prompt import Prompt, private_history

        self._attached = attached
        history = private_history(cache_root() / "runt" / "console-history")
        prompt = self._prompt = Prompt(attached, history)
        while True:
            try:
                code = await prompt.read()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if code.strip():
                await self._run_one(attached, code)
                self._screen.block(False, "")

    async def _run_one(self, attached: Attached, code: str) -> None:
        self._interrupts = 0
        try:
            with trio.CancelScope() as self._running:
                await attached.run(code)
            if self._running.cancelled_caught:
                self._say("The kernel does not heed the interrupt. It goes on running.")
        except KernelDied:
            await trio.sleep_forever()  # whoever notices the loss says so, and ends this
        except RuntimedError as error:
            self._say(f"Error: {error}")
        finally:
            self._running = None

    async def _heed_loss(self, opened: Opened, scope: trio.CancelScope) -> None:
        reason = await opened.wait_lost()
        self._aside(f"{reason}.\n")
        self._code = FAILED
        scope.cancel()

    async def _heed_signals(
        self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]
    ) -> None:
        ending = (signal.SIGTERM, signal.SIGHUP)
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(signal.SIGINT, *ending) as signals:
                task_status.started()
                async for number in signals:
                    if number in ending:
                        self._code = 128 + number
                        scope.cancel()
                    elif self._running is None:
                        continue
                    elif self._interrupts >= _PATIENCE - 1:
                        self._running.cancel()
                    else:
                        self._interrupts += 1
                        nursery.start_soon(self._interrupt)

    async def _interrupt(self) -> None:
        if self._attached is not None:
            try:
                await self._attached.interrupt()
            except RuntimedError as error:
                self._say(f"Error: {error}")


async def _run_piped(place: Place, trace: Callable[[str, Message], None] | None) -> int:
    """Run what comes on stdin, until it ends or something fails."""
    screen = standard_screen()
    face = Face(screen, lambda text: screen.block(False, text), numbered=False)
    async with (
        place(Surroundings(face, None, trace, lambda text: None)) as opened,
        aclosing(_pieces(opened.attached.language)) as pieces,
    ):
        async for piece in pieces:
            if not await opened.attached.run(piece):
                return FAILED
    return 0


async def _pieces(language: str) -> AsyncGenerator[str, None]:
    pieces = Pieces(language)
    rest = b""
    while chunk := await trio.to_thread.run_sync(
        os.read, sys.stdin.fileno(), _CHUNK, abandon_on_cancel=True
    ):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            for piece in pieces.feed(line.decode("utf-8", "replace")):
                yield piece
    for piece in [*pieces.feed(rest.decode("utf-8", "replace")), *pieces.finish()]:
        yield piece
