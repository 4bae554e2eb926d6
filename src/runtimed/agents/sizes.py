"""Messages that fit what a client reads: long text in several, long results cut or refused.

Pure. Sizes are those of the JSON in UTF-8, in bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import attrs

from runtimed.agents.messages import (
    DEFAULT_CLIENT_LIMIT,
    AgentRuntimeMessageInterface,
    AssistantMessageInterface,
    CommandExecutionResultMessageInterface,
    CommandOutputMessageInterface,
    CommandResultItem,
    ErrorMessageInterface,
    encode,
    render_for_client,
)

__all__ = [
    "LARGEST_LIMIT",
    "SMALLEST_LIMIT",
    "Tail",
    "assistant_messages",
    "client_limit",
    "encoded_size",
    "fitting_terminal",
    "output_messages",
    "shortened",
    "split_text",
]

#: A client cannot ask for less, for there would be no room for an error's text.
SMALLEST_LIMIT = 4096
#: Nor is more kept for one message, whatever it says that it reads.
LARGEST_LIMIT = 256 << 20
#: For the fields of a message besides the texts that are measured.
_OVERHEAD = 512


def client_limit(hint: int | None) -> int:
    """How large a message may be for a client that gave this hint, or none."""
    return DEFAULT_CLIENT_LIMIT if hint is None else min(max(hint, SMALLEST_LIMIT), LARGEST_LIMIT)


def encoded_size(text: str) -> int:
    """The size of a text as a JSON string."""
    return len(encode(text).encode())


def message_size(message: AgentRuntimeMessageInterface) -> int:
    return len(encode(render_for_client(message)).encode())


def split_text(text: str, limit: int) -> Iterator[str]:
    """The text in pieces of at most `limit` bytes as JSON strings; at least one, maybe empty."""
    # A character takes at most six bytes (\u0000), mostly one or two: guess, then measure.
    if len(text) * 6 + 2 <= limit or encoded_size(text) <= limit:
        yield text
        return
    middle = len(text) // 2
    yield from split_text(text[:middle], limit)
    yield from split_text(text[middle:], limit)


def assistant_messages(blocks: Sequence[str], limit: int) -> Iterator[AssistantMessageInterface]:
    """These blocks as one message if it fits, else as several, in order."""
    room = limit - _OVERHEAD
    pending: list[str] = []
    used = 0
    for block in blocks:
        for piece in split_text(block, room):
            size = encoded_size(piece) + 1
            if pending and used + size > room:
                yield AssistantMessageInterface(text_blocks=pending)
                pending, used = [], 0
            pending.append(piece)
            used += size
    if pending or not blocks:
        yield AssistantMessageInterface(text_blocks=pending)


def output_messages(
    stream: str, text: str, command: str, limit: int, *, legacy: bool = False
) -> Iterator[CommandOutputMessageInterface | AssistantMessageInterface]:
    """A chunk of a command's output as messages; clients of old know only assistant messages."""
    if legacy:
        yield from assistant_messages([text], limit)
        return
    command = shortened(command, limit // 4)
    for piece in split_text(text, limit - encoded_size(command) - _OVERHEAD):
        yield CommandOutputMessageInterface(stream=stream, text=piece, command=command)


def shortened(text: str, limit: int) -> str:
    """The text, or as much of its beginning as fits, with a remark."""
    if encoded_size(text) <= limit:
        return text
    kept = text
    while encoded_size(kept) > limit - 60:
        kept = kept[: len(kept) * 3 // 4]
    return f"{kept}... [truncated {len(text) - len(kept)} chars]"


class Tail:
    """The end of a text that comes in pieces, at most `limit` bytes of it (and one piece more)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[tuple[str, int]] = deque()
        self._kept = 0
        self.omitted = 0  #: bytes that are gone from its front

    def add(self, piece: str) -> None:
        if not piece:
            return
        size = len(piece.encode("utf-8", "surrogatepass"))
        self._pieces.append((piece, size))
        self._kept += size
        while self._kept - self._pieces[0][1] >= self._limit:
            _, gone = self._pieces.popleft()
            self._kept -= gone
            self.omitted += gone

    def text(self) -> str:
        return "".join(piece for piece, _ in self._pieces)

    def result(self, command: str, exit_code: int) -> CommandResultItem:
        """The item of a command that printed this."""
        return _item(command, exit_code, self.text(), self.omitted)


def _item(command: str, exit_code: int, text: str, omitted: int) -> CommandResultItem:
    if omitted:
        return CommandResultItem(
            command=command,
            exit_code=exit_code,
            stdout=f"[... {omitted} bytes omitted ...]\n{text}",
            stdout_truncated=True,
        )
    return CommandResultItem(command=command, exit_code=exit_code, stdout=text or None)


@attrs.frozen
class CommandEnd:
    """How a command ended, with the end of what it printed: an item yet to be made to fit."""

    command: str
    exit_code: int
    stdout: Tail


def execution_result(
    ends: Iterable[CommandEnd], limit: int
) -> CommandExecutionResultMessageInterface:
    """The terminal of a command execution, with as much output as fits, shared fairly.

    Short outputs stay whole; the long ones are cut to one common size, and keep their ends.
    """
    ends = list(ends)
    bare = CommandExecutionResultMessageInterface(
        results=[_item(end.command, end.exit_code, "", 1) for end in ends]
    )
    room = limit - message_size(bare) - _OVERHEAD - 24 * len(ends)
    texts = [end.stdout.text() for end in ends]
    share = _fair_share([encoded_size(text) for text in texts], room)
    items = []
    for end, text in zip(ends, texts, strict=True):
        kept = _end_of(text, share)
        gone = len(text[: len(text) - len(kept)].encode("utf-8", "surrogatepass"))
        items.append(_item(end.command, end.exit_code, kept, end.stdout.omitted + gone))
    return CommandExecutionResultMessageInterface(results=items)


def _fair_share(sizes: Sequence[int], room: int) -> int:
    """The largest size for each such that all together fit, where less than it needs no cut."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return max(0, room // left)
        room -= size
        left -= 1
    return max(sizes, default=0)


def _end_of(text: str, limit: int) -> str:
    """The longest end of the text (to a sixteenth) of at most `limit` bytes."""
    if encoded_size(text) <= limit:
        return text
    kept = text[-limit:] if limit > 0 else ""
    while kept and encoded_size(kept) > limit:
        kept = kept[len(kept) // 16 + 1 :]
    return kept


def fitting_terminal(message: AgentRuntimeMessageInterface, limit: int) -> str:
    """The terminal as JSON if it fits; an error with as much of its text as fits; else that it is
    too large."""
    text = encode(render_for_client(message))
    if len(text) * 4 <= limit or (size := len(text.encode())) <= limit:
        return text
    if isinstance(message, ErrorMessageInterface):
        shown = shortened(message.error, limit - _OVERHEAD)
        error = ErrorMessageInterface(error=shown, metadata={"metadata_omitted": True})
    else:
        told = f"Result too large: {size} bytes, the client reads at most {limit}"
        error = ErrorMessageInterface(error=told, metadata={})
    return encode(render_for_client(error))
