"""Section 6.4: the schema of a request, and what an answer has to do with it."""

from __future__ import annotations

from typing import Any

import pytest

from runtimed.agents.errors import AgentRuntimeError
from runtimed.agents.schema import SchemaUnusable, mismatch, parse_schema

COUNTS = {
    "type": "object",
    "properties": {"file_count": {"type": "integer"}},
    "required": ["file_count"],
    "additionalProperties": False,
}


def test_a_schema_is_parsed_and_handed_on_as_it_is() -> None:
    assert parse_schema('{"type":"json_schema","schema":{"type":"object"}}') == {
        "type": "json_schema",
        "schema": {"type": "object"},
    }
    assert parse_schema('{"type": "object"}') == {"type": "object"}


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_string_is_no_schema(text: str | None) -> None:
    """Section 2.1: "Empty string = absent"."""
    assert parse_schema(text) is None


@pytest.mark.parametrize(("text", "complaint"), [("{", "is not JSON"), ("[]", "must be an object")])
def test_a_schema_that_is_not_json_is_an_error(text: str, complaint: str) -> None:
    """Section 6.4: invalid JSON gives an `error_message`."""
    with pytest.raises(AgentRuntimeError, match=complaint):
        parse_schema(text)


@pytest.mark.parametrize("output_format", [COUNTS, {"type": "json_schema", "schema": COUNTS}])
def test_an_answer_is_held_against_its_schema(output_format: dict[str, Any]) -> None:
    assert mismatch({"file_count": 3}, output_format) is None
    assert mismatch({"file_count": "3"}, output_format) == (
        "$.file_count: '3' is not of type 'integer'"
    )
    assert "'file_count' is a required property" in (mismatch({}, output_format) or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "banana"},
        {"type": "json_schema"},
        {"type": "json_schema", "schema": "x"},
        {"$ref": "http://127.0.0.1:9/never-fetched.json"},
        {"$ref": "#/nowhere"},
        {"properties": {"a": {"pattern": "("}}},
        {"$ref": "#"},
    ],
)
def test_json_that_is_no_schema_checks_nothing(schema: dict[str, Any]) -> None:
    """And a reference is never fetched."""
    with pytest.raises(SchemaUnusable):
        mismatch({"a": "b"}, schema)
