from __future__ import annotations

from typing import Any

from runtimed.outputs.merge import merge_streams


def stream(name: str, text: Any) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def test_neighbouring_streams_of_one_name_become_one() -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    outputs = [
        stream("stdout", "a"),
        stream("stdout", ["b\n", "c"]),
        stream("stderr", "x"),
        stream("stdout", "d"),
        error,
        stream("stdout", "e"),
        stream("stdout", "f"),
        stream("stdout", "g"),
    ]
    before = [dict(output) for output in outputs]
    assert merge_streams(outputs) == [
        stream("stdout", "ab\nc"),
        stream("stderr", "x"),
        stream("stdout", "d"),
        error,
        stream("stdout", "efg"),
    ]
    assert outputs == before
    assert merge_streams([]) == []
