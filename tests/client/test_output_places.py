from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtimed.client.output_places import OutputPlaces
from runtimed.client.results import Output
from runtimed.outputs.merge import merge_streams


def stream(text: str, name: str = "stdout") -> Output:
    return Output(output_type="stream", name=name, text=text)


def test_a_growing_stream_keeps_its_index() -> None:
    places = OutputPlaces()
    assert places.place_output(0, stream("a")) == (0, stream("a"))
    assert places.place_output(0, stream("ab")) == (0, stream("ab"))


def test_pieces_of_one_stream_are_one_output_with_all_its_text() -> None:
    places = OutputPlaces()
    places.place_output(0, stream("a"))
    assert places.place_output(1, stream("b")) == (0, stream("ab"))
    assert places.place_output(1, stream("bc")) == (0, stream("abc"))
    assert places.place_output(2, stream("!", "stderr")) == (1, stream("!", "stderr"))
    assert places.place_output(3, stream("d")) == (2, stream("d"))


def test_entries_from_before_anybody_listened_are_counted() -> None:
    assert OutputPlaces().place(3, None) == 3


def test_an_entry_without_index_goes_behind_all_others() -> None:
    places = OutputPlaces()
    places.place(0, None)
    assert places.place(None, "stdout") == 1


@given(st.lists(st.sampled_from(["stdout", "stderr", None])))
def test_indexes_are_those_of_the_merged_list(names: list[str | None]) -> None:
    places = OutputPlaces()
    seen = [places.place(at, name) for at, name in enumerate(names)]
    values = [
        {"output_type": "display_data", "data": {}}
        if name is None
        else {"output_type": "stream", "name": name, "text": "x"}
        for name in names
    ]
    assert (seen[-1] + 1 if seen else 0) == len(merge_streams(values))
