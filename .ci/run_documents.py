"""Runs the Python examples of the public documents, unchanged, against a default daemon.

`python .ci/run_documents.py overview.txt bindings.txt`. The examples of one document run in order
and share their names, as a reader would try them; those for asynchronous programs share names and a
loop of their own, once of asyncio and once of Trio. A text in a comment behind a `print`, such as
`# "hello\\n"`, must come true.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import io
import re
import subprocess
import sys
import time
import tokenize
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

import runtimed

_FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: What an example of this package speaks of.
_KNOWN = re.compile(r"\b(runtimed|session|client|s1|s2|result|cell)\b")


@attrs.frozen
class Block:
    """One example: where it stands, and its code."""

    document: str
    line: int
    code: str

    @property
    def is_async(self) -> bool:
        """Whether it belongs to a program that is asynchronous from the outside on."""
        if "asyncio.run(" in self.code:
            return False
        return "AsyncSession(" in self.code or bool(
            compile(self.code, "", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT).co_flags
            & inspect.CO_COROUTINE
        )


def fenced_blocks(path: Path) -> Iterator[Block]:
    """The fenced Python blocks of a Markdown document."""
    text = path.read_text()
    for match in _FENCED.finditer(text):
        yield Block(path.name, text.count("\n", 0, match.start(1)) + 1, match.group(1))


def bare_blocks(path: Path, known: re.Pattern[str] = _KNOWN) -> Iterator[Block]:
    """The code in a page that has lost its marks: the longest runs of lines that parse.

    Only those that speak of what is known: prose that happens to parse as Python does not.
    """
    lines = path.read_text().splitlines()
    start = 0
    while start < len(lines):
        end = _longest(lines, start)
        code = "\n".join(lines[start:end]) + "\n"
        if end > start and known.search(code) and not _is_prose(code):
            yield Block(path.name, start + 1, code)
        start = max(end, start + 1)


def _longest(lines: list[str], start: int) -> int:
    for end in range(len(lines), start, -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                ast.parse("\n".join(lines[start:end]))
        except SyntaxError:
            continue
        return end
    return start


def _is_prose(code: str) -> bool:
    """Single words, such as headings, parse as names."""
    return all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name)
        for statement in ast.parse(code).body
    )


class Runner:
    """Runs blocks in order, and compares what they print with their comments."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._names = {False: self._fresh_names(), True: self._fresh_names()}
        self._checks: dict[int, Any] = {}
        self.checked = 0
        self.failures = 0

    def run(self, block: Block) -> None:
        """Run one block; a failure is printed and counted."""
        with self._reported(block, "asyncio" if block.is_async else ""):
            outcome = self._begin(block, self._names[block.is_async])
            if inspect.iscoroutine(outcome):
                self._loop.run_until_complete(outcome)
        if ".shutdown()" in block.code:
            # "Stop the daemon": the next example starts another one, so this one must be gone.
            _wait_daemon_gone()

    async def run_on_trio(self, blocks: Sequence[Block]) -> None:
        """Run blocks of asynchronous programs once more, in the Trio loop of the caller."""
        names = self._fresh_names()
        for block in blocks:
            with self._reported(block, "Trio"):
                outcome = self._begin(block, names)
                if inspect.iscoroutine(outcome):
                    await outcome

    @contextmanager
    def _reported(self, block: Block, loop: str) -> Iterator[None]:
        print(f"--- {block.document}:{block.line}{f' ({loop})' if loop else ''}", flush=True)
        began = time.monotonic()
        try:
            yield
        except Exception:
            traceback.print_exc()
            self.failures += 1
        print(f"    {time.monotonic() - began:.2f} s", flush=True)

    def _begin(self, block: Block, names: dict[str, Any]) -> Any:
        """Run a block, or give the coroutine that does."""
        self._checks = dict(_promised_values(block.code))
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(block.code, block.document, "exec", flags, dont_inherit=True)
        return eval(code, names)

    def close(self) -> None:
        """Leave the loop behind in order."""
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _fresh_names(self) -> dict[str, Any]:
        # What a document imports once is there for all its examples.
        return {
            "__name__": "__main__",
            "print": self._print,
            "runtimed": runtimed,
            "asyncio": asyncio,
        }

    def _print(self, *values: Any, **options: Any) -> None:
        builtins.print(*values, **options)
        frame = inspect.currentframe()
        line = frame.f_back.f_lineno if frame and frame.f_back else 0
        if line not in self._checks:
            return
        promised = self._checks[line]
        value = values[0] if len(values) == 1 else values
        self.checked += 1
        if value != promised and not str(value).endswith(str(promised)):
            builtins.print(f"    promised {promised!r}, got {value!r}", file=sys.stderr)
            self.failures += 1


def _promised_values(code: str) -> Iterator[tuple[int, Any]]:
    """Line numbers of prints, each with the text that the comment behind it promises.

    Counts are left out: they are right for a kernel that has run nothing else.
    """
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT and token.line.strip().startswith("print("):
            try:
                value = ast.literal_eval(token.string.lstrip("# "))
            except (ValueError, SyntaxError):
                continue
            if isinstance(value, str):
                yield token.start[0], value


def _wait_daemon_gone() -> None:
    from runt_cli.daemon.process import is_alive
    from runtimed.paths import default_paths

    give_up = time.monotonic() + 15
    while is_alive(default_paths()):
        if time.monotonic() > give_up:
            raise SystemExit("the daemon did not end after shutdown()")
        time.sleep(0.02)


def main(documents: list[str]) -> int:
    """Run all documents' examples; the exit code."""
    total = failures = checked = 0
    for name in documents:
        path = Path(name)
        extract: Callable[[Path], Iterator[Block]]
        extract = fenced_blocks if "```python" in path.read_text() else bare_blocks
        # The sidecar is a program of its own and comes later.
        blocks = [block for block in extract(path) if "sidecar" not in block.code]
        if not blocks:
            raise SystemExit(f"no examples found in {path}")
        runner = Runner()
        for block in blocks:
            runner.run(block)
        runner.close()
        asynchronous = [block for block in blocks if block.is_async]
        trio.run(runner.run_on_trio, asynchronous)
        total += len(blocks) + len(asynchronous)
        failures += runner.failures
        checked += runner.checked
    subprocess.run([sys.executable, "-m", "runt_cli", "daemon", "stop"], check=False)
    print(f"{total} examples run, {checked} promised outputs compared, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
