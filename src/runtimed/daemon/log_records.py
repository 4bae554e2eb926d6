"""Lines of the daemon's log, as they are written and as they are read back. Pure: text and values.

A record is a line `YYYY-MM-DD HH:MM:SS [LEVEL] logger: message`, the message's facts as `key=value`
in it, and whatever lines follow up to the next such line: a traceback, a program's output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import attrs

__all__ = [
    "DATE_FORMAT",
    "LEVELS",
    "LINE_FORMAT",
    "Record",
    "Wanted",
    "field_text",
    "fields_of",
    "head_of",
    "records_of",
]

LINE_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

#: How grave each level is. The last two are those of lines from before and beyond logging.
LEVELS = {
    "TRACE": 10,
    "DEBUG": 10,
    "INFO": 20,
    "WARN": 30,
    "WARNING": 30,
    "ERROR": 40,
    "CRITICAL": 50,
    "STARTUP": 20,
    "PANIC": 50,
}

#: Characters of an id that must be given at least.
_PREFIX = 4

_HEAD = re.compile(
    r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) \[([A-Z]+)\] ([\w.:<>-]+): ?(.*)", re.DOTALL
)
_KEY = re.compile(r"(?:^|(?<=\s))([A-Za-z_][A-Za-z0-9_.]*)=")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"(?=\s|$)')
_PLAIN = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f]+\Z")


@attrs.frozen
class Record:
    """One record. `detail` is what follows its first line, '' for most. A line that belongs to no
    record, such as the rest of one that was rotated away, has neither time nor level nor logger.
    """

    time: datetime | None
    level: str | None
    logger: str | None
    message: str
    detail: str = ""

    @property
    def fields(self) -> dict[str, str]:
        return fields_of(self.message)

    def as_json(self) -> dict[str, object]:
        """The record as `runt logs --json` prints it. Times carry this machine's offset."""
        value: dict[str, object] = {
            "time": self.time.astimezone().isoformat() if self.time else None,
            "level": self.level,
            "logger": self.logger,
            "message": self.message,
            "fields": self.fields,
        }
        return value | {"detail": self.detail} if self.detail else value


def field_text(value: str) -> str:
    """A value as it stands behind its key: quoted, as JSON does it, where it would not be one word.

    So that a path with a blank in it can be told from what follows.
    """
    return value if _PLAIN.match(value) else json.dumps(value, ensure_ascii=False)


def head_of(line: str) -> Record | None:
    """The record that a line begins; None for a line that goes on with another."""
    matched = _HEAD.match(line.rstrip("\n"))
    if matched is None or matched[2] not in LEVELS:
        return None
    try:
        time = datetime.strptime(matched[1], DATE_FORMAT)
    except ValueError:  # digits, but no date
        return None
    return Record(time, matched[2], matched[3], matched[4])


def fields_of(message: str) -> dict[str, str]:
    """The facts of a message by their keys.

    Special cases: a value without quotes goes on up to the next key, for reasons and errors are
    free text; of a key that is there twice the first counts.
    """
    fields: dict[str, str] = {}
    found = _KEY.search(message)
    while found is not None:
        key, start = found[1], found.end()
        if quoted := _QUOTED.match(message, start):
            found = _KEY.search(message, quoted.end())
            try:
                value = str(json.loads(quoted[0]))
            except ValueError:  # no JSON after all
                value = quoted[0]
        else:
            found = _KEY.search(message, start)
            value = message[start : found.start() if found else None].strip()
        fields.setdefault(key, value)
    return fields


@attrs.frozen
class Wanted:
    """Which records somebody wants to see.

    level: that level and graver ones. rooms: names of rooms, ids and paths; a record that names one
    of them. since: not older than that, in the log's local time. Lines of no record pass only where
    nothing is asked.
    """

    level: int = 0
    rooms: Collection[str] = ()
    since: datetime | None = None

    @property
    def everything(self) -> bool:
        return not (self.level or self.rooms or self.since)

    def wants(self, record: Record) -> bool:
        if self.everything:
            return True
        if record.time is None or record.level is None:
            return False
        if LEVELS[record.level] < self.level or (self.since and record.time < self.since):
            return False
        return not self.rooms or any(_names(record.message, room) for room in self.rooms)

    def ends_before(self, record: Record) -> bool:
        """Whether nothing older than this record can be wanted. Clocks are turned back by an hour
        in autumn."""
        if self.since is None or record.time is None:
            return False
        return (self.since - record.time).total_seconds() > 3600


def _names(message: str, room: str) -> bool:
    """Whether a message names a room: as a whole word, not as a part of a longer path or id.

    Special cases: the room that a line is about may be named by its file's name alone, or by the
    beginning of its id.
    """
    fields = fields_of(message)
    if room in fields.values():
        return True
    if "/" not in room and (own := fields.get("room")) is not None:
        folder, _, name = own.rpartition("/")
        if name == room or (not folder and len(room) >= _PREFIX and own.startswith(room)):
            return True
    # In the words of a message, a mere file's name would be that of any other folder's file, too.
    if "/" not in room and "." in room:
        return False
    return re.search(rf"(?<![\w/.-]){re.escape(room)}(?![\w/-]|\.\w)", message) is not None


def records_of(lines: Iterable[str]) -> Iterator[Record]:
    """The records of some lines in their order, each with all that follows its first line."""
    head: Record | None = None
    rest: list[str] = []
    for line in lines:
        begun = head_of(line)
        if begun is None and head is not None:
            rest.append(line.rstrip("\n"))
            continue
        if head is not None:
            yield attrs.evolve(head, detail="\n".join(rest))
        head, rest = begun, []
        if begun is None:
            yield Record(None, None, None, line.rstrip("\n"))
    if head is not None:
        yield attrs.evolve(head, detail="\n".join(rest))
