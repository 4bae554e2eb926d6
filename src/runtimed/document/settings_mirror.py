"""The settings file: JSON that people edit by hand and the daemon keeps up to date.

Only the text of values that differ is replaced, so that unknown keys, order and layout stay as the
user has them. Text in, text out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from runtimed.document.settings_values import (
    LONGEST_KEEP_ALIVE,
    SHORTEST_KEEP_ALIVE,
    Settings,
    Values,
    read_json_values,
)

__all__ = ["parse_mirror", "render_mirror", "schema_text"]

_SCHEMA_KEY, _SCHEMA_FILE = "$schema", "./settings.schema.json"

_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"\n([ \t]+)\S")
_decoder = json.JSONDecoder()


@attrs.frozen
class _Member:
    """A member of an object in a text: where its value is."""

    key: str
    start: int
    end: int


def parse_mirror(data: bytes) -> dict[str, Any]:
    """The content of a settings file.

    Raises: ValueError that says what is wrong, and where.
    """
    return _parse(_text(data))


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig")


def _parse(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def render_mirror(before: bytes | None, values: Values) -> bytes:
    """A settings file that states these values, as near as can be to the file as it was.

    A value that the file spells in another way is left as it is.
    Raises: ValueError if the file as it was can't be parsed.
    """
    if before is None:
        content: dict[str, Any] = {_SCHEMA_KEY: _SCHEMA_FILE}
        for key, value in values.items():
            section, _, member = key.partition(".")
            if member:
                content.setdefault(section, {})[member] = list(value)
            else:
                content[section] = value
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
    text = _text(before)
    content = _parse(text)
    stated = read_json_values(content)
    for key, value in values.items():
        if stated.get(key) != value or not _is_there(content, key):
            text = _set(text, key.split("."), list(value) if isinstance(value, tuple) else value)
    if _SCHEMA_KEY not in content:
        text = _insert_first(text, _SCHEMA_KEY, _SCHEMA_FILE)
    if not text.endswith("\n"):
        text += "\n"
    return text.encode()


def _is_there(content: Mapping[str, Any], key: str) -> bool:
    section, _, member = key.partition(".")
    found = content.get(section)
    return section in content and (not member or (isinstance(found, dict) and member in found))


def _set(text: str, path: list[str], value: Any) -> str:
    """The text of an object with one value put in."""
    at = _space(text, 0)
    for depth, key in enumerate(path, 1):
        members = list(_members(text, at))
        found = [member for member in members if member.key == key]
        rest = path[depth:]
        if not found:
            return _insert_last(text, at, members, key, _nested(rest, value), depth)
        member = found[-1]  # of several with one name, the last is the one that counts
        if not rest or text[member.start] != "{":
            layout = None if "\n" not in text[member.start : member.end] else _indent(text)
            if rest:
                layout = _indent(text)
            new = _dump(_nested(rest, value), layout, depth)
            return text[: member.start] + new + text[member.end :]
        at = member.start
    raise AssertionError("a path has an end")


def _nested(path: list[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _members(text: str, at: int) -> Iterator[_Member]:
    """The members of the object that begins at `at`, in a text that is known to be JSON."""
    at = _space(text, at + 1)
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        start = _space(text, _space(text, at) + 1)
        _, end = _decoder.raw_decode(text, start)
        yield _Member(key, start, end)
        at = _space(text, end)
        if text[at] == ",":
            at = _space(text, at + 1)


def _insert_last(
    text: str, at: int, members: list[_Member], key: str, value: Any, depth: int
) -> str:
    indent = _indent(text)
    new = f"{json.dumps(key, ensure_ascii=False)}: {_dump(value, indent, depth)}"
    if members:
        between = text[at + 1 : _space(text, at + 1)]
        end = members[-1].end
        return f"{text[:end]},{between or ' '}{new}{text[end:]}"
    end = _space(text, at + 1)
    return f"{text[: at + 1]}\n{indent * depth}{new}\n{indent * (depth - 1)}{text[end:]}"


def _insert_first(text: str, key: str, value: Any) -> str:
    at = _space(text, 0)
    if text[_space(text, at + 1)] == "}":
        return _insert_last(text, at, [], key, value, 1)
    between = text[at + 1 : _space(text, at + 1)]
    return f"{text[: at + 1]}{between}{json.dumps(key)}: {json.dumps(value)},{text[at + 1 :]}"


def _dump(value: Any, indent: str | None, depth: int) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text if indent is None else text.replace("\n", "\n" + indent * depth)


def _indent(text: str) -> str:
    found = _INDENT.search(text)
    return found[1] if found else "  "


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def schema_text() -> bytes:
    """The JSON Schema of the settings file, for editors that complete and check."""
    properties: dict[str, Any] = {_SCHEMA_KEY: {"type": "string"}}
    shapes: dict[str, dict[str, Any]] = {
        "theme": {"type": "string", "enum": ["system", "light", "dark"]},
        "default_runtime": {"type": "string", "examples": ["python", "deno"]},
        "default_python_env": {"type": "string", "examples": ["uv", "conda"]},
        "keep_alive_secs": {
            "type": "integer",
            "minimum": SHORTEST_KEEP_ALIVE,
            "maximum": LONGEST_KEEP_ALIVE,
        },
    }
    for field in attrs.fields(Settings):
        section, _, member = field.metadata["key"].partition(".")
        about = {"description": field.metadata["about"]}
        if member:
            items = {"type": "array", "items": {"type": "string"}, "default": []} | about
            inside = properties.setdefault(section, {"type": "object", "properties": {}})
            inside["properties"][member] = items
        else:
            shape = shapes.get(section, {"type": "boolean"})
            properties[section] = shape | {"default": field.default} | about
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Notebook settings",
        "type": "object",
        "properties": properties,
        "additionalProperties": True,
    }
    return (json.dumps(schema, indent=2) + "\n").encode()
