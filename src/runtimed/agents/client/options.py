"""What a caller may ask for with a prompt or with commands, checked where it is said."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import attrs

from runtimed.agents.client.websocket import MAX_MESSAGE_SIZE
from runtimed.agents.fields import Kind, list_of, nested, optional, string, text_map
from runtimed.agents.messages import (
    ArtifactUploadRequestMessageInterface,
    ArtifactUploadResult,
    AssistantMessageInterface,
    CommandExecutionMessage,
    CommandInterface,
    CommandOutputMessageInterface,
    InvocationMessage,
    RuntimeEnvironmentDownloadableInterface,
)

__all__ = [
    "ExecuteCommandsOptions",
    "OnArtifactUploadRequestCallback",
    "OnAssistantMessageCallback",
    "OnCommandOutputCallback",
    "Options",
    "QueryOptions",
]

#: Callbacks are awaited when they are async; plain functions do as well.
OnAssistantMessageCallback: TypeAlias = Callable[
    [AssistantMessageInterface], Awaitable[None] | None
]
OnCommandOutputCallback: TypeAlias = Callable[
    [CommandOutputMessageInterface], Awaitable[None] | None
]
OnArtifactUploadRequestCallback: TypeAlias = Callable[
    [ArtifactUploadRequestMessageInterface], Awaitable[ArtifactUploadResult] | ArtifactUploadResult
]


def _check_function(value: Any) -> None:
    if not callable(value):
        raise ValueError(f"must be a function, not {type(value).__name__}")


def _check_duration(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number of seconds, not {type(value).__name__}")
    if not value > 0:
        raise ValueError(f"must be a positive number of seconds, not {value}")


def _check_logger(value: Any) -> None:
    if not isinstance(value, (logging.Logger, logging.LoggerAdapter)):
        raise ValueError(f"must be a logging.Logger, not {type(value).__name__}")


_FUNCTION = Kind(_check_function)
_DURATION = Kind(_check_duration)
_COMMANDS = list_of(nested(CommandInterface))
_DOWNLOADABLES = list_of(nested(RuntimeEnvironmentDownloadableInterface))


@attrs.frozen
class Options:
    """What a prompt and commands have in common."""

    source_id: str | None = attrs.field(default=None, kw_only=True, validator=optional(string))
    secrets_to_redact: list[str] = attrs.field(
        factory=list, kw_only=True, validator=list_of(string)
    )
    artifacts_dirs: list[str] | None = attrs.field(
        default=None, kw_only=True, validator=optional(list_of(string))
    )
    artifacts_dir: str | None = attrs.field(default=None, kw_only=True, validator=optional(string))
    artifacts_ignore_content: str | None = attrs.field(
        default=None, kw_only=True, validator=optional(string)
    )
    on_assistant_message: OnAssistantMessageCallback | None = attrs.field(
        default=None, kw_only=True, validator=optional(_FUNCTION)
    )
    on_command_output: OnCommandOutputCallback | None = attrs.field(
        default=None, kw_only=True, validator=optional(_FUNCTION)
    )
    on_artifact_upload_request: OnArtifactUploadRequestCallback | None = attrs.field(
        default=None, kw_only=True, validator=optional(_FUNCTION)
    )
    timeout: float | None = attrs.field(default=None, kw_only=True, validator=optional(_DURATION))
    idle_timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=optional(_DURATION)
    )
    assistant_callback_timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=optional(_DURATION)
    )
    artifact_upload_callback_timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=optional(_DURATION)
    )
    logger: logging.Logger | None = attrs.field(
        default=None, kw_only=True, validator=optional(Kind(_check_logger))
    )

    def __attrs_post_init__(self) -> None:
        if bool(self.folders) != (self.on_artifact_upload_request is not None):
            name = "artifacts_dir" if self.artifacts_dir and not self.artifacts_dirs else None
            raise ValueError(
                f"{name or 'artifacts_dirs'} and on_artifact_upload_request "
                "must be specified together"
            )

    @property
    def folders(self) -> list[str]:
        """The artifact folders, whichever name they were given by."""
        old = [self.artifacts_dir] if self.artifacts_dir else []
        return list(dict.fromkeys([*(self.artifacts_dirs or []), *old]))

    def _common(self) -> dict[str, Any]:
        """The fields that both kinds of requests have.

        A single folder goes by both names: runtimes know the one or the other.
        """
        folders = self.folders
        return {
            "source_id": self.source_id,
            "secrets_to_redact": self.secrets_to_redact,
            "artifacts_dirs": folders or None,
            "artifacts_dir": folders[0] if len(folders) == 1 else None,
            "artifacts_ignore_content": self.artifacts_ignore_content,
            "client_max_message_bytes": MAX_MESSAGE_SIZE,
        }


@attrs.frozen
class QueryOptions(Options):
    """How a prompt is to be answered.

    Shape: callbacks take one message and may be async or plain; `on_artifact_upload_request` gives
    an ArtifactUploadResult. Units: seconds.
    Raises: ValueError for a wrong type, or folders without the upload callback and vice versa.
    """

    system_prompt: str = attrs.field(validator=string)
    model: str = attrs.field(validator=string)
    output_format_json_schema_str: str | None = attrs.field(
        default=None, kw_only=True, validator=optional(string)
    )
    agent_env: dict[str, str] | None = attrs.field(
        default=None, kw_only=True, validator=optional(text_map)
    )
    pre_agent_invocation_commands: list[CommandInterface] | None = attrs.field(
        default=None, kw_only=True, validator=optional(_COMMANDS)
    )
    post_agent_invocation_commands: list[CommandInterface] | None = attrs.field(
        default=None, kw_only=True, validator=optional(_COMMANDS)
    )
    pre_agent_downloadables: list[RuntimeEnvironmentDownloadableInterface] | None = attrs.field(
        default=None, kw_only=True, validator=optional(_DOWNLOADABLES)
    )

    def message(self, prompt: str) -> InvocationMessage:
        """The request that asks for it."""
        return InvocationMessage(
            system_prompt=self.system_prompt,
            user_prompt=prompt,
            model=self.model,
            agent_env=self.agent_env,
            output_format_json_schema_str=self.output_format_json_schema_str,
            pre_agent_downloadables=self.pre_agent_downloadables,
            pre_agent_invocation_commands=self.pre_agent_invocation_commands,
            post_agent_invocation_commands=self.post_agent_invocation_commands,
            **self._common(),
        )


@attrs.frozen
class ExecuteCommandsOptions(Options):
    """How commands are to be run. As for QueryOptions, without what concerns the agent."""

    pre_execution_downloadables: list[RuntimeEnvironmentDownloadableInterface] | None = attrs.field(
        default=None, kw_only=True, validator=optional(_DOWNLOADABLES)
    )

    def message(self, commands: Iterable[CommandInterface]) -> CommandExecutionMessage:
        """The request that asks for it."""
        return CommandExecutionMessage(
            commands=list(commands),
            pre_execution_downloadables=self.pre_execution_downloadables,
            **self._common(),
        )
