"""Binary values in widget state: taken out for JSON, put back at their paths.

On the wire a widget's state is JSON; its binary values travel beside it as buffers, and
`buffer_paths` says where each belongs. A value in an object is left out of the JSON, one in a list
is null there. Nothing here changes what it is given: containers on the way are copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["put_buffers", "take_buffers"]

Path = tuple[Any, ...]


def put_buffers(
    state: dict[str, Any], paths: Iterable[Any], buffers: Sequence[bytes]
) -> dict[str, Any]:
    """The state with each buffer at its path. Buffers without a path are left over.

    Raises: ValueError for a path that leads nowhere, or that has no buffer.
    """
    owned: dict[Path, Any] = {}
    for number, path in enumerate(paths or ()):
        if not isinstance(path, (list, tuple)) or not path or number >= len(buffers):
            raise ValueError(f"no place or no buffer for buffer path {path!r}")
        try:
            container = _owned(state, tuple(path), owned)
            if not isinstance(path[-1], int if isinstance(container, list) else str):
                raise TypeError
            container[path[-1]] = bytes(buffers[number])
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"buffer path {path!r} leads nowhere") from error
    found: dict[str, Any] = owned.get((), state)
    return found


def take_buffers(state: dict[str, Any]) -> tuple[dict[str, Any], list[list[Any]], list[bytes]]:
    """The state as JSON can say it, the paths of its binary values, and these."""
    paths: list[list[Any]] = []
    buffers: list[bytes] = []
    owned: dict[Path, Any] = {}
    # A stack rather than recursion: the depth of a state is its sender's choice.
    waiting: list[tuple[Path, Any]] = [((), state)]
    while waiting:
        path, container = waiting.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in items:
            if isinstance(value, (bytes, bytearray, memoryview)):
                paths.append([*path, key])
                buffers.append(bytes(value))
            elif isinstance(value, (dict, list, tuple)):
                waiting.append(((*path, key), value))
    for place in paths:
        container = _owned(state, tuple(place), owned)
        if isinstance(container, list):
            container[place[-1]] = None
        else:
            del container[place[-1]]
    return owned.get((), state), paths, buffers


def _owned(state: dict[str, Any], path: Path, owned: dict[Path, Any]) -> Any:
    """The container in which a path ends; it and those on the way there copied, but once."""
    container = owned.get(())
    if container is None:
        container = owned[()] = dict(state)
    for depth, key in enumerate(path[:-1], 1):
        inner = owned.get(path[:depth])
        if inner is None:
            inner = container[key]
            if not isinstance(inner, (dict, list, tuple)):
                raise TypeError(f"no container at {path[:depth]!r}")
            inner = dict(inner) if isinstance(inner, dict) else list(inner)
            container[key] = owned[path[:depth]] = inner
        container = inner
    return container
