"""The settings file: what a user has in it stays as it is, whatever the daemon writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.settings_mirror import parse_mirror, render_mirror, schema_text
from runtimed.document.settings_values import (
    KEYS,
    Settings,
    hand_edits,
    merge_lists,
    read_json_values,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = st.text(alphabet='abcé"\\\u2028 ', min_size=1, max_size=6).filter(str.strip)
PACKAGES = st.lists(WORDS.map(str.strip), max_size=3).map(tuple)
SETTINGS = st.builds(
    Settings,
    theme=st.sampled_from(["system", "light", "dark"]),
    default_runtime=st.sampled_from(["python", "deno", "julia"]),
    keep_alive_secs=st.integers(5, 604_800),
    onboarding_completed=st.booleans(),
    uv_packages=PACKAGES,
    conda_packages=PACKAGES,
    conda_channels=PACKAGES,
    autosave=st.booleans(),
)


def test_a_new_file_states_everything() -> None:
    text = render_mirror(None, Settings(uv_packages=("numpy",)).values()).decode()
    assert text == (
        '{\n  "$schema": "./settings.schema.json",\n  "theme": "system",\n'
        '  "default_runtime": "python",\n  "default_python_env": "uv",\n'
        '  "keep_alive_secs": 30,\n  "onboarding_completed": false,\n'
        '  "uv": {\n    "default_packages": [\n      "numpy"\n    ]\n  },\n'
        '  "conda": {\n    "default_packages": [],\n    "default_channels": []\n  },\n'
        '  "autosave": true,\n  "format_on_save": false\n}\n'
    )


def test_only_what_differs_is_touched() -> None:
    before = (
        "{\r\n"
        '\t"keep_alive_secs" : 60, "theme":"Dark",\r\n'
        '\t"font": {"size": 1.50, "family": "Iosevka"},\r\n'
        '\t"uv": { "index": "https://x.y/simple", "default_packages": ["numpy"] },\r\n'
        '\t"default_runtime": "py"\r\n'
        "}\r\n"
    )
    values = {"keep_alive_secs": 90, "theme": "dark", "default_runtime": "python"}
    values |= {"uv.default_packages": ("numpy", "polars")}
    assert render_mirror(before.encode(), values).decode() == before.replace("60", "90").replace(
        '["numpy"]', '["numpy", "polars"]'
    ).replace('{\r\n\t"keep', '{\r\n\t"$schema": "./settings.schema.json",\r\n\t"keep')


def test_of_two_members_with_one_name_the_one_that_counts_is_changed() -> None:
    text = render_mirror(b'{"theme": "light", "theme": "dark"}', {"theme": "system"})
    assert parse_mirror(text)["theme"] == "system"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nul", b"{} x", b"\xff{}", b"[" * 9999])
def test_what_is_no_settings_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_mirror(content)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(max_size=6) | st.sampled_from(sorted(KEYS)), JSON, max_size=5),
    st.dictionaries(st.text(max_size=6), JSON, max_size=3) | JSON,
    st.sampled_from([None, 1, 2, 4, "\t"]),
    SETTINGS,
)
def test_unknown_keys_survive_and_known_ones_read_back(
    content: dict[str, Any], section: Any, indent: Any, wanted: Settings
) -> None:
    content["uv"] = section
    before = json.dumps(content, indent=indent, ensure_ascii=False).encode()
    after = render_mirror(before, wanted.values())
    parsed = parse_mirror(after)
    assert Settings.of(read_json_values(parsed)) == wanted
    assert render_mirror(after, wanted.values()) == after
    sections = {key.partition(".")[0] for key in KEYS} | {"$schema"}
    for key in content.keys() - sections:
        assert parsed[key] == content[key]
    if isinstance(section, dict):
        for key in section.keys() - {"default_packages"}:
            assert parsed["uv"][key] == section[key]
    assert [key for key in parsed if key in content or key == "$schema"] == (
        list(content) if "$schema" in content else ["$schema", *content]
    )


def test_a_hand_edit_changes_nothing_but_its_own_keys() -> None:
    seen = Settings(uv_packages=("a", "b")).values()
    current = {**seen, "theme": "dark", "uv.default_packages": ("a", "b", "peer")}
    now = {**seen, "keep_alive_secs": 99, "uv.default_packages": ("b", "mine")}
    assert hand_edits(seen, now, current) == {
        "keep_alive_secs": 99,
        "uv.default_packages": ("b", "peer", "mine"),
    }


def test_what_a_file_says_for_the_first_time_counts_as_an_edit() -> None:
    current = Settings(theme="dark", keep_alive_secs=60).values()
    stated = {"theme": "light", "keep_alive_secs": 60}
    assert hand_edits({}, stated, current) == {"theme": "light"}


@settings(max_examples=50, deadline=None)
@given(PACKAGES, PACKAGES, PACKAGES)
def test_a_merged_list_has_all_additions_and_no_removal(
    before: tuple[str, ...], theirs: tuple[str, ...], ours: tuple[str, ...]
) -> None:
    merged = set(merge_lists(before, theirs, ours))
    assert merged >= set(theirs) - set(before)
    assert merged >= set(ours) - set(before)
    assert not merged & (set(before) - set(theirs))
    assert merge_lists(before, before, ours) == ours
    assert merge_lists(before, theirs, before) == theirs


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"keep_alive_secs": 60}, {"keep_alive_secs": 60}),
        ({"keep_alive_secs": -1}, {}),
        ({"keep_alive_secs": "60"}, {}),
        ({"keep_alive_secs": True}, {}),
        ({"keep_alive_secs": 60.0}, {}),
        ({"onboarding_completed": "true"}, {}),
        ({"uv": {}}, {"uv.default_packages": ()}),
        ({"uv": 3}, {}),
        ({"uv": {"default_packages": "numpy"}}, {}),
        ({"uv": {"default_packages": ["numpy", 3, ""]}}, {"uv.default_packages": ("numpy",)}),
        ({"default_runtime": "TS", "theme": "purple"}, {"default_runtime": "deno"}),
    ],
)
def test_what_a_file_misspells_it_does_not_state(
    content: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert read_json_values(content) == expected


def test_the_schema_knows_every_setting_and_its_default() -> None:
    properties = json.loads(schema_text())["properties"]
    stated = {
        key: shape["properties"] if shape.get("type") == "object" else shape.get("default")
        for key, shape in properties.items()
    }
    for key, value in Settings().values().items():
        section, _, member = key.partition(".")
        found = stated[section][member]["default"] if member else stated[section]
        assert found == (list(value) if member else value)
