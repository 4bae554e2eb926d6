"""Secrets taken out of what leaves the runtime: texts, JSON values, and text that comes in chunks.

Pure. Only what an agent or a program wrote is redacted, never a field of the protocol: a secret
`text` or `result` must not break a message, and a redacted path could not be opened any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar, cast

import attrs

from runtimed.agents.messages import (
    AgentRuntimeMessageInterface,
    AssistantMessageInterface,
    CommandExecutionResultMessageInterface,
    CommandOutputMessageInterface,
    ErrorMessageInterface,
    ResultMessageInterface,
    StructuredOutputResult,
    TextResult,
)

__all__ = ["REPLACEMENT", "Redactor", "StreamRedactor", "redacted"]

REPLACEMENT = "[REDACTED]"

M = TypeVar("M", bound=AgentRuntimeMessageInterface)


class Redactor:
    """Replaces the secrets of one request. Where several match, the leftmost and then the longest.

    Everything is one pass, so that what was put in is never looked at again.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {each for each in secrets if each}
        if found:
            found.add(REPLACEMENT)  # so that a text which is redacted already stays as it is
        self.secrets = sorted(found, key=lambda each: -len(each))
        self._pattern = re.compile("|".join(map(re.escape, self.secrets)))

    def text(self, text: str) -> str:
        return self._pattern.sub(REPLACEMENT, text) if self.secrets else text

    def data(self, value: Any) -> Any:
        """JSON data with all its strings and keys redacted; keys that become the same are
        numbered."""
        if not self.secrets:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            return [self.data(each) for each in value]
        if isinstance(value, dict):
            found: dict[str, Any] = {}
            for key, each in value.items():
                found[_free(self.text(str(key)), found)] = self.data(each)
            return found
        return value

    def search(self, text: str, start: int) -> re.Match[str] | None:
        return self._pattern.search(text, start)

    def first_open(self, text: str, start: int) -> int:
        """Where the earliest secret begins that more text could complete or make longer; the
        length of the text if none."""
        if not self.secrets:
            return len(text)
        start = max(start, len(text) - len(self.secrets[0]) + 1)
        earliest = len(text)
        for secret in self.secrets:
            at = max(start, len(text) - len(secret) + 1)
            while (at := text.find(secret[0], at, earliest)) != -1:
                if secret.startswith(text[at:]):
                    earliest = at
                    break
                at += 1
        return earliest


def _free(key: str, taken: dict[str, Any]) -> str:
    number, free = 1, key
    while free in taken:
        number += 1
        free = f"{key} ({number})"
    return free


class StreamRedactor:
    """Redacts text that comes in chunks as if it came at once.

    Holds back the end of what came for as long as it may be the beginning of a secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, chunk: str) -> str:
        """What can be shown now."""
        text = self._held + chunk
        redactor = self._redactor
        shown, at = [], 0
        open_at = redactor.first_open(text, at)
        while True:
            # A search where every secret is closed finds what it would find in the whole text.
            match = redactor.search(text, at) if redactor.secrets else None
            if match is None or match.start() >= open_at:
                shown.append(text[at:open_at])
                self._held = text[open_at:]
                return "".join(shown)
            shown += (text[at : match.start()], REPLACEMENT)
            at = match.end()
            if at > open_at:
                open_at = redactor.first_open(text, at)

    def end(self) -> str:
        """What was held back: no more text comes."""
        text, self._held = self._held, ""
        return self._redactor.text(text)


def redacted(message: M, redactor: Redactor) -> M:
    """A message with what agents and programs wrote redacted.

    The text of a command's output is left as it is: it comes in chunks, and whoever makes messages
    of them redacts it with a StreamRedactor, and so is the standard output in results.
    """
    if not redactor.secrets:
        return message
    changes: dict[str, Any] = {}
    if isinstance(message, AssistantMessageInterface):
        changes["text_blocks"] = redactor.data(message.text_blocks)
    elif isinstance(message, ResultMessageInterface):
        answer = message.data
        if isinstance(answer, TextResult):
            changes["data"] = TextResult(text=redactor.text(answer.text))
        else:
            clean = redactor.data(answer.structured_output)
            changes["data"] = StructuredOutputResult(structured_output=clean)
        changes["metadata"] = redactor.data(message.metadata)
    elif isinstance(message, ErrorMessageInterface):
        changes["error"] = redactor.text(message.error)
        changes["metadata"] = redactor.data(message.metadata)
    elif isinstance(message, CommandOutputMessageInterface):
        changes["command"] = redactor.text(message.command)
    elif isinstance(message, CommandExecutionResultMessageInterface):
        changes["results"] = [
            attrs.evolve(each, command=redactor.text(each.command)) for each in message.results
        ]
    evolved: Any = attrs.evolve(cast("Any", message), **changes)
    return cast("M", evolved)
