"""The JSON document that `runt run --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from runt_cli.running import CellReport
from runtimed.client.results import Output

__all__ = ["as_json", "output_as_json"]


def as_json(
    *,
    notebook: str,
    notebook_id: str,
    kernel_type: str | None,
    env_source: str | None,
    kernel_start: float,
    duration: float,
    saved: str | None,
    save_error: str | None,
    cells: Sequence[CellReport],
) -> dict[str, Any]:
    """A run as JSON: the whole, and each code cell with its outcome, outputs and timing.

    Units: seconds.
    """
    failed = next((cell for cell in cells if cell.failed), None)
    return {
        "notebook": notebook,
        "notebook_id": notebook_id,
        "outcome": failed.outcome if failed else "ok",
        "kernel_type": kernel_type,
        "env_source": env_source,
        "kernel_start": round(kernel_start, 6),
        "duration": round(duration, 6),
        "saved": saved,
        "save_error": save_error,
        "cells": [_cell(cell) for cell in cells],
    }


def _cell(report: CellReport) -> dict[str, Any]:
    return {
        "id": report.id,
        "number": report.number,
        "outcome": report.outcome,
        "allowed": report.allowed,
        "reason": report.reason,
        "execution_count": report.execution_count,
        "duration": None if report.duration is None else round(report.duration, 6),
        "outputs": [output_as_json(output) for output in report.outputs],
    }


def output_as_json(output: Output) -> dict[str, Any]:
    """An output in the shape that notebook files have."""
    if output.output_type == "stream":
        return {"output_type": "stream", "name": output.name, "text": output.text}
    if output.output_type == "error":
        return {
            "output_type": "error",
            "ename": output.ename,
            "evalue": output.evalue,
            "traceback": output.traceback or [],
        }
    shape: dict[str, Any] = {
        "output_type": output.output_type,
        "data": {mime: _content(mime, text) for mime, text in (output.data or {}).items()},
        "metadata": output.metadata,
    }
    if output.output_type == "execute_result":
        shape["execution_count"] = output.execution_count
    return shape


def _content(mime: str, text: str) -> Any:
    if mime == "application/json" or mime.endswith("+json"):
        try:
            return orjson.loads(text)
        except ValueError:
            return text
    return text
