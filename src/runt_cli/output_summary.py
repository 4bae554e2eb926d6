"""What a notebook's stored outputs are: their types and sizes, or all of them.

An entry is the hash of a manifest or the JSON of an output. A summary reads manifests, which have
the sizes of what they refer to, and none of the blobs behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runt_cli.output_text import size_text
from runtimed.errors import RuntimedError
from runtimed.outputs.json_text import compact_json, parse_json
from runtimed.outputs.manifest import build_manifest, is_manifest_hash, resolve_manifest
from runtimed.outputs.merge import merge_streams

__all__ = ["full_outputs", "output_line", "summarized_outputs"]

ReadBlob = Callable[[str], bytes]

#: What reading an entry raises that is damaged or gone.
_UNREADABLE = (RuntimedError, OSError, ValueError, TypeError, KeyError, AttributeError)


def summarized_outputs(entries: Sequence[str], read: ReadBlob) -> list[dict[str, Any]]:
    """The outputs of a cell by type and size; pieces of one stream are one.

    Shape: `output_type`, `size` in bytes, of displays and results `mime_types` (type to size), of
    streams `name`, of errors `ename` and `evalue`. Of an entry that can't be read only its own
    `size`, and `parse_error`.
    """
    summaries: list[dict[str, Any]] = []
    for entry in entries:
        try:
            summary = _summary(_manifest(entry, read))
        except _UNREADABLE:
            summary = {"size": len(entry.encode()), "parse_error": True}
        before = summaries[-1] if summaries else {}
        same = before.get("output_type") == summary.get("output_type") == "stream"
        if same and before["name"] == summary["name"]:
            before["size"] += summary["size"]
        else:
            summaries.append(summary)
    return summaries


def full_outputs(entries: Sequence[str], read: ReadBlob) -> list[Any]:
    """The outputs of a cell as notebook files have them; an entry that can't be read as it is."""
    found: list[Any] = []
    for entry in entries:
        try:
            found.append(resolve_manifest(_manifest(entry, read), read))
        except _UNREADABLE:
            found.append(entry)
    if all(isinstance(output, dict) for output in found):
        return list(merge_streams(found))
    return found


def output_line(output: Any) -> str:
    """A summary in one line, such as `display_data image/png 14 kB, text/plain 30 bytes`."""
    if not isinstance(output, dict) or output.get("parse_error"):
        return "[an output that can't be read]"
    if "mime_types" in output:
        parts = (f"{mime} {size_text(size)}" for mime, size in output["mime_types"].items())
        return f"{output['output_type']} {', '.join(parts)}".rstrip()
    if output["output_type"] == "error":
        return f"error {output['ename']}: {' '.join(output['evalue'].split())}".rstrip(": ")
    return f"{output['output_type']} {output['name']} {size_text(output['size'])}"


def _manifest(entry: str, read: ReadBlob) -> Mapping[str, Any]:
    """The manifest of an entry; of an output that stands there whole, the one it would have."""
    if is_manifest_hash(entry):
        manifest = parse_json(read(entry))
    else:
        manifest = parse_json(build_manifest(parse_json(entry)).json)
    if not isinstance(manifest, Mapping):
        raise TypeError("no manifest")
    return manifest


def _summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    output_type = str(manifest["output_type"])
    if output_type == "stream":
        size = _size(manifest["text"])
        return {"output_type": output_type, "name": str(manifest["name"]), "size": size}
    if output_type == "error":
        return {
            "output_type": output_type,
            "ename": str(manifest["ename"]),
            "evalue": str(manifest["evalue"]),
            "size": _size(manifest["traceback"]),
        }
    sizes = {mime: _size(content) for mime, content in manifest["data"].items()}
    return {"output_type": output_type, "size": sum(sizes.values()), "mime_types": sizes}


def _size(content: Any) -> int:
    """The bytes of a content, as it is stored."""
    if isinstance(content, Mapping):
        if isinstance(content.get("size"), int):
            return int(content["size"])
        content = content["inline"]
    return len(content.encode() if isinstance(content, str) else compact_json(content))
