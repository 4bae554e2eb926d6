from __future__ import annotations

from runtimed.outputs.display_index import DisplayIndex


def test_a_display_id_leads_to_all_its_outputs() -> None:
    index = DisplayIndex()
    index.set("a", 0, "d")
    index.set("b", 2, "d")
    index.set("b", 3, "e")
    assert index.find("d") == [("a", 0), ("b", 2)]
    assert index.find("e") == [("b", 3)]
    assert index.find("f") == []


def test_an_output_that_is_replaced_loses_its_id() -> None:
    index = DisplayIndex()
    index.set("a", 0, "d")
    index.set("a", 0, "e")
    assert index.find("d") == []
    assert index.find("e") == [("a", 0)]
    index.set("a", 0, None)
    index.set("a", 1, None)
    assert len(index) == 0


def test_cells_are_cut_replaced_and_forgotten() -> None:
    index = DisplayIndex()
    index.set_cell("a", ["d", None, "d", "e"])
    index.set_cell("b", ["d"])
    index.truncate("a", 2)
    assert index.find("d") == [("a", 0), ("b", 0)]
    assert index.find("e") == []
    index.set_cell("a", [None, "e"])
    assert index.find("e") == [("a", 1)]
    index.forget("a")
    index.forget("never seen")
    assert index.find("e") == []
    assert index.find("d") == [("b", 0)]
