from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.outputs.manifest import (
    BLOB_LIMIT,
    INLINE_LIMIT,
    Manifest,
    blob_references,
    build_manifest,
    is_binary_type,
    is_manifest_hash,
    resolve_manifest,
    updated_manifest,
)

PICTURE = bytes(range(256)) * 40


def resolved(manifest: Manifest) -> dict[str, Any]:
    blobs = {blob.hash: blob.data for blob in manifest.blobs}
    return resolve_manifest(orjson.loads(manifest.json), blobs.__getitem__)


def display(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}, **more}


def test_small_outputs_are_inline_and_hashed() -> None:
    manifest = build_manifest({"output_type": "stream", "name": "stdout", "text": "hello\n"})
    assert manifest.json == (
        b'{"name":"stdout","output_type":"stream","text":{"inline":"hello\\n"}}'
    )
    assert manifest.hash == hashlib.sha256(manifest.json).hexdigest()
    assert manifest.blobs == ()


def test_the_shapes_are_those_of_the_specification() -> None:
    def shape(output: dict[str, Any]) -> Any:
        return orjson.loads(build_manifest(output).json)

    assert shape(
        display(
            {"text/plain": "Red"},
            metadata={"image/png": {"width": 640}},
            transient={"display_id": "d1", "other": 1},
        )
    ) == {
        "output_type": "display_data",
        "data": {"text/plain": {"inline": "Red"}},
        "metadata": {"image/png": {"width": 640}},
        "transient": {"display_id": "d1"},
    }
    assert shape({"output_type": "execute_result", "data": {"text/plain": "42"}}) == {
        "output_type": "execute_result",
        "data": {"text/plain": {"inline": "42"}},
        "execution_count": None,
    }
    assert shape(
        {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": "bad",
            "traceback": ["line 1", "line 2"],
        }
    ) == {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "bad",
        "traceback": {"inline": '["line 1","line 2"]'},
    }


def test_the_limit_counts_bytes_not_characters() -> None:
    for text, inline in (("x" * 8191, True), ("x" * 8192, False), ("é" * 4096, False)):
        manifest = build_manifest({"output_type": "stream", "text": text})
        assert (not manifest.blobs) == inline
        assert resolved(manifest) == {"output_type": "stream", "name": "stdout", "text": text}
    assert manifest.blobs[0].media_type == "text/plain"
    assert orjson.loads(manifest.json)["text"] == {"blob": manifest.blobs[0].hash, "size": 8192}


def test_equal_outputs_have_equal_hashes_whatever_their_order() -> None:
    one = display({"text/html": ["<b>\n", "x</b>"], "application/json": {"b": 1, "a": [2.5]}})
    two = {
        "metadata": {},
        "data": {"application/json": {"a": [2.5], "b": 1}, "text/html": "<b>\nx</b>"},
        "output_type": "display_data",
    }
    assert build_manifest(one) == build_manifest(two)


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(PICTURE).decode(),
        base64.b64encode(PICTURE).decode() + "\n",
        base64.encodebytes(PICTURE).decode(),
    ],
)
def test_binary_blobs_are_decoded_and_resolve_to_the_same_text(text: str) -> None:
    manifest = build_manifest(display({"image/png": text}))
    assert [blob.data for blob in manifest.blobs] == [PICTURE]
    reference = orjson.loads(manifest.json)["data"]["image/png"]
    assert reference["encoding"] == "base64"
    assert reference["size"] == len(PICTURE)
    assert resolved(manifest)["data"]["image/png"] == text


def test_small_binary_data_stays_inline_text() -> None:
    text = base64.b64encode(PICTURE[:100]).decode()
    manifest = build_manifest(display({"image/png": text}))
    assert orjson.loads(manifest.json)["data"] == {"image/png": {"inline": text}}


@pytest.mark.parametrize("text", ["not base64! " * 1000, "A" * 8193, "A=" * 5000, "é" * 9000])
def test_what_is_no_base64_stays_text(text: str) -> None:
    manifest = build_manifest(display({"image/png": text}))
    assert manifest.blobs[0].data == text.encode()
    assert "encoding" not in orjson.loads(manifest.json)["data"]["image/png"]
    assert resolved(manifest)["data"]["image/png"] == text


def test_the_older_forms_of_binary_blobs_are_read() -> None:
    text = base64.b64encode(PICTURE)
    manifest = display({"image/png": {"blob": "a" * 64, "size": len(text)}})
    assert resolve_manifest(manifest, lambda _: text)["data"]["image/png"] == text.decode()
    assert resolve_manifest(manifest, lambda _: PICTURE)["data"]["image/png"] == text.decode()


def test_which_types_are_binary() -> None:
    for binary in ("image/png", "IMAGE/JPEG; q=1", "audio/wav", "video/mp4", "application/pdf"):
        assert is_binary_type(binary)
    for text in ("image/svg+xml", "text/plain", "application/json", "model/gltf+json"):
        assert not is_binary_type(text)


@pytest.mark.parametrize(
    "value", [{"b": [1, None, 2.5], "a": "x"}, [], "text", "1", 5, None, True, 2**70, "x" * 9000]
)
def test_json_types_come_back_as_they_were(value: Any) -> None:
    manifest = build_manifest(display({"application/vnd.x+json": value}))
    expected = float(value) if value == 2**70 else value
    assert resolved(manifest)["data"]["application/vnd.x+json"] == expected


def test_other_values_become_text() -> None:
    data = {"text/plain": ["a\n", "b"], "text/x": {"b": 1, "a": 2}, "text/y": [1], "text/z": None}
    assert resolved(build_manifest(display(data)))["data"] == {
        "text/plain": "a\nb",
        "text/x": '{"a":2,"b":1}',
        "text/y": "[1]",
        "text/z": "",
    }


def test_half_surrogates_are_replaced_and_whole_pairs_joined() -> None:
    manifest = build_manifest(
        display(
            {
                "text/plain": "a\ud800b \ud83d\ude00",
                "application/json": {"\udc00": "\ud800", "n": float("nan")},
            },
            metadata={"x": "\ud800"},
            transient={"display_id": "\ud800"},
        )
    )
    output = resolved(manifest)
    assert output["data"]["text/plain"] == "a\ufffdb \U0001f600"
    assert output["data"]["application/json"] == {"\ufffd": "\ufffd", "n": None}
    assert output["metadata"] == {"x": "\ufffd"}
    assert manifest.display_id == "\ufffd"
    build_manifest({"output_type": "stream", "text": "\ud800" * 9000})
    build_manifest({"output_type": "error", "ename": "\ud800", "traceback": ["\ud800", 5]})


def test_unknown_types_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^missing output_type$"):
        build_manifest({})
    with pytest.raises(ValueError, match=r"^unknown output_type: pyout$"):
        build_manifest({"output_type": "pyout"})


def test_bottomless_json_is_refused() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        build_manifest(display({"application/json": value}))
    while value:  # taken apart here, for the interpreter would do it recursively
        value = value[0]


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"output_type": "stream", "text": "raw"}, {"name": "stdout", "text": "raw"}),
        ({"output_type": "stream", "name": 5, "text": {"x": 1}}, {"name": "stdout", "text": ""}),
        ({"output_type": "stream"}, {"name": "stdout", "text": ""}),
        ({"output_type": "display_data", "data": []}, {"data": {}, "metadata": {}}),
        (
            {"output_type": "display_data", "data": {"application/json": {"inline": "{oops"}}},
            {"data": {"application/json": "{oops"}, "metadata": {}},
        ),
        (
            {"output_type": "execute_result", "execution_count": "1", "transient": {}},
            {"data": {}, "metadata": {}, "execution_count": None},
        ),
        (
            {"output_type": "error", "traceback": {"inline": "no json"}},
            {"ename": "", "evalue": "", "traceback": ["no json"]},
        ),
        (
            {"output_type": "error", "traceback": ["a", "b"]},
            {"ename": "", "evalue": "", "traceback": ["a", "b"]},
        ),
        ({"output_type": "error"}, {"ename": "", "evalue": "", "traceback": []}),
    ],
)
def test_odd_manifests_resolve_to_something(
    manifest: dict[str, Any], expected: dict[str, Any]
) -> None:
    expected = {"output_type": manifest["output_type"], **expected}
    assert resolve_manifest(manifest, lambda _: b"") == expected


def test_a_missing_blob_is_an_error() -> None:
    manifest = orjson.loads(build_manifest({"output_type": "stream", "text": "x" * 9000}).json)
    with pytest.raises(KeyError):
        resolve_manifest(manifest, lambda _: None)


def test_references_name_all_blobs() -> None:
    manifest = build_manifest(
        display({"text/plain": "x" * 9000, "text/html": "y" * 9000, "text/x": "small"})
    )
    assert blob_references(orjson.loads(manifest.json)) == {blob.hash for blob in manifest.blobs}
    error = build_manifest({"output_type": "error", "traceback": ["x" * 9000]})
    assert blob_references(orjson.loads(error.json)) == {error.blobs[0].hash}
    assert error.blobs[0].media_type == "application/json"
    assert blob_references({"data": 5, "text": "x"}) == set()


def test_hashes_are_told_from_raw_outputs() -> None:
    assert is_manifest_hash("0" * 64)
    assert is_manifest_hash(build_manifest({"output_type": "stream"}).hash)
    assert not is_manifest_hash("0" * 63)
    assert not is_manifest_hash('{"output_type":"stream"}')
    assert not is_manifest_hash("0" * 64 + "\n")


def test_an_update_replaces_data_and_metadata_only() -> None:
    old = build_manifest(
        {
            "output_type": "execute_result",
            "data": {"text/plain": "old", "text/html": "old"},
            "metadata": {"a": 1},
            "execution_count": 3,
            "transient": {"display_id": "d"},
        }
    )
    new = updated_manifest(orjson.loads(old.json), {"text/plain": "new"}, {})
    assert new == build_manifest(
        {
            "output_type": "execute_result",
            "data": {"text/plain": "new"},
            "execution_count": 3,
            "transient": {"display_id": "d"},
        }
    )
    assert new.display_id == "d"


def test_the_largest_part_is_known() -> None:
    assert build_manifest({"output_type": "stream", "text": "x" * 20_000}).largest == 20_000
    assert build_manifest(display({"text/plain": "x"})).largest < 100
    assert BLOB_LIMIT > INLINE_LIMIT


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OUTPUTS = (
    st.fixed_dictionaries(
        {
            "output_type": st.just("stream"),
            "name": st.sampled_from(["stdout", "stderr"]),
            "text": st.text() | st.text().map(lambda text: text * 3000),
        }
    )
    | st.fixed_dictionaries(
        {
            "output_type": st.just("error"),
            "ename": st.text(),
            "evalue": st.text(),
            "traceback": st.lists(st.text()),
        }
    )
    | st.fixed_dictionaries(
        {
            "output_type": st.just("execute_result"),
            "execution_count": st.none() | st.integers(0, 2**31 - 1),
            "metadata": st.dictionaries(st.text(), JSON, max_size=2),
            "data": st.dictionaries(st.sampled_from(["text/plain", "text/html"]), st.text())
            | st.dictionaries(st.sampled_from(["application/json", "a/b+json"]), JSON)
            | st.dictionaries(
                st.sampled_from(["image/png"]),
                st.binary(min_size=1).map(lambda data: base64.b64encode(data * 9000).decode()),
            ),
        }
    )
)


@settings(deadline=None)
@given(OUTPUTS)
def test_outputs_survive_the_way_through_a_manifest(output: dict[str, Any]) -> None:
    manifest = build_manifest(output)
    assert resolved(manifest) == output
    assert build_manifest(resolved(manifest)) == manifest
