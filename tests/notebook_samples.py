"""Notebook files with everything in them that is seldom and legal, in four formats; and what they
must be after a save: what `nbformat` itself makes of them, but for the ids that it draws."""

from __future__ import annotations

import base64
import json
import random
import re
from typing import Any

import nbformat

__all__ = ["FORMATS", "as_jupyter_writes", "comparable", "sample", "upgraded"]

FORMATS = ((3, 0), (4, 0), (4, 4), (4, 5))

_RANDOM = random.Random(1)
_IMAGE = base64.b64encode(_RANDOM.randbytes(2_000_000)).decode()
_LINES = base64.encodebytes(_RANDOM.randbytes(20_000)).decode()
_SMALL = base64.b64encode(b"small").decode()


def sample(major: int, minor: int) -> dict[str, Any]:
    """A notebook of this format, as its file has it: texts in lines."""
    return _sample_3() if major == 3 else _sample_4(minor)


def _sample_4(minor: int) -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "markdown",
            "metadata": {"slideshow": {"slide_type": "slide"}, "huge": 2**80, "": "no name"},
            "source": ["# Title\u2028", " and more\n", "![a](attachment:a.png) \U0001f600"],
            "attachments": {
                "a.png": {"image/png": _IMAGE},
                "lines.png": {"image/png": _LINES, "text/plain": ["a\n", "b"]},
                "small.svg": {"image/svg+xml": ["<svg>\n", "</svg>"]},
            },
        },
        {
            "cell_type": "code",
            "execution_count": 3,
            "metadata": {
                "collapsed": False,
                "execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"},
                "tags": ["a", "b"],
                "numbers": [2**64 - 1, -(2**63), -(2**70), 1e300, 1.0, 0, -0.5],
            },
            "source": ["print('x')\r\n", "\x0c", "\n", "y"],
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\x1b[31mred\n"]},
                {"output_type": "stream", "name": "stderr", "text": ["w"]},
                {"output_type": "stream", "name": "stdout", "text": ["c\u2028", "\n"]},
                {
                    "output_type": "display_data",
                    "data": {
                        "application/json": {"huge": 10**30, "list": ["a\n", "b"], "": 1},
                        "application/javascript": ["a;\n", "b;"],
                        "application/vnd.jupyter.widget-view+json": {"model_id": "ab"},
                        "image/png": _IMAGE,
                        "image/jpeg": _LINES,
                        "image/svg+xml": ["<svg>\n", "</svg>"],
                        "text/html": ["<b>\n", "x</b>\n"],
                        "text/latex": ["$x$"],
                        "text/plain": ["<Figure>\u2029", "\n", "two"],
                    },
                    "metadata": {"image/png": {"width": 640}, "unknown": {"huge": 2**70}},
                },
                {
                    "output_type": "execute_result",
                    "execution_count": 3,
                    "data": {"text/plain": ["1" * 9000 + "\n", "z" * 9000]},
                    "metadata": {},
                },
                {
                    "output_type": "error",
                    "ename": "ValueError",
                    "evalue": "é",
                    "traceback": ["\x1b[31mline\x1b[0m", "b\nc"],
                },
            ],
        },
        {"cell_type": "code", "execution_count": None, "metadata": {}, "source": [], "outputs": []},
        {"cell_type": "raw", "metadata": {"format": "text/restructuredtext"}, "source": ["raw\n"]},
        {
            "cell_type": "raw",
            "metadata": {},
            "source": ["x"],
            "attachments": {"s.png": {"image/png": _SMALL}},
        },
    ]
    if minor >= 5:
        for cell, cell_id in zip(cells, ("-", "A_b-9" * 12, "0", "z", "__x__"), strict=True):
            cell["id"] = cell_id
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3",
                       "env": {"A": "1"}},
        "language_info": {"codemirror_mode": {"name": "ipython", "version": 3}, "name": "python",
                          "version": "3.11.7", "nbconvert_exporter": "python"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {
            "state": {"ab": {"model_name": "IntSliderModel", "state": {"value": 2**65}}},
            "version_major": 2, "version_minor": 0}},
        "runt": {"schema_version": "1", "env_id": "e", "huge": 2**66,
                 "uv": {"dependencies": ["numpy"], "extra": 1}},
        "toc": [1, 2.0, None, True, {}, []],
        "authors": [{"name": "Ünïcödé"}],
    }  # fmt: skip
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def _sample_3() -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {"cell_type": "heading", "level": 2, "metadata": {}, "source": ["Title"]},
        {"cell_type": "markdown", "metadata": {"x": 2**80}, "source": ["a\u2028\n", "b"]},
        {
            "cell_type": "code",
            "collapsed": True,
            "language": "python",
            "metadata": {"unknown": {"k": [1, 2.5]}},
            "input": ["1/0\n", "x"],
            "prompt_number": 4,
            "outputs": [
                {"output_type": "stream", "stream": "stderr", "text": ["a\n", "b"]},
                {"output_type": "pyout", "prompt_number": 4, "metadata": {},
                 "text": ["4"], "html": ["<b>\n", "4</b>"]},
                {"output_type": "display_data", "metadata": {"png": {"width": 3}},
                 "png": _IMAGE, "svg": ["<svg>\n", "</svg>"], "json": '{"a": 1}'},
                {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": ["t\n", "u"]},
            ],
        },
        {"cell_type": "raw", "metadata": {}, "source": ["raw"]},
    ]  # fmt: skip
    return {
        "metadata": {"name": "old", "signature": "sha256:0", "unknown": {"huge": 2**80}},
        "worksheets": [{"cells": cells, "metadata": {}}],
        "nbformat": 3,
        "nbformat_minor": 0,
    }


def as_jupyter_writes(notebook: Any) -> bytes:
    """The bytes that Jupyter writes for what its file says."""
    text = json.dumps(
        notebook, indent=1, sort_keys=True, ensure_ascii=False, separators=(",", ": ")
    )
    return (text + "\n").encode()


def upgraded(data: bytes) -> Any:
    """What nbformat makes of a file that Jupyter can read, as 4.5."""
    read: Any = nbformat.reader.reads(data.decode())
    notebook: Any = nbformat.convert(read, 4)
    if notebook.nbformat_minor < 5:
        notebook = nbformat.v4.upgrade(notebook, 4, notebook.nbformat_minor or None)
    return comparable(json.loads(nbformat.v4.writes(notebook)))


def comparable(notebook: Any) -> Any:
    """A notebook without what nbformat draws by lot, or writes nowhere else."""
    for cell in notebook["cells"]:
        assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", cell.pop("id"))
    return notebook
