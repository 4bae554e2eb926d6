"""Hypothesis strategies for every message class, made from the types of their fields."""

from __future__ import annotations

import functools
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from runtimed.protocol import (
    blob,
    broadcasts,
    events,
    handshake,
    pool,
    progress,
    requests,
    responses,
)

TEXT = st.text(max_size=8)
IDS = st.none() | st.integers(0, 2**53) | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)

HANDSHAKES = get_args(handshake.Handshake)
REPLIES = (handshake.ProtocolCapabilities, handshake.NotebookConnectionInfo)
REQUESTS = get_args(requests.NotebookRequest)
RESPONSES = get_args(responses.NotebookResponse)
BROADCASTS = get_args(broadcasts.NotebookBroadcast)
PHASES = get_args(progress.Phase)
POOL_REQUESTS = get_args(pool.PoolRequest)
POOL_RESPONSES = get_args(pool.PoolResponse)
BLOB_REQUESTS = get_args(blob.BlobRequest)
BLOB_RESPONSES = get_args(blob.BlobResponse)


@functools.cache
def messages(cls: type) -> st.SearchStrategy[Any]:
    """Instances of one message class."""
    hints = get_type_hints(cls, include_extras=True)
    fields = attrs.fields(cls)
    return st.builds(cls, **{field.alias: _values(hints[field.name]) for field in fields})


def one_of(classes: tuple[type, ...]) -> st.SearchStrategy[Any]:
    """Instances of any of these classes."""
    return st.one_of([messages(cls) for cls in classes])


def _values(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated and "paths" in arguments:
        return st.lists(st.lists(TEXT | st.integers(0, 9), max_size=2), max_size=2)
    if origin is Annotated:
        return st.integers(-(2**31), 2**31 - 1)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([_values(argument) for argument in arguments])
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(TEXT, JSON if arguments[1] is Any else TEXT, max_size=2)
    if attrs.has(kind):
        return messages(kind)
    return _PLAIN[kind]


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(0, 2**53),
    bool: st.booleans(),
    float: st.floats(0, 1e9),
    bytes: st.binary(max_size=8),
    type(None): st.none(),
}

FROM_CLIENT = (
    st.builds(events.Request, one_of(REQUESTS), IDS)
    | st.builds(events.SyncMessage, st.binary(max_size=40))
    | st.builds(events.PresenceMessage, st.binary(max_size=40))
)
"""What a client may send on a notebook channel."""

FROM_DAEMON = (
    one_of(BROADCASTS)
    | st.builds(events.Response, one_of(RESPONSES), IDS)
    | st.builds(events.SyncMessage, st.binary(max_size=40))
    | st.builds(events.PresenceMessage, st.binary(max_size=40))
)
"""What the daemon may send on a notebook channel."""
