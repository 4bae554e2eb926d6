"""One request: its steps in order, what it says meanwhile, and the terminal that it ends with."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from logging import Logger
from typing import Any

import attrs
import trio

from runtimed.agents.error_metadata import error_text, metadata_of, sole_error
from runtimed.agents.errors import AgentRuntimeError
from runtimed.agents.handler import Answer, Handler, Invocation, as_answer
from runtimed.agents.messages import (
    AgentRuntimeMessageInterface,
    AssistantMessageInterface,
    CommandExecutionMessage,
    CommandInterface,
    CommandOutputMessageInterface,
    ErrorMessageInterface,
    HeartbeatMessageInterface,
    InvocationMessage,
    ResultMessageInterface,
    RuntimeEnvironmentDownloadableInterface,
    StructuredOutputResult,
    encode,
    render_for_client,
)
from runtimed.agents.redaction import Redactor, StreamRedactor, redacted
from runtimed.agents.runtime.artifacts import Artifacts
from runtimed.agents.runtime.commands import run_shell
from runtimed.agents.runtime.logs import RequestLogger
from runtimed.agents.runtime.outbox import Outbox
from runtimed.agents.runtime.settings import RuntimeSettings
from runtimed.agents.runtime.uploads import Uploads
from runtimed.agents.schema import SchemaUnusable, mismatch, parse_schema
from runtimed.agents.sizes import (
    CommandEnd,
    Tail,
    assistant_messages,
    client_limit,
    execution_result,
    fitting_terminal,
    output_messages,
)
from runtimed.errors import RuntimedError

__all__ = ["CANCELLED", "Desk", "Request"]

CANCELLED = "Request cancelled"


@attrs.frozen
class Desk:
    """What the requests of one connection work with."""

    handler: Handler
    settings: RuntimeSettings
    logger: Logger
    outbox: Outbox
    artifacts: Artifacts
    uploads: Uploads


class Request:
    """One request of a client. Nothing of it is sent once it is closed.

    Shape: `message` is what was asked, or the text of what was wrong with it.
    """

    def __init__(
        self,
        message: InvocationMessage | CommandExecutionMessage | str,
        desk: Desk,
        *,
        legacy: bool = False,
    ) -> None:
        self._message = message
        self._desk = desk
        self.legacy = legacy
        secrets = [] if isinstance(message, str) else message.secrets_to_redact
        hint = None if isinstance(message, str) else message.client_max_message_bytes
        source = None if isinstance(message, str) else message.source_id
        self._redactor = Redactor(secrets)
        self._limit = client_limit(hint)
        self.logger = RequestLogger(desk.logger, source or str(uuid.uuid4()), self._redactor)
        self._scope = trio.CancelScope()
        self._closed = False
        self._sent_error: ErrorMessageInterface | None = None
        self._terminal: str | None = None
        self._cancel_metadata: dict[str, Any] = {}
        #: Set when it is to end early, just before what runs is cancelled.
        self.cancelled = trio.Event()
        #: Set when nothing of it runs any more.
        self.done = trio.Event()
        self._decided = trio.Event()  # set with either of the two
        #: Nobody waits for its terminal: the client has asked something else, or is gone.
        self.unwanted = False

    # ------------------------------------------------------------------ from outside

    def cancel(self, metadata: dict[str, Any] | None = None, *, unwanted: bool = False) -> None:
        """End it early."""
        self._cancel_metadata = self._cancel_metadata or metadata or {}
        self.unwanted = self.unwanted or unwanted
        self.cancelled.set()
        self._decided.set()
        self._scope.cancel()

    async def wait_decided(self) -> None:
        """Wait until it is over or is to end early; signs of life are sent meanwhile."""
        interval = self._desk.settings.heartbeat_interval or math.inf
        began = trio.current_time()
        while not self._decided.is_set():
            with trio.move_on_after(interval):
                await self._decided.wait()
                return
            elapsed = int((trio.current_time() - began) * 1000)
            beat = HeartbeatMessageInterface(phase="request_in_flight", elapsed_ms=elapsed)
            self._desk.outbox.put_always(encode(render_for_client(beat)))

    def close(self) -> str | None:
        """End it for its client: from now on it says nothing. Its terminal, as it is sent."""
        self._closed = True
        if self.unwanted:
            return None
        if self.cancelled.is_set() or self._terminal is None:
            cancelled = ErrorMessageInterface(error=CANCELLED, metadata=self._cancel_metadata)
            return encode(render_for_client(cancelled))
        return self._terminal

    # ------------------------------------------------------------------ its work

    async def run(self) -> None:
        """Do what was asked. Returns when that is done, has failed or was cancelled."""
        try:
            with self._scope:
                outcome = await self._ended()
                try:
                    self._terminal = self._written(outcome)
                except (TypeError, ValueError, RecursionError) as error:
                    why = f"The result cannot be written as JSON: {error}"
                    self.logger.error("Request failed: %s", why)
                    self._terminal = self._written(ErrorMessageInterface(error=why, metadata={}))
        finally:
            self.done.set()
            self._decided.set()

    async def _ended(self) -> AgentRuntimeMessageInterface:
        """Its terminal, once its artifacts are where they should be."""
        try:
            outcome = await self._steps()
        except Exception as error:
            # What we raise says all in its text; what others raise needs its traceback.
            foreign = None if isinstance(sole_error(error), RuntimedError) else error
            self.logger.error("Request failed: %s", error_text(error), exc_info=foreign)
            outcome = self._failed(error)
        if self._desk.artifacts.watching:
            with trio.move_on_after(self._desk.settings.flush_wait) as scope:
                await self._desk.artifacts.flush()
            left = scope.deadline - trio.current_time()
            await self._desk.uploads.wait_done(max(0.0, left))
        return outcome

    def _failed(self, error: BaseException) -> AgentRuntimeMessageInterface:
        if self._sent_error is not None:
            return self._sent_error
        metadata = metadata_of(error, debug=self._desk.settings.debug)
        return ErrorMessageInterface(error=error_text(error), metadata=metadata)

    def _written(self, outcome: AgentRuntimeMessageInterface) -> str:
        """A terminal as its client may read it. Raises: TypeError and others if it is no JSON."""
        return fitting_terminal(redacted(outcome, self._redactor), self._limit)

    async def _steps(self) -> AgentRuntimeMessageInterface:
        message = self._message
        if isinstance(message, str):
            raise AgentRuntimeError(message)
        output_format = None
        if isinstance(message, InvocationMessage):
            output_format = parse_schema(message.output_format_json_schema_str)
        folders = [*(message.artifacts_dirs or ()), message.artifacts_dir or ""]
        for folder in dict.fromkeys(filter(None, folders)):
            await self._desk.artifacts.add(folder, message.artifacts_ignore_content)
        if isinstance(message, CommandExecutionMessage):
            await self._fetch(message.pre_execution_downloadables)
            return await self._execute(message.commands)
        await self._fetch(message.pre_agent_downloadables)
        await self._run_all(message.pre_agent_invocation_commands, "pre-agent")
        answer = await self._ask(message, output_format)
        await self._run_all(message.post_agent_invocation_commands, "post-agent")
        return answer

    async def _fetch(
        self, wanted: Sequence[RuntimeEnvironmentDownloadableInterface] | None
    ) -> None:
        if not wanted:
            return
        from runtimed.agents.runtime.downloads import download  # HTTP, for those who need it

        for each in wanted:
            self.logger.info("Downloading into %s", each.working_dir)
            await download(each, self._desk.settings)

    # ------------------------------------------------------------------ commands

    async def _run_all(self, commands: Sequence[CommandInterface] | None, when: str) -> None:
        for each in commands or ():
            end = await self._run(each)
            if end.exit_code:
                raise AgentRuntimeError(
                    f"{when} command failed with exit code: {end.exit_code}",
                    {"command": each.command, "exit_code": end.exit_code},
                )

    async def _execute(self, commands: Sequence[CommandInterface]) -> AgentRuntimeMessageInterface:
        ends: list[CommandEnd] = []
        for each in commands:
            ends.append(await self._run(each))
            if ends[-1].exit_code:
                break
        return execution_result(ends, self._limit)

    async def _run(self, command: CommandInterface) -> CommandEnd:
        """Run a command; what it prints is sent as it comes."""
        shown = self._redactor.text(command.command)
        tail = Tail(self._limit)
        streams = {name: StreamRedactor(self._redactor) for name in ("stdout", "stderr")}

        async def say(name: str, text: str) -> None:
            if not text:
                return
            if name == "stdout":
                tail.add(text)
            for each in output_messages(name, text, shown, self._limit, legacy=self.legacy):
                await self._send(each)

        async def on_output(name: str, text: str) -> None:
            await say(name, streams[name].feed(text))

        self.logger.info("Running: %s", command.command)
        code = await run_shell(command.command, on_output, cwd=command.cwd, env=command.env)
        for name, stream in streams.items():
            await say(name, stream.end())
        self.logger.info("Ended with exit code %d: %s", code, command.command)
        return CommandEnd(shown, code, tail)

    # ------------------------------------------------------------------ the agent

    async def _ask(
        self, message: InvocationMessage, output_format: dict[str, Any] | None
    ) -> AgentRuntimeMessageInterface:
        invocation = Invocation(
            system_prompt=message.system_prompt,
            user_prompt=message.user_prompt,
            model=message.model,
            output_format=output_format,
            env=message.agent_env,
            secrets=message.secrets_to_redact,
            cancelled=self.cancelled,
            logger=self.logger,
        )
        returned = await self._desk.handler.run(invocation, self)
        if self._sent_error is not None:
            raise AgentRuntimeError(self._sent_error.error)
        answer = as_answer(returned)
        if output_format is not None:
            await self._check(answer, output_format)
        return ResultMessageInterface(data=answer.data, metadata=answer.metadata)

    async def _check(self, answer: Answer, output_format: dict[str, Any]) -> None:
        """Hold an answer against the schema that the client gave."""
        if not isinstance(answer.data, StructuredOutputResult):
            self.logger.warning("A schema was given, and the handler has answered with text")
            return
        check = partial(mismatch, answer.data.structured_output, output_format)
        try:
            wrong = await trio.to_thread.run_sync(check, abandon_on_cancel=True)
        except SchemaUnusable as error:
            self.logger.warning("The answer was not checked, the schema is unusable: %s", error)
            return
        if wrong is None:
            return
        text = f"Structured output does not follow its schema: {wrong}"
        if self._desk.settings.on_schema_mismatch == "error":
            raise AgentRuntimeError(text, {"structured_output": answer.data.structured_output})
        self.logger.warning("%s", text)

    # ------------------------------------------------------------------ what is said meanwhile

    def send_assistant_message(self, text_blocks: Sequence[str]) -> None:
        for each in self._assistant(text_blocks):
            if not self._closed:
                self._desk.outbox.put_nowait(encode(render_for_client(each)))

    async def wait_assistant_message(self, text_blocks: Sequence[str]) -> None:
        for each in self._assistant(text_blocks):
            await self._send(each)

    def send_error_message(self, error: str, metadata: Mapping[str, Any] | None = None) -> None:
        if self._sent_error is None:
            self._sent_error = ErrorMessageInterface(error=error, metadata=dict(metadata or {}))

    def _assistant(self, blocks: Sequence[str]) -> Sequence[AssistantMessageInterface]:
        if isinstance(blocks, str):
            blocks = [blocks]  # a common slip, which would else be a message of single letters
        message = AssistantMessageInterface(text_blocks=list(blocks))  # refuses what is no text
        clean = redacted(message, self._redactor)  # before it is split, so that no border matters
        return list(assistant_messages(clean.text_blocks, self._limit))

    async def _send(
        self, message: AssistantMessageInterface | CommandOutputMessageInterface
    ) -> None:
        if not self._closed:
            await self._desk.outbox.put(encode(render_for_client(message)))
