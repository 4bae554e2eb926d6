"""The canonical form, signatures over it, and the states they stand for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.metadata import snapshot_from_file
from runtimed.environments.trust.canonical import canonical_json
from runtimed.environments.trust.content import Content, signature_of
from runtimed.environments.trust.signature import is_signed, sign
from runtimed.environments.trust.standing import (
    Standing,
    is_vouched_for,
    refusal,
    status_of,
)
from runtimed.errors import RuntimedError

KEY = bytes(32)

REQUESTS = {"uv": {"dependencies": ["requests"]}}
BOTH = {
    "uv": {"requires-python": ">=3.10", "dependencies": ["requests"]},
    "conda": {"dependencies": ["numpy"], "channels": ["conda-forge"]},
}


def content_of(**metadata: Any) -> Content:
    return Content.of(snapshot_from_file(metadata))


def judged(content: Content, signature: str | None, key: bytes | None = KEY) -> str:
    return status_of(content, signature, is_vouched_for(content, signature, key))


def runt(**sections: Any) -> Content:
    return content_of(runt={"schema_version": "1", **sections})


# The vectors of the specification, 14.1


@pytest.mark.parametrize(
    ("value", "text", "signature"),
    [
        (
            REQUESTS,
            '{"uv":{"dependencies":["requests"]}}',
            "hmac-sha256:2bc8d8fba0a8e0ba5f3262b08316c7a464dbf825234b1a15161472e8d02c8783",
        ),
        (
            BOTH,
            '{"conda":{"channels":["conda-forge"],"dependencies":["numpy"]},'
            '"uv":{"dependencies":["requests"],"requires-python":">=3.10"}}',
            "hmac-sha256:97b3ff742818440b7980dfe41d87b1786140ca95b10a53c7576efc4b4db0dce5",
        ),
    ],
)
def test_the_vectors_are_met(value: dict[str, Any], text: str, signature: str) -> None:
    content = runt(**value)
    assert content.to_bytes() == text.encode()
    assert sign(KEY, content.to_bytes()) == signature
    assert is_signed(KEY, content.to_bytes(), signature)


# The canonical form

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def shuffled(value: Any) -> Any:
    """The same JSON value, its keys in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [shuffled(item) for item in value]
    return value


@given(json_values)
def test_the_order_of_keys_makes_no_difference_at_any_level(value: Any) -> None:
    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(json_values)
def test_the_form_reads_back_as_the_same_value_and_is_its_own_form(value: Any) -> None:
    data = canonical_json(value)
    read = json.loads(data.decode())
    assert read == value
    assert canonical_json(read) == data


@given(json_values)
def test_nothing_is_escaped_that_need_not_be_and_no_space_is_added(value: Any) -> None:
    ours = canonical_json(value).decode()
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # Numbers apart, of which Python writes some in another way.
    if not any(isinstance(leaf, float) for leaf in leaves(value)):
        assert ours == plain


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": {"d": [], "c": {}}}, '{"a":{"c":{},"d":[]},"b":1}'),
        ("ä✓\U0001f600", '"ä✓\U0001f600"'),
        ('"\\\b\t\n\f\r\x00\x1f\x7f', '"\\"\\\\\\b\\t\\n\\f\\r\\u0000\\u001f\x7f"'),
        ([0, -1, 18446744073709551615], "[0,-1,18446744073709551615]"),
        ([1.0, 0.1, -0.0, 1e15, 12.5], "[1.0,0.1,-0.0,1000000000000000.0,12.5]"),
        ([1e16, 1.5e300, 1e-5, 1e-6, -5e-324], "[1e16,1.5e300,0.00001,1e-6,-5e-324]"),
        # Sorted by code point, and not by the units of UTF-16.
        ({"\U0001f600": 1, "\uff5e": 2}, '{"\uff5e":2,"\U0001f600":1}'),
    ],
)
def test_the_spelling_of_keys_texts_and_numbers_is_fixed(value: Any, text: str) -> None:
    assert canonical_json(value).decode() == text


@pytest.mark.parametrize("value", [float("nan"), 1 << 64, "\ud800", {"\ud800": 1}, {1: 2}, b""])
def test_what_is_no_json_is_not_signed(value: Any) -> None:
    with pytest.raises(RuntimedError, match="Not to be signed"):
        canonical_json({"a": [value]} if not isinstance(value, dict) else value)


# Signatures


@pytest.mark.parametrize("bad", [None, "", "hmac-sha256:", "sha256:" + "0" * 64, "hmac-sha256:zz"])
def test_what_has_not_the_shape_of_a_signature_is_none(bad: str | None) -> None:
    assert not is_signed(KEY, b"{}", bad)


def test_a_signature_is_of_one_content_and_one_key() -> None:
    signature = sign(KEY, b"one")
    assert is_signed(KEY, b"one", signature)
    assert not is_signed(KEY, b"two", signature)
    assert not is_signed(bytes([1]) * 32, b"one", signature)


# The states, 14.3


@pytest.mark.parametrize(
    ("sections", "signature", "status"),
    [
        ({}, None, "no_dependencies"),
        ({"uv": {"dependencies": []}}, "hmac-sha256:aa", "no_dependencies"),
        (REQUESTS, sign(KEY, b'{"uv":{"dependencies":["requests"]}}'), "trusted"),
        (REQUESTS, None, "untrusted"),
        (REQUESTS, sign(KEY, b'{"uv":{"dependencies":["numpy"]}}'), "signature_invalid"),
        ({"conda": {"dependencies": ["numpy"]}}, None, "untrusted"),
    ],
)
def test_the_status_follows_from_content_and_signature(
    sections: dict[str, Any], signature: str | None, status: str
) -> None:
    assert judged(runt(**sections), signature) == status


def test_check_9_a_list_that_was_edited_is_no_longer_what_was_signed() -> None:
    signature = sign(KEY, runt(**REQUESTS).to_bytes())
    edited = runt(uv={"dependencies": ["requests", "evil"]})
    assert judged(edited, signature) == "signature_invalid"
    text = refusal(Standing("signature_invalid", edited), "/home/u/n.ipynb")
    assert "requests, evil" in text
    assert "runt trust /home/u/n.ipynb" in text
    assert "approve_trust()" in text
    assert "uv:prewarmed" in text


@pytest.mark.parametrize(
    "change",
    [
        {"requires-python": ">=3.12"},
        {"prerelease": "allow"},
        {"dependencies": ["requests"], "prerelease": "explicit"},
    ],
)
def test_constraints_are_signed_with_the_list(change: dict[str, Any]) -> None:
    signature = sign(KEY, runt(**REQUESTS).to_bytes())
    changed = runt(uv={**REQUESTS["uv"], **change})
    assert judged(changed, signature) == "signature_invalid"


def test_without_a_key_nothing_was_signed_here() -> None:
    assert judged(runt(**REQUESTS), sign(KEY, b"{}"), None) == "signature_invalid"


# One reader for trust and launching


def test_a_runt_without_a_version_is_judged_by_the_list_at_the_top_that_would_be_installed() -> (
    None
):
    content = content_of(
        runt={"uv": {"dependencies": []}, "trust_signature": "hmac-sha256:aa"},
        uv={"dependencies": ["evil"]},
    )
    assert content.uv_dependencies == ["evil"]
    assert judged(content, None) == "untrusted"


def test_with_a_good_runt_the_lists_at_the_top_are_neither_judged_nor_installed() -> None:
    content = content_of(
        runt={"schema_version": "1", "uv": {"dependencies": []}}, uv={"dependencies": ["evil"]}
    )
    assert content.is_empty


def test_a_signature_is_read_from_a_good_runt_alone() -> None:
    assert signature_of(snapshot_from_file({"runt": {"trust_signature": "x"}})) is None
    found = signature_of(
        snapshot_from_file({"runt": {"schema_version": "1", "trust_signature": "x"}})
    )
    assert found == "x"


# What has no package, but a say in which one is installed


@pytest.mark.parametrize(
    ("sections", "bare"),
    [
        ({}, True),
        ({"uv": {"dependencies": []}}, True),
        ({"conda": {"dependencies": [], "channels": ["conda-forge"]}}, True),
        ({"conda": {"dependencies": [], "channels": ["https://evil.example"]}}, False),
        ({"uv": {"dependencies": [], "prerelease": "allow"}}, False),
        ({"uv": {"dependencies": [], "requires-python": "<3.9"}}, False),
        (REQUESTS, False),
    ],
)
def test_channels_and_constraints_are_no_packages_but_not_nothing(
    sections: dict[str, Any], bare: bool
) -> None:
    assert runt(**sections).is_bare is bare
