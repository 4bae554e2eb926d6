"""Which files of an artifact folder are not uploaded: gitignore's rules, letter case ignored.

Pure: rules are text, and whoever walks a folder asks about one entry after the other, from the top.
A folder that is ignored is not entered, so nothing below it can be included again. (Libraries for
these rules answer about whole paths instead, and then get `*` with `!*/` wrong.)

Source: gitignore(5), "Pattern format".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

__all__ = ["DEFAULT_RULES", "IGNORE_FILE", "IgnoreRules"]

#: The rules of a folder, in the folder itself. Never uploaded, wherever it lies.
IGNORE_FILE = ".artifactignore"

#: For a folder that has no rules. `.env` without a slash: the file of that name holds secrets.
DEFAULT_RULES = (
    "node_modules/",
    ".venv/",
    ".env",
    "env/",
    "venv/",
    "dist/",
    "__pycache__/",
    "__pytest_cache__/",
    ".pytest_cache/",
)


@attrs.frozen
class _Rule:
    pattern: re.Pattern[str]
    includes: bool
    folders_only: bool


class IgnoreRules:
    """The rules of one folder.

    Shape: `refused` are the lines that are no rules (a bracket that is not closed); git never
    matches them, either.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.refused: list[str] = []
        self._rules: list[_Rule] = []
        for line in lines:
            try:
                rule = _parsed(line)
            except ValueError:
                self.refused.append(line)
            else:
                if rule is not None:
                    self._rules.insert(0, rule)  # the last one that matches decides

    @classmethod
    def from_text(cls, text: str) -> IgnoreRules:
        return cls(line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n"))

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Whether the file or folder is left out.

        Shape: the path is relative to the artifact folder, with `/` between its parts; its parents
        are known not to be ignored.
        """
        if not folder and path.rpartition("/")[2] == IGNORE_FILE:
            return True
        for rule in self._rules:
            if (folder or not rule.folders_only) and rule.pattern.fullmatch(path):
                return not rule.includes
        return False


# ---------------------------------------------------------------------- one line


def _parsed(line: str) -> _Rule | None:
    """A line as a rule; None if it is empty or a comment. Raises: ValueError."""
    if line.startswith("#"):
        return None
    text = re.sub(r"(?<!\\)((?:\\\\)*) +\Z", r"\1", line)  # a blank at the end counts if escaped
    includes = text.startswith("!")
    text = text[1:] if includes else text
    folders_only = text.endswith("/")
    text = text[:-1] if folders_only else text
    if not text:
        return None
    anchored = "/" in text
    text = text.removeprefix("/")
    expression = _expression(text) if anchored else f"(?:.*/)?{_expression(text)}"
    return _Rule(re.compile(expression, re.IGNORECASE | re.DOTALL), includes, folders_only)


def _expression(text: str) -> str:
    parts, at = [], 0
    while at < len(text):
        stars = re.compile(r"(?:(?<=/)|\A)\*\*(/|\Z)").match(text, at)  # a part of its own
        character = text[at]
        if stars and "/" in text:
            parts.append("(?:.*/)?" if stars[1] else ".+")
            at = stars.end()
        elif character == "*":
            parts.append("[^/]*")
            while text[at : at + 1] == "*":
                at += 1
        elif character == "?":
            parts.append("[^/]")
            at += 1
        elif character == "[":
            expression, at = _bracket(text, at)
            parts.append(expression)
        elif character == "\\":
            if at + 1 == len(text):
                raise ValueError("nothing is escaped")
            parts.append(re.escape(text[at + 1]))
            at += 2
        else:
            parts.append(re.escape(character))
            at += 1
    return "".join(parts)


_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def _bracket(text: str, start: int) -> tuple[str, int]:
    """The bracket that begins here as a regular expression, and where it has ended."""
    at = start + 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    parts: list[str] = []
    while at < len(text) and (text[at] != "]" or not parts):
        named = re.compile(r"\[:(\w+):\]").match(text, at)
        if named and named[1] in _CLASSES:
            parts.append(_CLASSES[named[1]])
            at = named.end()
            continue
        if text[at] == "-" and parts and text[at + 1 : at + 2] not in ("", "]"):
            parts.append("-")
        else:
            at += text[at] == "\\"
            parts.append(re.escape(text[at : at + 1]))
        at += 1
    if at >= len(text):
        raise ValueError("a bracket is not closed")
    # A bracket never stands for what separates folders.
    return f"(?!/)[{'^' if negated else ''}{''.join(parts)}]", at + 1
