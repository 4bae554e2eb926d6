"""The schema that a request asks its answer to follow: reading it, and holding an answer to it.

Pure, but not free: jsonschema is imported when there is something to check, and a pattern may take
long. Whoever calls `mismatch` does so in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtimed.agents.errors import AgentRuntimeError
from runtimed.agents.messages import decode

__all__ = ["SchemaUnusable", "mismatch", "parse_schema"]


class SchemaUnusable(Exception):
    """A schema is JSON, but not a schema; it goes to the handler, and nothing is checked by it."""


def parse_schema(text: str | None) -> dict[str, Any] | None:
    """The schema of a request as the handler gets it: what the client wrote, parsed.

    Raises: AgentRuntimeError if it is not JSON, or not an object.
    """
    if not text:
        return None
    try:
        schema = decode(text)
    except ValueError as error:
        raise AgentRuntimeError(f"output_format_json_schema_str is not JSON: {error}") from None
    if not isinstance(schema, dict):
        kind = type(schema).__name__
        raise AgentRuntimeError(f"output_format_json_schema_str must be an object, not {kind}")
    return schema


def mismatch(answer: Mapping[str, Any], output_format: Mapping[str, Any]) -> str | None:
    """How an answer does not follow the schema; None if it does.

    Shape: `output_format` is `{"type": "json_schema", "schema": {...}}`, or the schema alone.
    Raises: SchemaUnusable.
    """
    from jsonschema import exceptions, validators
    from referencing import Registry

    schema: Any = output_format
    if output_format.get("type") == "json_schema":
        schema = output_format.get("schema")
    if not isinstance(schema, (Mapping, bool)):
        raise SchemaUnusable("there is no object under `schema`")
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
        # A registry of its own: the default one would fetch references from the network.
        error = exceptions.best_match(kind(schema, registry=Registry()).iter_errors(answer))
    except (exceptions.SchemaError, exceptions.UndefinedTypeCheck) as problem:
        raise SchemaUnusable(problem.message) from None
    except Exception as problem:  # references to nothing, recursion, patterns that are none
        raise SchemaUnusable(f"{type(problem).__name__}: {problem}") from None
    return None if error is None else f"{error.json_path}: {error.message}"
