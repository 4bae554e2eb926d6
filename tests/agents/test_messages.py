"""Section 2 of the agent protocol: what the messages are, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import runtimed.agents
from runtimed.agents import messages
from runtimed.agents.errors import AgentRuntimeError, CancelledException
from runtimed.agents.messages import (
    CLIENT_MESSAGES,
    RUNTIME_MESSAGES,
    ArtifactUploadResult,
    AssistantMessageInterface,
    CommandExecutionMessage,
    CommandInterface,
    CommandOutputMessageInterface,
    CommandResultItem,
    ErrorMessageInterface,
    InvocationMessage,
    QueryResult,
    ResultMessageInterface,
    StructuredOutputResult,
    TextResult,
    encode,
    parse_client_message,
    parse_object,
    parse_runtime_message,
    render_for_client,
    render_for_runtime,
)
from runtimed.errors import RemoteProtocolError, RuntimedError

INVOCATION: dict[str, Any] = {
    "message_type": "invocation_message",
    "system_prompt": "s",
    "user_prompt": "u",
    "model": "m",
    "secrets_to_redact": [],
}


def test_every_public_name_is_there() -> None:
    """Section 9.1: importable from one module."""
    for name in runtimed.agents.__all__:
        value = getattr(runtimed.agents, name)
        # What callbacks are is said by aliases, which have no name of their own.
        assert name.startswith("On") or value.__name__ == name
    assert set(runtimed.agents.__all__) <= set(dir(runtimed.agents))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = runtimed.agents.Nothing


def test_absent_and_null_mean_the_same() -> None:
    """Section 2: "opt" may be absent or null."""
    nulls = {each.name: None for each in attrs.fields(InvocationMessage)} | INVOCATION
    assert parse_client_message(nulls) == parse_client_message(INVOCATION)
    without = {key: INVOCATION[key] for key in INVOCATION if key != "secrets_to_redact"}
    assert parse_client_message(without) == parse_client_message(INVOCATION)


def test_unknown_fields_are_ignored() -> None:
    """Section 1: the extension point, in both directions."""
    assert parse_client_message(INVOCATION | {"new": [1]}) == parse_client_message(INVOCATION)
    error = {"message_type": "error_message", "error": "e", "metadata": {}}
    assert parse_runtime_message(error | {"new": 1}) == parse_runtime_message(error)


def test_a_client_writes_unset_fields_as_null_and_a_runtime_leaves_them_out() -> None:
    """Section 2."""
    message = CommandExecutionMessage(commands=[CommandInterface(command="ls")])
    rendered = render_for_runtime(message)
    assert rendered["artifacts_dirs"] is None
    assert rendered["commands"] == [{"command": "ls", "cwd": None, "env": None}]
    item = CommandResultItem(command="ls", exit_code=0)
    done = messages.CommandExecutionResultMessageInterface(results=[item])
    assert render_for_client(done) == {
        "message_type": "command_execution_result_message",
        "results": [{"command": "ls", "exit_code": 0}],
    }


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model": None}, "model is missing"),
        ({"user_prompt": 3}, "user_prompt must be a string, not int"),
        ({"secrets_to_redact": "s"}, "secrets_to_redact must be a list, not str"),
        ({"secrets_to_redact": ["a", None]}, r"secrets_to_redact\[1\] must be a string, not null"),
        ({"agent_env": {"A": 1}}, r"agent_env\['A'\] must be a string"),
        ({"agent_env": []}, "agent_env must be an object"),
        (
            {"pre_agent_invocation_commands": [{"command": "a"}, {"command": "b", "cwd": 1}]},
            r"pre_agent_invocation_commands\[1\].cwd must be a string, not int",
        ),
        (
            {"pre_agent_downloadables": [{"download_url": "u"}]},
            r"pre_agent_downloadables\[0\].working_dir is missing",
        ),
        ({"client_max_message_bytes": True}, "client_max_message_bytes must be an integer"),
        ({"message_type": "hello"}, "Unknown message_type 'hello'"),
        ({"message_type": 3}, "needs a message_type"),
    ],
)
def test_what_is_wrong_with_a_message_is_named(change: dict[str, Any], complaint: str) -> None:
    """Section 7: free text naming the field."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        parse_client_message(INVOCATION | change)


@pytest.mark.parametrize("message", ["", "{", "nul", '{"a": }', b"\xff\xfe", "[" * 5000])
def test_what_is_not_json_is_refused(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="Not JSON"):
        parse_object(message)


@pytest.mark.parametrize("message", ["[]", "1", '"text"', "null"])
def test_what_is_not_an_object_is_refused(message: str) -> None:
    with pytest.raises(RemoteProtocolError, match="must be a JSON object"):
        parse_object(message)


def test_the_type_of_a_result_tells_its_class() -> None:
    wire = {"message_type": "result_message", "data": {"type": "text", "text": "hi"}}
    parsed = parse_runtime_message(wire)
    assert parsed == ResultMessageInterface(data=TextResult(text="hi"))
    wire["data"] = {"type": "structured_output", "structured_output": {"a": [1]}}
    parsed = parse_runtime_message(wire)
    assert isinstance(parsed, ResultMessageInterface)
    assert parsed.data == StructuredOutputResult(structured_output={"a": [1]})
    wrongs: list[Any] = [{"type": "other"}, {"type": ["text"]}, {}, [], {"type": "text"}]
    for wrong in wrongs:
        with pytest.raises(RemoteProtocolError, match="data"):
            parse_runtime_message({"message_type": "result_message", "data": wrong})


def test_structured_output_that_is_a_list_is_refused() -> None:
    data = {"type": "structured_output", "structured_output": [1]}
    with pytest.raises(RemoteProtocolError, match=r"data\.structured_output must be an object"):
        parse_runtime_message({"message_type": "result_message", "data": data})


def test_types_take_keywords_compare_by_value_and_can_be_read() -> None:
    """Section 9."""
    one = ArtifactUploadResult(presigned_url="u", content_type="c")
    assert one == ArtifactUploadResult(presigned_url="u", content_type="c")
    assert one != ArtifactUploadResult(presigned_url="u", content_type="d")
    assert repr(one) == "ArtifactUploadResult(presigned_url='u', content_type='c')"
    assert QueryResult(data=TextResult(text="a")).metadata is None
    assert AssistantMessageInterface(text_blocks=["a"]).message_type == "assistant_message"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.content_type = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ArtifactUploadResult(presigned_url=None, content_type="c"), "presigned_url"),  # type: ignore[arg-type]
        (lambda: TextResult(text=3), "text must be a string"),  # type: ignore[arg-type]
        (lambda: CommandInterface(command="c", env={"A": 1}), "env"),  # type: ignore[dict-item]
        (lambda: CommandResultItem(command="c", exit_code="1"), "exit_code"),  # type: ignore[arg-type]
        (lambda: AssistantMessageInterface(text_blocks="a"), "text_blocks must be a list"),  # type: ignore[arg-type]
        (
            lambda: CommandOutputMessageInterface(stream="in", text="", command=""),
            "stream must be 'stdout' or 'stderr'",
        ),
        (lambda: ErrorMessageInterface(message_type="x", error="e"), "message_type must be"),
        (lambda: StructuredOutputResult(structured_output=[]), "structured_output"),  # type: ignore[arg-type]
    ],
)
def test_wrong_types_are_value_errors(make: Any, complaint: str) -> None:
    """Section 9: reject wrong types with ValueError."""
    with pytest.raises(ValueError, match=complaint):
        make()


TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
COMMAND = st.builds(
    CommandInterface,
    command=TEXT,
    cwd=st.none() | TEXT,
    env=st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
)
REQUEST = st.builds(
    InvocationMessage,
    source_id=st.none() | TEXT,
    system_prompt=TEXT,
    user_prompt=TEXT,
    model=TEXT,
    agent_env=st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
    secrets_to_redact=st.lists(TEXT, max_size=2),
    artifacts_dirs=st.none() | st.lists(TEXT, max_size=2),
    pre_agent_invocation_commands=st.none() | st.lists(COMMAND, max_size=2),
    client_max_message_bytes=st.none() | st.integers(0, 2**40),
)


@given(REQUEST)
def test_what_a_client_writes_a_runtime_reads(message: InvocationMessage) -> None:
    assert parse_client_message(parse_object(encode(render_for_runtime(message)))) == message


@settings(max_examples=50)
@given(
    st.dictionaries(st.integers(0, 9), JSON, max_size=3), st.sampled_from(sorted(CLIENT_MESSAGES))
)
def test_a_mutated_message_is_read_or_refused(changes: dict[int, Any], kind: str) -> None:
    fields = [each.name for each in attrs.fields(CLIENT_MESSAGES[kind])]
    data = {fields[key % len(fields)]: value for key, value in changes.items()}
    for parse, name in ((parse_client_message, kind), (parse_runtime_message, "result_message")):
        try:
            parse({**data, "message_type": name})
        except RemoteProtocolError:
            pass


@given(JSON)
def test_json_keeps_what_it_was_given(data: Any) -> None:
    assert json.loads(encode(data)) == data


def test_json_is_written_without_escapes_and_carries_what_utf8_cannot() -> None:
    """Section 8.4: without ASCII-escaping."""
    assert encode({"a": "ä😀"}) == '{"a":"ä😀"}'
    assert encode({"a": "x\udcff"}) == '{"a":"x\ufffd"}'
    assert encode({"a": 2**70}) == f'{{"a":{2**70}}}'
    with pytest.raises(TypeError):
        encode({"a": object()})


def test_every_message_type_has_a_class_that_knows_it() -> None:
    tables: list[dict[str, Any]] = [CLIENT_MESSAGES, RUNTIME_MESSAGES]
    for table in tables:
        for name, cls in table.items():
            assert attrs.fields_dict(cls)["message_type"].default == name


def test_an_error_shows_its_metadata_sorted() -> None:
    """Section 9.1: `AgentRuntimeError(error, metadata=None)`."""
    error = AgentRuntimeError("went wrong", {"b": 1, "a": "ä"})
    assert str(error) == 'went wrong\nmetadata: {"a": "ä", "b": 1}'
    assert (error.error, error.metadata) == ("went wrong", {"b": 1, "a": "ä"})
    assert str(AgentRuntimeError("only this")) == "only this"
    assert str(AgentRuntimeError("only this", {})) == "only this"
    assert issubclass(AgentRuntimeError, RuntimedError)
    assert issubclass(CancelledException, RuntimedError)
