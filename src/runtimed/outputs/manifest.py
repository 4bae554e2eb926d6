"""Manifests: outputs whose large parts are references to blobs.

Turns an nbformat-like output into the JSON that names its parts, and back. Knows neither where
blobs are kept nor what a cell is: new blobs are handed out as bytes, existing ones are read through
a function of the caller.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from runtimed.outputs.json_text import compact_json, parse_json, utf8, well_formed

__all__ = [
    "BLOB_LIMIT",
    "INLINE_LIMIT",
    "MANIFEST_MEDIA_TYPE",
    "Manifest",
    "NewBlob",
    "base64_bytes",
    "blob_references",
    "build_manifest",
    "bundle_references",
    "display_id_of",
    "is_binary_type",
    "is_json_type",
    "is_manifest_hash",
    "new_blob",
    "resolve_bundle",
    "resolve_manifest",
    "updated_manifest",
]

INLINE_LIMIT = 8192
"""Contents of fewer UTF-8 bytes than this stay in the manifest."""

BLOB_LIMIT = 100 * 1024 * 1024
"""The most bytes one blob may have."""

MANIFEST_MEDIA_TYPE = "application/x-jupyter-output+json"

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_BUNDLES = ("display_data", "execute_result")
_BINARY_TYPES = frozenset(
    {
        "application/pdf",
        "application/octet-stream",
        "application/vnd.ms-fontobject",
        "application/zip",
        "application/gzip",
        "application/x-gzip",
        "application/zstd",
        "application/x-tar",
        "application/x-bzip2",
        "application/x-xz",
        "application/x-7z-compressed",
        "application/vnd.rar",
        "application/x-rar-compressed",
        "application/java-archive",
    }
)
_BINARY_FAMILIES = (
    "image/",
    "audio/",
    "video/",
    "font/",
    "application/font-",
    "application/x-font-",
)
_WRAPPED = 76  # the line length of base64.encodebytes, which older kernels use


@attrs.frozen
class NewBlob:
    """A part that is too large for the manifest. `hash` is the SHA-256 of `data` in hex."""

    hash: str
    data: bytes = attrs.field(repr=False)
    media_type: str


@attrs.frozen
class Manifest:
    """An output as it is stored: its JSON, that JSON's SHA-256 and the blobs it refers to."""

    hash: str
    json: bytes = attrs.field(repr=False)
    blobs: tuple[NewBlob, ...]
    output_type: str
    display_id: str | None = None

    @property
    def largest(self) -> int:
        """Size in bytes of the largest thing that must be stored for this output."""
        return max(len(self.json), *(len(blob.data) for blob in self.blobs), 0)


def new_blob(data: bytes, media_type: str) -> NewBlob:
    """Bytes to be stored under their hash."""
    return NewBlob(_sha256(data), data, well_formed(media_type))


def build_manifest(output: Mapping[str, Any]) -> Manifest:
    """Make the manifest of an nbformat-like output.

    Text may be a string or a list of strings. Base64 of binary MIME types that goes to a blob is
    decoded, and its reference says `"encoding": "base64"`; what isn't base64 stays text. Equal
    outputs give equal manifests, whatever the order of their keys.
    Raises: ValueError if the output type is missing or unknown, or the output can't be JSON.
    """
    output_type = output.get("output_type")
    if output_type is None:
        raise ValueError("missing output_type")
    blobs: list[NewBlob] = []
    display_id: str | None = None
    fields: dict[str, Any]
    if output_type == "stream":
        text = utf8(_joined(output.get("text", "")))
        fields = {
            "name": well_formed(str(output.get("name") or "stdout")),
            "text": _text_reference(text, "text/plain", blobs),
        }
    elif output_type in _BUNDLES:
        fields = _bundle_fields(output.get("data"), output.get("metadata"), blobs)
        transient = output.get("transient")
        if isinstance(transient, Mapping) and isinstance(transient.get("display_id"), str):
            display_id = well_formed(transient["display_id"])
            fields["transient"] = {"display_id": display_id}
        if output_type == "execute_result":
            fields["execution_count"] = _count(output.get("execution_count"))
    elif output_type == "error":
        traceback = output.get("traceback", [])
        if not isinstance(traceback, (list, tuple)):
            traceback = [str(traceback)]
        fields = {
            "ename": well_formed(str(output.get("ename", ""))),
            "evalue": well_formed(str(output.get("evalue", ""))),
            "traceback": _text_reference(compact_json(list(traceback)), "application/json", blobs),
        }
    else:
        raise ValueError(f"unknown output_type: {output_type}")
    fields["output_type"] = output_type
    return _manifest(fields, blobs, display_id)


def updated_manifest(
    old: Mapping[str, Any], data: Mapping[str, Any], metadata: Mapping[str, Any] | None
) -> Manifest:
    """The manifest `old` with its data and metadata wholly replaced, all else kept."""
    blobs: list[NewBlob] = []
    fields = {key: value for key, value in old.items() if key not in ("data", "metadata")}
    fields.update(_bundle_fields(data, metadata, blobs))
    return _manifest(fields, blobs, display_id_of(old))


def display_id_of(manifest: Mapping[str, Any]) -> str | None:
    """The display id of a stored manifest or a raw output, if it has one."""
    transient = manifest.get("transient")
    found = transient.get("display_id") if isinstance(transient, Mapping) else None
    return found if isinstance(found, str) else None


def resolve_manifest(
    manifest: Mapping[str, Any], read_blob: Callable[[str], bytes | None]
) -> dict[str, Any]:
    """The nbformat output a manifest stands for.

    Odd manifests (missing fields, contents that are no references) give the output that is nearest
    to them. JSON types are parsed, binary ones are base64 text, whichever way they are stored.
    Raises: whatever `read_blob` raises; KeyError with the hash if it returns None.
    """
    output_type = manifest.get("output_type")
    if output_type == "stream":
        name = manifest.get("name")
        text = _content(manifest.get("text", ""), "text/plain", read_blob)
        return {
            "output_type": "stream",
            "name": name if isinstance(name, str) else "stdout",
            "text": text,
        }
    if output_type == "error":
        return {
            "output_type": "error",
            "ename": str(manifest.get("ename", "")),
            "evalue": str(manifest.get("evalue", "")),
            "traceback": _traceback(manifest.get("traceback"), read_blob),
        }
    resolved: dict[str, Any] = {"output_type": output_type or "display_data"}
    data = manifest.get("data")
    resolved["data"] = resolve_bundle(data if isinstance(data, Mapping) else {}, read_blob)
    metadata = manifest.get("metadata")
    resolved["metadata"] = dict(metadata) if isinstance(metadata, Mapping) else {}
    if output_type == "execute_result":
        resolved["execution_count"] = _count(manifest.get("execution_count"))
    transient = manifest.get("transient")
    if isinstance(transient, Mapping) and transient:
        resolved["transient"] = dict(transient)
    return resolved


def bundle_references(data: Mapping[str, Any], blobs: list[NewBlob]) -> dict[str, dict[str, Any]]:
    """The content references of a bundle (MIME type -> content); large contents go to `blobs`."""
    return {
        well_formed(str(media_type)): _reference(value, str(media_type), blobs)
        for media_type, value in data.items()
    }


def resolve_bundle(
    references: Mapping[str, Any], read_blob: Callable[[str], bytes | None]
) -> dict[str, Any]:
    """The bundle that content references stand for. Raises: as resolve_manifest does."""
    return {
        media_type: _bundle_value(content, media_type, read_blob)
        for media_type, content in references.items()
    }


def blob_references(manifest: Mapping[str, Any]) -> set[str]:
    """The hashes of all blobs a manifest refers to."""
    return {
        content["blob"]
        for content in _contents(manifest)
        if isinstance(content, Mapping) and isinstance(content.get("blob"), str)
    }


def is_manifest_hash(entry: str) -> bool:
    """Whether an entry of a stored output list names a manifest; any other is raw output JSON."""
    return _HASH.fullmatch(entry) is not None


def is_json_type(media_type: str) -> bool:
    """Whether contents of this MIME type are JSON values rather than text."""
    essence = _essence(media_type)
    return essence == "application/json" or essence.endswith("+json")


def is_binary_type(media_type: str) -> bool:
    """Whether Jupyter carries contents of this MIME type as base64."""
    essence = _essence(media_type)
    if essence.endswith(("+xml", "+json")):
        return False
    return essence in _BINARY_TYPES or essence.startswith(_BINARY_FAMILIES)


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _manifest(fields: dict[str, Any], blobs: list[NewBlob], display_id: str | None) -> Manifest:
    data = compact_json(fields)
    output_type = str(fields.get("output_type", ""))
    return Manifest(_sha256(data), data, tuple(blobs), output_type, display_id)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**31) <= value < 2**31 else None


def _joined(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return "" if value is None else compact_json(value).decode()


def _bundle_fields(data: Any, metadata: Any, blobs: list[NewBlob]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "data": bundle_references(data if isinstance(data, Mapping) else {}, blobs)
    }
    if isinstance(metadata, Mapping) and metadata:
        fields["metadata"] = dict(metadata)
    return fields


def _reference(value: Any, media_type: str, blobs: list[NewBlob]) -> dict[str, Any]:
    if is_json_type(media_type):
        # Strings too are written as JSON, so that "1" doesn't come back as the number.
        return _text_reference(compact_json(value), media_type, blobs)
    if isinstance(value, (bytes, bytearray, memoryview)):  # only our own callers have such
        value = binascii.b2a_base64(value, newline=False).decode()
    text = utf8(_joined(value))
    if len(text) >= INLINE_LIMIT and is_binary_type(media_type):
        decoded = _decode_base64(text)
        if decoded is not None:
            data, form = decoded
            reference = _blob_reference(data, media_type, blobs)
            return {**reference, "encoding": "base64", **form}
    return _text_reference(text, media_type, blobs)


def _text_reference(data: bytes, media_type: str, blobs: list[NewBlob]) -> dict[str, Any]:
    if len(data) < INLINE_LIMIT:
        return {"inline": data.decode()}
    return _blob_reference(data, media_type, blobs)


def _blob_reference(data: bytes, media_type: str, blobs: list[NewBlob]) -> dict[str, Any]:
    blob = new_blob(data, media_type)
    blobs.append(blob)
    return {"blob": blob.hash, "size": len(data)}


def _decode_base64(text: bytes) -> tuple[bytes, dict[str, int]] | None:
    """Bytes behind base64 text, and what the reference must say to get the same text back.

    The form is empty for text without line breaks, `{"lines": 0}` for one line break at the end,
    `{"lines": 76}` for lines of that length. Other spacing is given up. None: it isn't base64.
    """
    stripped = text.translate(None, b" \t\r\n")
    try:
        data = binascii.a2b_base64(stripped)
    except binascii.Error:
        return None
    if _encode_base64(data, None) != stripped:  # the decoder skips what it doesn't know
        return None
    if len(stripped) == len(text):
        return data, {}
    for lines in (0, _WRAPPED):
        if _encode_base64(data, lines) == text:
            return data, {"lines": lines}
    return data, {}


def base64_bytes(text: bytes) -> bytes | None:
    """The bytes behind base64 text, spaces in it ignored; None if it isn't base64."""
    decoded = _decode_base64(text)
    return None if decoded is None else decoded[0]


def _encode_base64(data: bytes, lines: int | None) -> bytes:
    text = binascii.b2a_base64(data, newline=lines == 0)
    if not lines:
        return text
    return b"".join(text[at : at + lines] + b"\n" for at in range(0, len(text), lines))


def _contents(manifest: Mapping[str, Any]) -> Iterator[Any]:
    yield manifest.get("text")
    yield manifest.get("traceback")
    data = manifest.get("data")
    if isinstance(data, Mapping):
        yield from data.values()


def _content(content: Any, media_type: str, read_blob: Callable[[str], bytes | None]) -> str:
    if not isinstance(content, Mapping):
        return _joined(content)
    inline = content.get("inline")
    if inline is not None:
        return _joined(inline)
    name = content.get("blob")
    if not isinstance(name, str):
        return ""
    data = read_blob(name)
    if data is None:
        raise KeyError(name)
    if content.get("encoding") == "base64":
        lines = content.get("lines")
        form = lines if isinstance(lines, int) and lines in (0, _WRAPPED) else None
        return _encode_base64(data, form).decode("ascii")
    try:
        return data.decode()
    except UnicodeDecodeError:
        if is_binary_type(media_type):  # somebody else's decoded bytes
            return _encode_base64(data, None).decode("ascii")
        return data.decode(errors="replace")


def _bundle_value(content: Any, media_type: str, read_blob: Callable[[str], bytes | None]) -> Any:
    if is_json_type(media_type):
        if not isinstance(content, (Mapping, str)):
            return content
        text = _content(content, media_type, read_blob)
        try:
            return parse_json(text)
        except ValueError:
            return text
    return _content(content, media_type, read_blob)


def _traceback(content: Any, read_blob: Callable[[str], bytes | None]) -> list[str]:
    if isinstance(content, list):
        return [str(line) for line in content]
    if content is None:
        return []
    text = _content(content, "application/json", read_blob)
    try:
        lines = parse_json(text)
    except ValueError:
        return [text] if text else []
    return [str(line) for line in lines] if isinstance(lines, list) else [text]
