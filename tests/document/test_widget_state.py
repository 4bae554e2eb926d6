from __future__ import annotations

from typing import Any

import nbformat
import orjson
import pytest

from runtimed.document.ipynb import SavedCell, render_notebook
from runtimed.document.widget_state import WIDGET_STATE, with_widgets
from runtimed.protocol.structures import CommSnapshot

VIEW = "application/vnd.jupyter.widget-view+json"


def shows(*model_ids: str) -> list[SavedCell]:
    """A cell whose outputs are these widgets."""
    outputs = [
        {
            "output_type": "display_data",
            "data": {VIEW: {"model_id": m, "version_major": 2, "version_minor": 0}},
            "metadata": {},
        }
        for m in model_ids
    ]
    return [SavedCell(id="c", cell_type="code", source="", outputs=outputs)]


def widget(comm_id: str, state: dict[str, Any] | None = None, **more: Any) -> CommSnapshot:
    state = {"_model_module_version": "2.0.0", **(state or {})}
    return CommSnapshot(comm_id, "jupyter.widget", state, "m", "BoxModel", **more)


def saved(base: Any) -> dict[str, Any]:
    found: dict[str, Any] = base["metadata"]["widgets"][WIDGET_STATE]["state"]
    return found


def test_a_widget_that_is_shown_is_saved_with_its_parts_and_nothing_else() -> None:
    view = {VIEW: {"model_id": "inner"}}
    widgets = [
        widget("layout"),
        widget("image", buffers=[b"\0!"], buffer_paths=[["value"]]),
        widget("inner"),
        widget("box", {"children": ["IPY_MODEL_image"], "layout": "IPY_MODEL_layout"}),
        widget("out", {"outputs": [{"data": view}], "box": "IPY_MODEL_box"}),
        widget("not shown"),
        CommSnapshot("other", "a_comm", {}),
    ]
    base = with_widgets(None, shows("out"), widgets)
    assert base is not None
    assert list(saved(base)) == ["layout", "image", "inner", "box", "out"]
    assert saved(base)["image"] == {
        "model_name": "BoxModel",
        "model_module": "m",
        "model_module_version": "2.0.0",
        "state": {"_model_module_version": "2.0.0"},
        "buffers": [{"encoding": "base64", "path": ["value"], "data": "ACE="}],
    }
    notebook = nbformat.reads(render_notebook(shows("out"), None, base).decode(), 4)
    nbformat.validate(notebook)
    assert notebook.metadata.widgets[WIDGET_STATE].version_major == 2


def test_what_an_earlier_kernel_showed_stays_as_long_as_it_is_shown() -> None:
    base = with_widgets(None, shows("old", "older"), [widget("old"), widget("older")])
    again = with_widgets(base, shows("old", "new"), [widget("new")])
    assert again is not None
    assert list(saved(again)) == ["old", "new"]


@pytest.mark.parametrize("widgets", [[], [widget("w")], [CommSnapshot("c", "t", {})]])
def test_without_anything_to_add_the_file_stays_as_it_is(widgets: list[CommSnapshot]) -> None:
    base: Any = {"metadata": {"widgets": {WIDGET_STATE: {"state": {"x": {}}}}}}
    before = orjson.dumps(base)
    assert with_widgets(base, shows("x"), widgets) == base
    assert orjson.dumps(base) == before


@pytest.mark.parametrize("metadata", [None, [], {"widgets": 1}, {"widgets": {WIDGET_STATE: []}}])
def test_broken_metadata_is_replaced(metadata: Any) -> None:
    base = with_widgets({"metadata": metadata}, shows("w"), [widget("w")])
    assert base is not None
    assert list(saved(base)) == ["w"]


def test_a_widget_nested_too_deeply_does_not_keep_the_notebook_from_its_file() -> None:
    deep: Any = 1
    for _ in range(1000):
        deep = [deep]
    widgets = [widget("w"), widget("deep", {"x": deep})]
    base = with_widgets(None, shows("w", "deep"), widgets)
    render_notebook(shows("w", "deep"), None, base)
    assert list(saved(base)) == ["w"]


def test_widgets_that_contain_each_other_are_saved_once() -> None:
    widgets = [widget("a", {"x": "IPY_MODEL_b"}), widget("b", {"x": "IPY_MODEL_a"})]
    assert list(saved(with_widgets(None, shows("a"), widgets))) == ["a", "b"]
