"""The settings document: what it holds, how tolerantly it is read, that peers converge."""

from __future__ import annotations

from typing import Any

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.settings import SettingsDocument
from runtimed.document.settings_mirror import parse_mirror, render_mirror
from runtimed.document.settings_values import Settings, hand_edits, read_json_values
from runtimed.errors import DocumentUnreadable, RemoteProtocolError, RuntimedError

PACKAGES = st.lists(st.sampled_from(["numpy", "pandas>=2", "polars", "é"]), unique=True, max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "theme": st.sampled_from(["system", "light", "dark"]),
    "default_runtime": st.sampled_from(["python", "deno", "julia"]),
    "default_python_env": st.sampled_from(["uv", "conda", "pixi"]),
    "keep_alive_secs": st.integers(5, 604_800),
    "onboarding_completed": st.booleans(),
    "uv.default_packages": PACKAGES.map(tuple),
    "conda.default_packages": PACKAGES.map(tuple),
    "conda.default_channels": PACKAGES.map(tuple),
    "autosave": st.booleans(),
}
EDIT = st.sampled_from(sorted(VALUES)).flatmap(
    lambda key: VALUES[key].map(lambda value: (key, value))
)


def sync(one: SettingsDocument, other: SettingsDocument) -> None:
    first, second = one.new_peer(), other.new_peer()
    while True:
        there = one.generate_sync(first)
        if there is not None:
            other.receive_sync(second, there)
        back = other.generate_sync(second)
        if back is not None:
            one.receive_sync(first, back)
        if there is None and back is None:
            return


def stored(**root: tuple[ScalarType, Any]) -> bytes:
    """A document as somebody else may have written it."""
    document = Document(b"other")
    with document.transaction() as t:
        for key, (kind, value) in root.items():
            t.put(ROOT, key, kind, value)
    return document.save()


def shape(data: bytes) -> list[tuple[str, Any]]:
    document = Document.load(data)
    return [
        (key, document.get(ROOT, key)[0])  # type: ignore[index]
        for key in document.keys(ROOT)
    ]


def test_a_new_document_has_the_types_that_other_programs_expect() -> None:
    assert dict(shape(SettingsDocument.create(daemon_actor()).save())) == {
        "theme": (ScalarType.Str, "system"),
        "default_runtime": (ScalarType.Str, "python"),
        "default_python_env": (ScalarType.Str, "uv"),
        "keep_alive_secs": (ScalarType.Int, 30),
        "onboarding_completed": (ScalarType.Boolean, False),
        "uv": ObjType.Map,
        "conda": ObjType.Map,
    }


def test_every_new_document_begins_with_the_same_change_and_so_they_merge() -> None:
    one, other = (SettingsDocument.create(daemon_actor()) for _ in range(2))
    assert one.heads == other.heads
    assert one.heads == ["484b984a9a1745c62116def14fb3bb20bdc57c2546a88ba20810a60299ebb1a6"]
    one.update({"uv.default_packages": ["numpy"]})
    other.update({"uv.default_packages": ["polars"], "theme": "dark"})
    sync(one, other)
    assert one.read() == other.read()
    assert sorted(one.read().uv_packages) == ["numpy", "polars"]
    assert one.read().theme == "dark"


def test_a_list_is_edited_and_not_made_anew() -> None:
    document = SettingsDocument.create(daemon_actor())
    document.update({"uv.default_packages": ["a", "b", "c"]})
    peer = SettingsDocument.empty(client_actor())
    sync(document, peer)
    document.update({"uv.default_packages": ["a", "c"]})
    peer.update({"uv.default_packages": ["a", "b", "c", "d"]})
    sync(document, peer)
    assert document.read().uv_packages == peer.read().uv_packages == ("a", "c", "d")


def test_a_value_that_is_already_there_makes_no_change() -> None:
    document = SettingsDocument.create(daemon_actor())
    heads = document.heads
    document.update({"theme": "SYSTEM", "default_runtime": "Py", "uv.default_packages": []})
    assert document.heads == heads


@pytest.mark.parametrize(
    ("key", "kind", "value", "expected"),
    [
        ("keep_alive_secs", ScalarType.Uint, 60, 60),
        ("keep_alive_secs", ScalarType.Str, " 90 ", 90),
        ("keep_alive_secs", ScalarType.F64, 60.0, 60),
        ("keep_alive_secs", ScalarType.Int, -1, 30),
        ("keep_alive_secs", ScalarType.Str, "-1", 30),
        ("keep_alive_secs", ScalarType.Str, "soon", 30),
        ("keep_alive_secs", ScalarType.Boolean, True, 30),
        ("keep_alive_secs", ScalarType.Int, 1, 5),
        ("keep_alive_secs", ScalarType.Int, 10**9, 604_800),
        ("keep_alive_secs", ScalarType.Null, None, 604_800),
        ("theme", ScalarType.Str, "Dark", "dark"),
        ("theme", ScalarType.Str, "mauve", "system"),
        ("theme", ScalarType.Int, 3, "system"),
        ("default_runtime", ScalarType.Str, "TypeScript", "deno"),
        ("default_runtime", ScalarType.Str, "Julia", "Julia"),
        ("default_python_env", ScalarType.Str, "CONDA", "conda"),
        ("onboarding_completed", ScalarType.Str, "true", True),
        ("onboarding_completed", ScalarType.Str, "maybe", False),
        ("autosave", ScalarType.Str, "False", False),
    ],
)
def test_values_are_read_however_they_are_spelled(
    key: str, kind: ScalarType, value: Any, expected: Any
) -> None:
    document = SettingsDocument.load(stored(**{key: (kind, value)}), daemon_actor())
    assert getattr(document.read(), key) == expected


def test_a_text_where_a_string_belongs_reads_as_missing() -> None:
    document = Document(b"other")
    with document.transaction() as t:
        t.insert(t.put_object(ROOT, "theme", ObjType.Text), 0, ScalarType.Str, "d")
    assert SettingsDocument.load(document.save(), daemon_actor()).read().theme == "system"


def test_who_has_chosen_before_is_not_asked_again() -> None:
    data = stored(theme=(ScalarType.Str, "dark"))
    assert SettingsDocument.load(data, daemon_actor()).read().onboarding_completed
    data = stored(keep_alive_secs=(ScalarType.Int, 30))
    assert not SettingsDocument.load(data, daemon_actor()).read().onboarding_completed


def test_packages_of_older_versions_move_into_their_lists() -> None:
    data = stored(
        default_uv_packages=(ScalarType.Str, " numpy, ,pandas "),
        default_conda_packages=(ScalarType.Str, ""),
        extra=(ScalarType.Str, "kept"),
    )
    document = SettingsDocument.load(data, daemon_actor())
    assert document.read().uv_packages == ("numpy", "pandas")
    assert document.read().conda_packages == ()
    saved = document.save()
    assert dict(shape(saved)) == {"uv": ObjType.Map, "extra": (ScalarType.Str, "kept")}
    assert SettingsDocument.load(saved, daemon_actor()).heads == document.heads


def test_a_document_that_a_peer_has_torn_up_can_still_be_read_and_written() -> None:
    document = SettingsDocument.create(daemon_actor())
    peer = SettingsDocument.empty(client_actor())
    sync(document, peer)
    with peer._edit() as t:
        for key in ("theme", "keep_alive_secs", "conda"):
            t.delete(ROOT, key)
        t.put(ROOT, "uv", ScalarType.Int, 3)
    sync(document, peer)
    assert document.read() == Settings()
    changes = {"theme": "dark", "uv.default_packages": ["x"], "conda.default_packages": ["y"]}
    document.update(changes)
    sync(document, peer)
    assert peer.read() == Settings(theme="dark", uv_packages=("x",), conda_packages=("y",))


def test_what_is_no_setting_is_refused_and_changes_nothing() -> None:
    document = SettingsDocument.create(daemon_actor())
    heads = document.heads
    with pytest.raises(RuntimedError, match=r"There is no setting colour: use one of theme, "):
        document.update({"theme": "dark", "colour": "red"})
    with pytest.raises(RuntimedError, match="Not a value for the setting keep_alive_secs: 'long'"):
        document.update({"theme": "dark", "keep_alive_secs": "long"})
    assert document.heads == heads


def test_bytes_that_are_no_document_are_refused() -> None:
    for data in (b"", b"{}", b"\x85oJ\x83" + bytes(40)):
        with pytest.raises(DocumentUnreadable):
            SettingsDocument.load(data, daemon_actor())
    document = SettingsDocument.create(daemon_actor())
    with pytest.raises(RemoteProtocolError):
        document.receive_sync(document.new_peer(), b"nonsense")
    assert document.read() == Settings()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), EDIT) | st.just("sync") | st.just("look"), max_size=14)
)
def test_two_peers_and_somebody_who_edits_the_file_converge(steps: list[Any]) -> None:
    """Every edit arrives everywhere, unless the same setting was changed later."""
    daemon = SettingsDocument.create(daemon_actor())
    peers = [SettingsDocument.empty(client_actor()) for _ in range(2)]
    for peer in peers:
        sync(daemon, peer)
    file = render_mirror(b'{\n  "mine": {"kept": [1, 2.50]}\n}', daemon.read().values())
    seen = read_json_values(parse_mirror(file))
    touched: dict[str, set[int]] = {}

    def look() -> None:
        nonlocal file, seen
        stated = read_json_values(parse_mirror(file))
        daemon.update(hand_edits(seen, stated, daemon.read().values()))
        file = render_mirror(file, daemon.read().values())
        seen = read_json_values(parse_mirror(file))

    last: dict[str, tuple[int, Any]] = {}
    for step in steps:
        if step == "look":
            look()
        elif step == "sync":
            for peer in peers:
                sync(daemon, peer)
        else:
            who, (key, value) = step
            touched.setdefault(key, set()).add(who)
            last[key] = (who, value)
            if who == 2:
                file = render_mirror(file, {key: value})
            else:
                peers[who].update({key: value})
    for _ in range(2):
        for peer in peers:
            sync(daemon, peer)
        look()
    assert peers[0].read() == peers[1].read() == daemon.read()
    assert read_json_values(parse_mirror(file)) == daemon.read().values()
    assert b'"mine": {"kept": [1, 2.50]}' in file
    for key, (_, value) in last.items():
        if len(touched[key]) == 1:  # nobody else wanted it otherwise
            assert daemon.read().values()[key] == value


def test_channels_and_packages_of_one_section_are_set_side_by_side() -> None:
    document = SettingsDocument.create(b"me")
    document.update({"conda.default_channels": ["bioconda"]})
    document.update({"conda.default_packages": ["numpy"]})
    settings = document.read()
    assert settings.conda_channels == ("bioconda",)
    assert settings.conda_packages == ("numpy",)
