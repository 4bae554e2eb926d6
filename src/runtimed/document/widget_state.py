"""Widgets in a notebook file: the state of those that its outputs show.

Jupyter's own place for it, the notebook's metadata, from which viewers without a kernel draw them.
Source: nbformat, "widget state"; the form is that of `ipywidgets.embed`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from runtimed.document.ipynb import SavedCell
from runtimed.protocol.structures import CommSnapshot

__all__ = ["WIDGET_STATE", "with_widgets"]

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

_REFERENCE = "IPY_MODEL_"


def with_widgets(
    base: Mapping[str, Any] | None, cells: Sequence[SavedCell], widgets: Iterable[CommSnapshot]
) -> Mapping[str, Any] | None:
    """The file that a save starts from, with the state of the widgets that are shown now.

    What it holds of other widgets stays as long as an output shows them, from an earlier kernel for
    example. Without anything to add it is returned as it is.
    """
    live = {widget.comm_id: _model(widget) for widget in widgets if _can_be_saved(widget)}
    if not live:
        return base
    base = base or {}
    metadata = _mapping(base.get("metadata"))
    block = _mapping(_mapping(metadata.get("widgets")).get(WIDGET_STATE))
    known = {**_mapping(block.get("state")), **live}
    shown = _reachable([cell.outputs for cell in cells], known)
    if live.keys().isdisjoint(shown):
        return base
    state = {model_id: known[model_id] for model_id in known if model_id in shown}
    block = {**block, "state": state, "version_major": 2, "version_minor": 0}
    others = _mapping(metadata.get("widgets"))
    return {**base, "metadata": {**metadata, "widgets": {**others, WIDGET_STATE: block}}}


def _can_be_saved(widget: CommSnapshot) -> bool:
    if widget.model_name is None:
        return False
    try:
        orjson.dumps(widget.state)
    except TypeError:  # nested too deeply: such a widget must not keep the notebook from its file
        return False
    return True


def _model(widget: CommSnapshot) -> dict[str, Any]:
    model: dict[str, Any] = {
        "model_name": widget.model_name,
        "model_module": widget.model_module,
        "model_module_version": widget.state.get("_model_module_version"),
        "state": widget.state,
    }
    if widget.buffers:
        model["buffers"] = [
            {"encoding": "base64", "path": path, "data": base64.b64encode(data).decode()}
            for path, data in zip(widget.buffer_paths, widget.buffers, strict=True)
        ]
    return model


def _reachable(outputs: Any, known: Mapping[str, Any]) -> set[str]:
    """The models that these outputs show, and those that are parts of them."""
    found: set[str] = set()
    waiting: list[Any] = [outputs]
    while waiting:
        value = waiting.pop()
        model_id = None
        if isinstance(value, str):
            if value.startswith(_REFERENCE):
                model_id = value[len(_REFERENCE) :]
        elif isinstance(value, Mapping):
            model_id = value.get("model_id")
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
        if isinstance(model_id, str) and model_id in known and model_id not in found:
            found.add(model_id)
            waiting.append(known[model_id])
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
