"""Where a person types: a line editor with history and completion, on a thread beside Trio.

prompt_toolkit has an event loop of its own, asyncio's; it gets a thread, and questions that only
the kernel can answer come back to Trio from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import completion_is_selected, has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.output import Output

from runt_cli.jupyter.console.attached import Attached

__all__ = ["Prompt", "private_history"]

#: Entries of the history that are kept from one console to the next.
_KEPT = 5000


class Prompt:
    """Reads inputs. One read at a time; what is printed meanwhile goes through `aside`."""

    def __init__(
        self,
        attached: Attached,
        history: History,
        *,
        input: Input | None = None,  # noqa: A002 - prompt_toolkit's name for it
        output: Output | None = None,
    ) -> None:
        self._attached = attached
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._token = trio.lowlevel.current_trio_token()
        self._session: PromptSession[str] = PromptSession(
            history=history,
            multiline=True,
            completer=_KernelCompleter(self._ask, attached),
            complete_in_thread=True,
            complete_while_typing=False,
            enable_history_search=True,
            key_bindings=self._keys(),
            lexer=_lexer(attached.language),
            prompt_continuation="   ...: ",
            input=input,
            output=output,
        )

    async def read(self) -> str:
        """One input.

        Raises: EOFError for Ctrl-D, and when `stop` was called; KeyboardInterrupt for Ctrl-C.
        """
        results: list[str | BaseException] = []

        async def read() -> None:
            with trio.CancelScope(shield=True):
                results.append(await trio.to_thread.run_sync(self._read))
            nursery.cancel_scope.cancel()

        self._stopping = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            try:
                await trio.sleep_forever()
            finally:
                self.stop()  # a thread can't be cancelled; it is asked to end
        await trio.lowlevel.checkpoint_if_cancelled()
        (result,) = results
        if isinstance(result, BaseException):
            raise result
        return result

    def _read(self) -> str | BaseException:
        def begun() -> None:
            self._loop = asyncio.get_running_loop()
            if self._stopping:
                self.stop()

        try:
            return self._session.prompt(self._label, pre_run=begun, handle_sigint=False)
        except (EOFError, KeyboardInterrupt) as end:
            return end
        finally:
            self._loop = None

    def _label(self) -> FormattedText:
        # Called at each redraw, for others count on meanwhile.
        number = " " if self._attached.count is None else str(self._attached.count)
        return FormattedText([("ansigreen", f"In [{number}]: ")])

    def stop(self) -> None:
        """End the read that is under way, as Ctrl-D would. From any thread."""
        self._stopping = True
        self._call(lambda: self._session.app.exit(exception=EOFError()))

    def aside(self, write: Callable[[], object]) -> None:
        """Print something above what is being typed."""
        if not self._call(lambda: run_in_terminal(lambda: write() and None)):
            write()

    def _call(self, function: Callable[[], object]) -> bool:
        """Have something done in the editor's thread; whether there is one."""
        loop = self._loop
        if loop is None:
            return False

        def call() -> None:
            # The input may have been sent off meanwhile.
            with contextlib.suppress(Exception):
                function()

        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:  # closed
            return False
        return True

    def _ask(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Call back into Trio, from the editor's thread or one of its workers."""
        return trio.from_thread.run(function, *arguments, trio_token=self._token)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        typing = has_focus("DEFAULT_BUFFER") & ~completion_is_selected

        @keys.add("enter", filter=typing)
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            document = buffer.document
            if not document.text.strip():
                buffer.validate_and_handle()
            elif document.text_after_cursor.strip():
                buffer.newline()
            else:
                status = self._ask(self._attached.status, document.text)
                if status.complete:
                    buffer.validate_and_handle()
                else:
                    buffer.insert_text("\n" + status.indent)

        @keys.add("escape", "enter", filter=typing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.newline()

        return keys


class _KernelCompleter(Completer):
    def __init__(self, ask: Callable[..., Any], attached: Attached) -> None:
        self._ask = ask
        self._attached = attached

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        cursor = document.cursor_position
        found = self._ask(self._attached.complete, document.text, cursor)
        for text in found.texts:
            yield Completion(text, start_position=min(found.start - cursor, 0))


def private_history(path: Path) -> History:
    """What was typed in earlier consoles, in a file that nobody else can read; in memory only where
    no file can be had."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        with path.open("r+b") as file:
            entries = file.read().split(b"\n# ")
            if len(entries) > 2 * _KEPT:
                file.seek(0)
                file.truncate()
                file.write(b"\n# " + b"\n# ".join(entries[-_KEPT:]))
    except OSError as error:
        print(f"No history is kept: {error}", file=sys.stderr)
        return InMemoryHistory()
    return FileHistory(path)


def _lexer(language: str) -> Lexer | None:
    if language != "python":
        return None
    from pygments.lexers.python import PythonLexer

    return PygmentsLexer(PythonLexer)
