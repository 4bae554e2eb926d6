"""Messages to JSON bytes and back: the one place where tags, renamed and omitted keys are known.

The converter (in `converter`) knows how fields are spelt. A table for each union maps tags to
classes; tables are made when a channel first needs them. What can't be structured becomes an
Undecodable here and nowhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

import orjson
from cattrs import BaseValidationError, transform_error

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol.converter import Hook, Json, converter
from runtimed.protocol.frames import FrameKind, encode_typed
from runtimed.protocol.spelling import Bare, snake_case

if TYPE_CHECKING:
    from runtimed.protocol.blob import BlobRequest, BlobResponse
    from runtimed.protocol.broadcasts import NotebookBroadcast
    from runtimed.protocol.handshake import Handshake, NotebookConnectionInfo, ProtocolCapabilities
    from runtimed.protocol.pool import PoolRequest, PoolResponse, PoolState
    from runtimed.protocol.progress import Phase
    from runtimed.protocol.requests import NotebookRequest
    from runtimed.protocol.responses import NotebookResponse

__all__ = [
    "Undecodable",
    "dump",
    "encode_broadcast",
    "load_blob_request",
    "load_blob_response",
    "load_broadcast",
    "load_connection_info",
    "load_handshake",
    "load_pool_request",
    "load_pool_response",
    "load_pool_state",
    "load_protocol_capabilities",
    "load_request",
    "load_response",
]

T = TypeVar("T")


class Undecodable(RemoteProtocolError):
    """A message that is none of ours.

    tag: its tag, where one could be read; then only this message is at fault, not the connection.
    known: whether the tag is one of ours, so that it is the fields that are wrong.
    id: the request id, where one could be read.
    """

    def __init__(
        self,
        message: str,
        tag: str | None = None,
        known: bool = False,
        id: int | str | None = None,  # noqa: A002 - the name on the wire
    ) -> None:
        super().__init__(message)
        self.tag = tag
        self.known = known
        self.id = id


def _structure(what: str, hook: Hook, kind: Any, raw: Json) -> Any:
    """Run one structure hook, translating its errors."""
    try:
        return hook(raw, kind)
    except BaseValidationError as error:
        raise RemoteProtocolError(f"invalid {what}: {'; '.join(transform_error(error))}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteProtocolError(f"invalid {what}: {error}") from error


# Unions


class _Tagged(Generic[T]):
    """The classes of one union by their tags. Their hooks are generated when first used."""

    def __init__(self, what: str, key: str, classes: Iterable[type]) -> None:
        self.what = what
        self.key = key
        self.classes = {snake_case(cls.__name__): cls for cls in classes}
        self._hooks: dict[str, tuple[Hook, type]] = {}

    def structure(self, raw: Json) -> T:
        """The message in a JSON object.

        Raises: Undecodable.
        """
        tag = raw.get(self.key)
        if type(tag) is not str:
            raise Undecodable(f"{self.what} without {self.key}")
        found = self._hooks.get(tag)
        if found is None:
            cls = self.classes.get(tag)
            if cls is None:
                raise Undecodable(f'unknown {self.what} "{tag[:100]}"', tag, id=_id(raw))
            found = self._hooks[tag] = (converter.get_structure_hook(cls), cls)
        try:
            return cast(T, _structure(f'{self.what} "{tag}"', *found, raw))
        except Undecodable:
            raise  # of a union inside this one
        except RemoteProtocolError as error:
            raise Undecodable(str(error), tag, known=True, id=_id(raw)) from error

    def loads(self, data: bytes) -> T:
        return self.structure(_object(data, self.what))

    def loads_with_id(self, data: bytes) -> tuple[T, int | str | None]:
        raw = _object(data, self.what)
        return self.structure(raw), _id(raw)


def _object(data: bytes, what: str) -> Json:
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Undecodable(f"invalid JSON in {what}: {error}") from error
    if type(raw) is not dict:
        raise Undecodable(f"invalid {what}: expected an object")
    return raw


def _id(raw: Json) -> int | str | None:
    found = raw.get("id")
    return found if type(found) is int or type(found) is str else None


@functools.cache
def _handshakes() -> _Tagged[Handshake]:
    from runtimed.protocol.handshake import Handshake

    return _Tagged("handshake", "channel", get_args(Handshake))


@functools.cache
def _requests() -> _Tagged[NotebookRequest]:
    from runtimed.protocol.requests import NotebookRequest

    return _Tagged("request", "action", get_args(NotebookRequest))


@functools.cache
def _responses() -> _Tagged[NotebookResponse]:
    from runtimed.protocol.responses import NotebookResponse

    return _Tagged("response", "result", get_args(NotebookResponse))


@functools.cache
def _phases() -> _Tagged[Phase]:
    from runtimed.protocol.progress import Phase

    return _Tagged("phase", "phase", get_args(Phase))


@functools.cache
def _broadcasts() -> _Tagged[NotebookBroadcast]:
    from runtimed.protocol.broadcasts import EnvProgress, NotebookBroadcast

    text = converter.get_structure_hook(str)

    def structure_progress(raw: Json, _: Any) -> EnvProgress:
        return EnvProgress(text(raw["env_type"], str), _phases().structure(raw))

    def unstructure_progress(progress: EnvProgress) -> Json:
        return {"env_type": progress.env_type, **_unstructure(progress.phase)}

    converter.register_structure_hook(EnvProgress, structure_progress)
    converter.register_unstructure_hook(EnvProgress, unstructure_progress)
    return _Tagged("broadcast", "event", get_args(NotebookBroadcast))


@functools.cache
def _pool_requests() -> _Tagged[PoolRequest]:
    from runtimed.protocol.pool import PoolRequest

    return _Tagged("pool request", "type", get_args(PoolRequest))


@functools.cache
def _pool_responses() -> _Tagged[PoolResponse]:
    from runtimed.protocol.pool import PoolResponse

    return _Tagged("pool response", "type", get_args(PoolResponse))


@functools.cache
def _pool_states() -> _Tagged[PoolState]:
    from runtimed.protocol.pool import PoolState

    return _Tagged("pool state", "event", [PoolState])


@functools.cache
def _blob_requests() -> _Tagged[BlobRequest]:
    from runtimed.protocol.blob import BlobRequest

    return _Tagged("blob request", "action", get_args(BlobRequest))


_TABLES: Mapping[str, tuple[Callable[[], _Tagged[Any]], ...]] = {
    "runtimed.protocol.handshake": (_handshakes,),
    "runtimed.protocol.requests": (_requests,),
    "runtimed.protocol.responses": (_responses,),
    "runtimed.protocol.broadcasts": (_broadcasts,),
    "runtimed.protocol.progress": (_phases,),
    "runtimed.protocol.pool": (_pool_requests, _pool_responses, _pool_states),
    "runtimed.protocol.blob": (_blob_requests,),
}


# Writing


# Tag key (None for a message without tag), tag, and what gives the fields, if any.
_Spelling = tuple[str | None, str, Callable[[Any], Json] | None]
_spellings: dict[type, _Spelling] = {}


def _spelling(cls: type) -> _Spelling:
    tag = snake_case(cls.__name__)
    tables = [table() for table in _TABLES.get(cls.__module__, ())]
    key = next((table.key for table in tables if table.classes.get(tag) is cls), None)
    bare = issubclass(cls, Bare)
    return key, tag, None if bare else converter.get_unstructure_hook(cls)


def _unstructure(message: Any) -> Json:
    cls = type(message)
    if cls not in _spellings:
        _spellings[cls] = _spelling(cls)
    key, tag, fields = _spellings[cls]
    if key is None:
        return {} if fields is None else fields(message)
    if fields is None:
        return {key: tag}
    return {key: tag, **fields(message)}


def dump(message: object, id: int | str | None = None) -> bytes:  # noqa: A002
    """A message as JSON, with the request id in it if there is one.

    Raises: LocalProtocolError if it holds something that JSON has no way to say.
    """
    raw = _unstructure(message)
    if id is not None:
        raw["id"] = id
    try:
        return orjson.dumps(raw)
    except TypeError as error:  # orjson.JSONEncodeError is one
        raise LocalProtocolError(f"{type(message).__name__} can't be sent: {error}") from error


def encode_broadcast(broadcast: NotebookBroadcast) -> bytes:
    """A broadcast as a complete frame, to be encoded once and written to every peer.

    Raises: LocalProtocolError if it is too large or can't be written as JSON.
    """
    return encode_typed(FrameKind.BROADCAST, dump(broadcast))


# Reading. All raise RemoteProtocolError, where there is a tag to know them by as Undecodable.


def load_handshake(data: bytes) -> Handshake:
    """The first frame of a connection."""
    return _handshakes().loads(data)


def _load_untagged(cls: type[T], what: str, data: bytes) -> T:
    hook = converter.get_structure_hook(cls)
    return cast(T, _structure(what, hook, cls, _object(data, what)))


def load_protocol_capabilities(data: bytes) -> ProtocolCapabilities:
    """The reply to NotebookSync."""
    from runtimed.protocol.handshake import ProtocolCapabilities

    return _load_untagged(ProtocolCapabilities, "handshake reply", data)


def load_connection_info(data: bytes) -> NotebookConnectionInfo:
    """The reply to OpenNotebook and CreateNotebook."""
    from runtimed.protocol.handshake import NotebookConnectionInfo

    return _load_untagged(NotebookConnectionInfo, "handshake reply", data)


def load_request(data: bytes) -> tuple[NotebookRequest, int | str | None]:
    """A request on a notebook channel, and its id."""
    return _requests().loads_with_id(data)


def load_response(data: bytes) -> tuple[NotebookResponse, int | str | None]:
    """A response on a notebook channel, and the id of its request."""
    return _responses().loads_with_id(data)


def load_broadcast(data: bytes) -> NotebookBroadcast:
    """A broadcast on a notebook channel."""
    return _broadcasts().loads(data)


def load_pool_request(data: bytes) -> tuple[PoolRequest, int | str | None]:
    """A request on the pool channel, and its id."""
    return _pool_requests().loads_with_id(data)


def load_pool_response(data: bytes) -> tuple[PoolResponse, int | str | None]:
    """A response on the pool channel, and the id of its request."""
    return _pool_responses().loads_with_id(data)


def load_pool_state(data: bytes) -> PoolState:
    """What subscribers of the pool state get."""
    return _pool_states().loads(data)


def load_blob_request(data: bytes) -> BlobRequest:
    """A request on the blob channel."""
    return _blob_requests().loads(data)


def load_blob_response(data: bytes) -> BlobResponse:
    """A response on the blob channel: its one key says which."""
    from runtimed.protocol.blob import Failed, Port, Stored

    raw = _object(data, "blob response")
    for cls, key in ((Failed, "error"), (Stored, "hash"), (Port, "port")):
        if key in raw:
            found = _structure("blob response", converter.get_structure_hook(cls), cls, raw)
            return cast("BlobResponse", found)
    raise Undecodable("unknown blob response")
