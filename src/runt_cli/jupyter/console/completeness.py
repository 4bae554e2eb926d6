"""Whether typed code is complete, where no kernel can be asked; and piped code cut into inputs.

Pure: text in, decisions out.
"""

from __future__ import annotations

import ast
import codeop
import warnings

__all__ = ["Pieces", "indent_after", "is_complete"]

_CLOSERS = {")": "(", "]": "[", "}": "{"}

#: A line that begins so goes on with what is above it.
_GOES_ON = (" ", "\t", ")", "]", "}", "else", "elif", "except", "finally", "#")


def is_complete(code: str, language: str) -> bool:
    """Whether Enter behind this text means "run it". A blank last line always does."""
    lines = code.split("\n")
    if len(lines) > 1 and not lines[-1].strip():
        return True
    if language != "python":
        return _open_brackets(code) <= 0
    return _python_is_complete(code)


def indent_after(code: str) -> str:
    """What the next line begins with."""
    last = code.split("\n")[-1]
    indent = last[: len(last) - len(last.lstrip())]
    return indent + "    " if last.rstrip().endswith((":", "{", "[", "(")) else indent


class Pieces:
    """Cuts a stream of lines into what a person would have typed as one input each.

    A simple statement is one at once, so that whoever writes into a pipe gets its answer; a
    compound one ends where the next statement begins. Other languages than Python are not cut.
    """

    def __init__(self, language: str) -> None:
        self._python = language == "python"
        self._lines: list[str] = []

    def feed(self, line: str) -> list[str]:
        """The inputs that end before or with this line."""
        if not self._python:
            self._lines.append(line)
            return []
        if not self._lines and not line.strip():
            return []
        done = []
        begins = line.strip() != "" and not line.startswith(_GOES_ON)
        if self._lines and begins and _compiles("\n".join(self._lines)):
            done += self.finish()
        self._lines.append(line)
        # A blank line ends a block for who types, but is a part of one in a file.
        if line.strip() and _python_is_complete("\n".join(self._lines)):
            done += self.finish()
        return done

    def finish(self) -> list[str]:
        """What is left at the end."""
        code = "\n".join(self._lines).rstrip()
        self._lines = []
        return [code] if code else []


def _python_is_complete(code: str) -> bool:
    if code.startswith("%%"):
        return False
    if code.startswith(("%", "!", "?")) or code.endswith("?"):
        return "\n" not in code
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compiler(code) is not None
    except (SyntaxError, ValueError, OverflowError):
        return True  # the kernel says what is wrong with it


def _compiles(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code + "\n", "<input>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError, OverflowError):
        return False
    return True


def _open_brackets(code: str) -> int:
    """How many more brackets are opened than closed; strings are not looked into."""
    return sum(code.count(opener) - code.count(closer) for closer, opener in _CLOSERS.items())
