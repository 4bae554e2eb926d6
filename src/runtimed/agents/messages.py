"""The messages between an agent's client and its runtime, and what they are made of.

One JSON object a message, told apart by `message_type`. Pure: text in, values out, and back. The
classes have the names that programs import from `runtimed.agents`; they take keyword arguments,
compare by value and refuse wrong types with ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import attrs
import orjson

from runtimed.agents.fields import (
    fixed,
    integer,
    json_object,
    list_of,
    nested,
    one_of,
    optional,
    read,
    string,
    text_map,
    truth,
    written,
)
from runtimed.errors import RemoteProtocolError

__all__ = [
    "CLIENT_MESSAGES",
    "DEFAULT_CLIENT_LIMIT",
    "RUNTIME_MESSAGES",
    "AgentRuntimeMessageInterface",
    "ArtifactUploadRequestMessageInterface",
    "ArtifactUploadResponseMessageInterface",
    "ArtifactUploadResult",
    "AssistantMessageInterface",
    "CancelMessage",
    "ClientMessage",
    "CommandExecutionMessage",
    "CommandExecutionResult",
    "CommandExecutionResultMessageInterface",
    "CommandInterface",
    "CommandOutputMessageInterface",
    "CommandResultItem",
    "EndSessionConfirmMessage",
    "EndSessionMessage",
    "ErrorMessageInterface",
    "HeartbeatMessageInterface",
    "InvocationMessage",
    "QueryResult",
    "ResultMessageInterface",
    "RuntimeEnvironmentDownloadableInterface",
    "StructuredOutputResult",
    "TextResult",
    "decode",
    "encode",
    "parse_client_message",
    "parse_object",
    "parse_runtime_message",
    "render_for_client",
    "render_for_runtime",
]

#: What a client reads at most in one message when it has not said otherwise. Unit: bytes.
DEFAULT_CLIENT_LIMIT = 1_048_576


# ---------------------------------------------------------------------- parts


@attrs.frozen(kw_only=True)
class CommandInterface:
    """A shell command: its text, where it runs, and what is added to the environment."""

    command: str = attrs.field(validator=string)
    cwd: str | None = attrs.field(default=None, validator=optional(string))
    env: dict[str, str] | None = attrs.field(default=None, validator=optional(text_map))


@attrs.frozen(kw_only=True)
class RuntimeEnvironmentDownloadableInterface:
    """A file that the runtime fetches into a folder before the agent runs."""

    download_url: str = attrs.field(validator=string)
    working_dir: str = attrs.field(validator=string)


@attrs.frozen(kw_only=True)
class TextResult:
    """What an agent answered, as text."""

    text: str = attrs.field(validator=string)
    type: str = attrs.field(default="text", validator=fixed)


@attrs.frozen(kw_only=True)
class StructuredOutputResult:
    """What an agent answered, as an object."""

    structured_output: dict[str, Any] = attrs.field(validator=json_object)
    type: str = attrs.field(default="structured_output", validator=fixed)


_ANSWER = nested(TextResult, StructuredOutputResult)
_COMMANDS = list_of(nested(CommandInterface))
_DOWNLOADABLES = list_of(nested(RuntimeEnvironmentDownloadableInterface))


@attrs.frozen(kw_only=True)
class QueryResult:
    """What `query` gives: the answer, and what the agent says about how it came by it."""

    data: TextResult | StructuredOutputResult = attrs.field(validator=_ANSWER)
    metadata: dict[str, Any] | None = attrs.field(default=None, validator=optional(json_object))


@attrs.frozen(kw_only=True)
class CommandResultItem:
    """How one command ended. `stdout` is the end of what it printed when `stdout_truncated`."""

    command: str = attrs.field(validator=string)
    exit_code: int = attrs.field(validator=integer)
    stdout: str | None = attrs.field(default=None, validator=optional(string))
    stdout_truncated: bool | None = attrs.field(default=None, validator=optional(truth))


_RESULTS = list_of(nested(CommandResultItem))


@attrs.frozen(kw_only=True)
class CommandExecutionResult:
    """What `execute_commands` gives: one item for each command that ran."""

    results: list[CommandResultItem] = attrs.field(validator=_RESULTS)


@attrs.frozen(kw_only=True)
class ArtifactUploadResult:
    """Where a file may be uploaded, and as what: the answer of the upload callback."""

    presigned_url: str = attrs.field(validator=string)
    content_type: str = attrs.field(validator=string)


# ---------------------------------------------------------------------- from runtime to client


class AgentRuntimeMessageInterface:
    """Base of the messages that a runtime sends."""

    __slots__ = ()

    message_type: str


@attrs.frozen(kw_only=True)
class ResultMessageInterface(AgentRuntimeMessageInterface):
    """The end of an invocation: the agent's answer."""

    message_type: str = attrs.field(default="result_message", validator=fixed)
    data: TextResult | StructuredOutputResult = attrs.field(validator=_ANSWER)
    metadata: dict[str, Any] | None = attrs.field(default=None, validator=optional(json_object))


@attrs.frozen(kw_only=True)
class CommandExecutionResultMessageInterface(AgentRuntimeMessageInterface):
    """The end of a command execution."""

    message_type: str = attrs.field(
        default="command_execution_result_message",
        validator=fixed,
    )
    results: list[CommandResultItem] = attrs.field(validator=_RESULTS)


@attrs.frozen(kw_only=True)
class ErrorMessageInterface(AgentRuntimeMessageInterface):
    """The end of a request that failed."""

    message_type: str = attrs.field(default="error_message", validator=fixed)
    error: str = attrs.field(validator=string)
    metadata: dict[str, Any] | None = attrs.field(default=None, validator=optional(json_object))


@attrs.frozen(kw_only=True)
class AssistantMessageInterface(AgentRuntimeMessageInterface):
    """What the agent says while it works."""

    message_type: str = attrs.field(default="assistant_message", validator=fixed)
    text_blocks: list[str] = attrs.field(validator=list_of(string))


@attrs.frozen(kw_only=True)
class CommandOutputMessageInterface(AgentRuntimeMessageInterface):
    """A piece of what a running command prints."""

    message_type: str = attrs.field(default="command_output_message", validator=fixed)
    stream: str = attrs.field(validator=one_of("stdout", "stderr"))
    text: str = attrs.field(validator=string)
    command: str = attrs.field(validator=string)


@attrs.frozen(kw_only=True)
class HeartbeatMessageInterface(AgentRuntimeMessageInterface):
    """A sign of life of a request that takes long."""

    message_type: str = attrs.field(default="heartbeat_message", validator=fixed)
    phase: str = attrs.field(validator=string)
    elapsed_ms: int = attrs.field(validator=integer)


@attrs.frozen(kw_only=True)
class ArtifactUploadRequestMessageInterface(AgentRuntimeMessageInterface):
    """The runtime asks where a file may be uploaded."""

    message_type: str = attrs.field(
        default="artifact_upload_request_message",
        validator=fixed,
    )
    filename: str = attrs.field(validator=string)
    filepath: str = attrs.field(validator=string)


@attrs.frozen(kw_only=True)
class EndSessionConfirmMessage(AgentRuntimeMessageInterface):
    """The end of a session; the runtime closes after it."""

    message_type: str = attrs.field(default="end_session_confirm_message", validator=fixed)


# ---------------------------------------------------------------------- from client to runtime


@attrs.frozen(kw_only=True)
class InvocationMessage:
    """Run the agent."""

    message_type: str = attrs.field(default="invocation_message", validator=fixed)
    source_id: str | None = attrs.field(default=None, validator=optional(string))
    system_prompt: str = attrs.field(validator=string)
    user_prompt: str = attrs.field(validator=string)
    model: str = attrs.field(validator=string)
    agent_env: dict[str, str] | None = attrs.field(default=None, validator=optional(text_map))
    output_format_json_schema_str: str | None = attrs.field(
        default=None, validator=optional(string)
    )
    secrets_to_redact: list[str] = attrs.field(factory=list, validator=list_of(string))
    artifacts_dirs: list[str] | None = attrs.field(
        default=None, validator=optional(list_of(string))
    )
    artifacts_dir: str | None = attrs.field(default=None, validator=optional(string))
    artifacts_ignore_content: str | None = attrs.field(default=None, validator=optional(string))
    pre_agent_downloadables: list[RuntimeEnvironmentDownloadableInterface] | None = attrs.field(
        default=None, validator=optional(_DOWNLOADABLES)
    )
    pre_agent_invocation_commands: list[CommandInterface] | None = attrs.field(
        default=None, validator=optional(_COMMANDS)
    )
    post_agent_invocation_commands: list[CommandInterface] | None = attrs.field(
        default=None, validator=optional(_COMMANDS)
    )
    client_max_message_bytes: int | None = attrs.field(default=None, validator=optional(integer))


@attrs.frozen(kw_only=True)
class CommandExecutionMessage:
    """Run commands only."""

    message_type: str = attrs.field(default="command_execution_message", validator=fixed)
    source_id: str | None = attrs.field(default=None, validator=optional(string))
    secrets_to_redact: list[str] = attrs.field(factory=list, validator=list_of(string))
    artifacts_dirs: list[str] | None = attrs.field(
        default=None, validator=optional(list_of(string))
    )
    artifacts_dir: str | None = attrs.field(default=None, validator=optional(string))
    artifacts_ignore_content: str | None = attrs.field(default=None, validator=optional(string))
    commands: list[CommandInterface] = attrs.field(validator=_COMMANDS)
    pre_execution_downloadables: list[RuntimeEnvironmentDownloadableInterface] | None = attrs.field(
        default=None, validator=optional(_DOWNLOADABLES)
    )
    client_max_message_bytes: int | None = attrs.field(default=None, validator=optional(integer))


@attrs.frozen(kw_only=True)
class ArtifactUploadResponseMessageInterface:
    """Where the file that the runtime asked about may be uploaded."""

    message_type: str = attrs.field(
        default="artifact_upload_response_message",
        validator=fixed,
    )
    filename: str = attrs.field(validator=string)
    filepath: str = attrs.field(validator=string)
    presigned_url: str = attrs.field(validator=string)
    content_type: str = attrs.field(validator=string)


@attrs.frozen(kw_only=True)
class CancelMessage:
    """Abort the request in flight."""

    message_type: str = attrs.field(default="cancel_message", validator=fixed)


@attrs.frozen(kw_only=True)
class EndSessionMessage:
    """Drain the artifacts, confirm, close."""

    message_type: str = attrs.field(default="end_session_message", validator=fixed)


ClientMessage: TypeAlias = (
    InvocationMessage
    | CommandExecutionMessage
    | ArtifactUploadResponseMessageInterface
    | CancelMessage
    | EndSessionMessage
)

#: The classes by their `message_type`.
CLIENT_MESSAGES: dict[str, type[ClientMessage]] = {
    "invocation_message": InvocationMessage,
    "command_execution_message": CommandExecutionMessage,
    "artifact_upload_response_message": ArtifactUploadResponseMessageInterface,
    "cancel_message": CancelMessage,
    "end_session_message": EndSessionMessage,
}
RUNTIME_MESSAGES: dict[str, type[AgentRuntimeMessageInterface]] = {
    "result_message": ResultMessageInterface,
    "command_execution_result_message": CommandExecutionResultMessageInterface,
    "error_message": ErrorMessageInterface,
    "assistant_message": AssistantMessageInterface,
    "command_output_message": CommandOutputMessageInterface,
    "heartbeat_message": HeartbeatMessageInterface,
    "artifact_upload_request_message": ArtifactUploadRequestMessageInterface,
    "end_session_confirm_message": EndSessionConfirmMessage,
}


# ---------------------------------------------------------------------- objects and messages

M = TypeVar("M")


def parse_client_message(data: Mapping[str, Any]) -> ClientMessage:
    """What a client sent, as one of CLIENT_MESSAGES.

    Raises: RemoteProtocolError, whose text names the field, or the type that is unknown.
    """
    return _parse(CLIENT_MESSAGES, data)


def parse_runtime_message(data: Mapping[str, Any]) -> AgentRuntimeMessageInterface:
    """What a runtime sent, as one of RUNTIME_MESSAGES.

    Raises: RemoteProtocolError, whose text names the field, or the type that is unknown.
    """
    return _parse(RUNTIME_MESSAGES, data)


def _parse(classes: Mapping[str, type[M]], data: Mapping[str, Any]) -> M:
    kind = data.get("message_type")
    if not isinstance(kind, str):
        raise RemoteProtocolError("A message needs a message_type, which is a string")
    if kind not in classes:
        raise RemoteProtocolError(f"Unknown message_type {kind[:100]!r}")
    try:
        return read(classes[kind], data)
    except ValueError as error:
        raise RemoteProtocolError(f"{kind}: {str(error).removeprefix('.')}") from None


def render_for_runtime(message: ClientMessage) -> dict[str, Any]:
    """A client's message as a JSON object, every unset field as null: from these shapes runtimes
    tell the clients' versions."""
    found: dict[str, Any] = written(message, nulls=True)
    return found


def render_for_client(message: AgentRuntimeMessageInterface) -> dict[str, Any]:
    """A runtime's message as a JSON object, without the fields that are unset."""
    found: dict[str, Any] = written(message, nulls=False)
    return found


# ---------------------------------------------------------------------- objects and text


def parse_object(message: str | bytes) -> dict[str, Any]:
    """The JSON object that a WebSocket message holds.

    Raises: RemoteProtocolError, with the parser's text when it is not JSON.
    """
    try:
        data = decode(message)
    except ValueError as error:
        raise RemoteProtocolError(f"Not JSON: {error}") from None
    if not isinstance(data, dict):
        raise RemoteProtocolError(f"A message must be a JSON object, not {type(data).__name__}")
    return data


def decode(message: str | bytes) -> Any:
    """JSON as Python data. Raises: ValueError."""
    return orjson.loads(message)


def encode(data: Any) -> str:
    """Python data as JSON, without ASCII escapes.

    Text that UTF-8 cannot carry (lone surrogates, as in file names that are not UTF-8) has U+FFFD
    in its place; numbers of any size are kept.

    Raises: TypeError or ValueError if a value is not JSON.
    """
    try:
        return orjson.dumps(data).decode()
    except TypeError:
        # What orjson refuses and JSON knows: surrogates, and integers over 64 bits.
        loose = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return loose.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
