"""Which values of a settings file count for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runtimed.document.settings_unused import _ALLOWED, UnusedValue, unknown_keys, unused_values
from runtimed.document.settings_values import KEYS, Settings


def test_every_setting_says_what_is_allowed() -> None:
    assert _ALLOWED.keys() == KEYS.keys()


@pytest.mark.parametrize(
    ("content", "key", "value", "instead"),
    [
        ({"theme": None}, "theme", "null", '"system"'),
        ({"default_runtime": "r"}, "default_runtime", '"r"', '"python"'),
        ({"keep_alive_secs": 2}, "keep_alive_secs", "2", "5"),
        ({"keep_alive_secs": True}, "keep_alive_secs", "true", "30"),
        ({"autosave": "no"}, "autosave", '"no"', "true"),
        ({"conda": 5}, "conda", "5", '{"default_packages": []}'),
        (
            {"uv": {"default_packages": ["a", 1, ""]}},
            "uv.default_packages",
            '1, ""',
            'the rest, ["a"]',
        ),
        ({"viewer": ["code"]}, "viewer", '["code"]', "no viewer"),
    ],
)
def test_what_is_not_used(content: dict[str, Any], key: str, value: str, instead: str) -> None:
    (found,) = unused_values(content)
    assert (found.key, found.value, found.instead) == (key, value, instead)


def test_all_that_settings_write_is_used() -> None:
    content: dict[str, Any] = Settings().as_dict()
    assert unused_values(content) == []
    assert unused_values({"default_runtime": "TypeScript", "theme": "Dark", "viewer": "code"}) == []
    assert unknown_keys(content | {"$schema": "x", "viewer": "code"}) == []
    assert unknown_keys({"colour": 1, "uv": {"packages": []}}) == ["colour", "uv.packages"]


def test_the_daemons_value_goes_on_where_the_file_has_none() -> None:
    current = Settings().values() | {"theme": "dark"}
    assert unused_values({"theme": 5}, current) == [
        UnusedValue("theme", "5", '"system", "light" or "dark"', '"dark"')
    ]
