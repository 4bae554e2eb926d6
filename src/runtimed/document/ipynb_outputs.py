"""Outputs and attachments as they stand in a notebook file, and as everybody else has them.

Files hold texts as lists of lines; in memory they are joined. Changes nothing in place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "chosen_outputs",
    "is_lines",
    "join_attachments",
    "join_output",
    "joined",
    "merge_streams",
    "outputs_digest",
    "same_attachments",
    "split_attachments",
    "split_output",
]

# Counts in manifests have 32 bits.
_COUNTS = 2**31
_BASE64 = ("image/", "audio/", "video/", "application/pdf", "application/octet-stream")
_OUTPUT_KEYS: dict[str, dict[str, Any]] = {
    "stream": {"name": "stdout", "text": ""},
    "display_data": {"data": {}, "metadata": {}},
    "execute_result": {"data": {}, "metadata": {}, "execution_count": None},
    "error": {"ename": "", "evalue": "", "traceback": []},
}


def merge_streams(outputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The outputs with neighbouring streams of one name joined; nothing is changed in place."""
    merged: list[dict[str, Any]] = []
    texts: list[str] = []

    def end_stream() -> None:
        if len(texts) > 1:
            merged[-1]["text"] = "".join(texts)
        texts.clear()

    for output in outputs:
        if output.get("output_type") != "stream":
            end_stream()
            merged.append(dict(output))
            continue
        name = output.get("name", "stdout")
        if not (texts and merged[-1].get("name", "stdout") == name):
            end_stream()
            merged.append(dict(output))
        texts.append(joined(output.get("text", "")))
    end_stream()
    return merged


def chosen_outputs(outputs: Sequence[Mapping[str, Any]], before: Any) -> list[dict[str, Any]]:
    """A cell's outputs for the file, or those the file has if they say the same.

    The file's may hold more than we know of, or have a stream in other pieces.
    """
    new = merge_streams([_complete(output) for output in outputs])
    if isinstance(before, list) and before and all(isinstance(old, Mapping) for old in before):
        old = [_complete(output) for output in before]
        if _essence(merge_streams(old)) == _essence(new):
            return old
    return new


def outputs_digest(outputs: Iterable[Mapping[str, Any]]) -> str:
    """A name for what a cell's outputs say. The same for those that `chosen_outputs` takes as the
    same, so for what was written into a file and what is read from it."""
    value = _essence(merge_streams([_complete(output) for output in outputs]))
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _complete(output: Mapping[str, Any]) -> dict[str, Any]:
    """A joined output with all that nbformat demands of it and without what it forbids."""
    joined = join_output(output)
    joined.pop("transient", None)
    for key, default in _OUTPUT_KEYS.get(joined.get("output_type", ""), {}).items():
        if joined.setdefault(key, default) is None and default is not None:
            joined[key] = default
    return joined


def _essence(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What outputs say, as far as manifests keep it."""
    return [
        {
            key: _kept(key, output[key])
            for key in ("output_type", *_OUTPUT_KEYS[output["output_type"]])
        }
        if output.get("output_type") in _OUTPUT_KEYS
        else output
        for output in outputs
    ]


def _kept(key: str, value: Any) -> Any:
    if key == "data" and isinstance(value, Mapping):
        return {media_type: _kept_content(media_type, value[media_type]) for media_type in value}
    if key == "execution_count" and isinstance(value, int) and not -_COUNTS <= value < _COUNTS:
        return None
    return value


def _kept_content(media_type: str, value: Any) -> Any:
    """Content as a text, if its type says that it is one; base64 in any lines is the same."""
    if _is_json_type(media_type):
        return value
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if media_type.startswith(_BASE64) and not media_type.endswith("+xml"):
        return "".join(value.split())
    return value


def join_output(output: Mapping[str, Any]) -> dict[str, Any]:
    """The output with texts in one piece. Lists of JSON types are values, and stay."""
    result = dict(output)
    if result.get("output_type") == "stream" and is_lines(result.get("text")):
        result["text"] = joined(result["text"])
    data = result.get("data")
    if isinstance(data, Mapping):
        result["data"] = _join_bundle(data)
    return result


def join_attachments(value: Any) -> dict[str, dict[str, Any]]:
    """Attachments as bundles with texts in one piece; what is no bundle of texts is left out."""
    if not isinstance(value, Mapping):
        return {}
    bundles = {
        name: _join_bundle(bundle)
        for name, bundle in value.items()
        if name and isinstance(bundle, Mapping)
    }
    return {
        name: bundle
        for name, bundle in bundles.items()
        if all(key and (_is_json_type(key) or isinstance(bundle[key], str)) for key in bundle)
    }


def same_attachments(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether joined attachments say the same."""
    return one.keys() == other.keys() and all(
        _kept("data", one[name]) == _kept("data", other[name]) for name in one
    )


def _join_bundle(bundle: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: joined(value) if not _is_json_type(key) and is_lines(value) else value
        for key, value in bundle.items()
    }


def split_output(output: dict[str, Any]) -> dict[str, Any]:
    """The output with texts as lines, as far as Jupyter splits them."""
    kind = output.get("output_type")
    if kind == "stream" and isinstance(output["text"], str):
        return {**output, "text": output["text"].splitlines(keepends=True)}
    if kind in ("display_data", "execute_result"):
        return {**output, "data": _split_bundle(output["data"])}
    return output


def split_attachments(attachments: Any) -> Any:
    """Attachments with texts as lines, as far as Jupyter splits them."""
    if not isinstance(attachments, Mapping):
        return attachments
    return {name: _split_bundle(bundle) for name, bundle in attachments.items()}


def _split_bundle(bundle: Any) -> Any:
    """A bundle (MIME type -> content) with texts as lines, as far as Jupyter splits them."""
    if not isinstance(bundle, Mapping):
        return bundle
    return {
        key: value.splitlines(keepends=True)
        if isinstance(value, str)
        and (key.startswith("text/") or key in ("application/javascript", "image/svg+xml"))
        else value
        for key, value in bundle.items()
    }


def _is_json_type(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def is_lines(value: Any) -> bool:
    """Whether this is a text in pieces."""
    return isinstance(value, list) and all(isinstance(line, str) for line in value)


def joined(value: Any) -> str:
    """A text that may be in pieces, as one; anything else as well as it goes."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(map(str, value))
    return "" if value is None else str(value)
