"""RuntimeUseClient: prompts and commands for a runtime, each with a connection of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from runtimed.agents.client.call import Calls
from runtimed.agents.client.callers import anywhere, blocking
from runtimed.agents.client.one_shot import one_shot
from runtimed.agents.client.options import ExecuteCommandsOptions, QueryOptions
from runtimed.agents.client.request import as_commands, as_query
from runtimed.agents.client.session import RuntimeUseSession
from runtimed.agents.client.transports import PersistentTransport, Transport
from runtimed.agents.client.websocket import WebSocketTransport
from runtimed.agents.messages import CommandExecutionResult, CommandInterface, QueryResult

__all__ = ["RuntimeUseClient"]


class RuntimeUseClient:
    """Drives the agent runtime at a `ws:` or `wss:` URL, or behind a transport.

    `query` and `execute_commands` are for `await`, under Trio and asyncio alike; the ones that end
    in `_sync` block. Several calls may be under way at once.
    """

    def __init__(self, ws_url: str | None = None, transport: Transport | None = None) -> None:
        if transport is None:
            if not ws_url:
                raise ValueError("Either ws_url or transport must be provided")
            transport = WebSocketTransport(ws_url)
        self._transport = transport
        self._calls = Calls()

    async def query(self, prompt: str, options: QueryOptions) -> QueryResult:
        """Run the agent and return its answer, once all callbacks have been called.

        Cancelling closes the connection at once, and with it the runtime stops.
        Raises: AgentRuntimeError, CancelledException after `abort()`, TimeoutError after
        `options.timeout`, OSError without a connection, and what a callback raises.
        """
        request = as_query(prompt, options)
        with self._calls.one_more() as call:
            message = await anywhere(partial(one_shot, self._transport, request, call))
        return QueryResult(data=message.data, metadata=message.metadata)

    async def execute_commands(
        self, commands: Sequence[CommandInterface], options: ExecuteCommandsOptions | None = None
    ) -> CommandExecutionResult:
        """Run commands, up to the first that fails, and return how each ended.

        A command that fails is no error. Raises: as `query`.
        """
        request = as_commands(commands, options)
        with self._calls.one_more() as call:
            message = await anywhere(partial(one_shot, self._transport, request, call))
        return CommandExecutionResult(results=message.results)

    def query_sync(self, prompt: str, options: QueryOptions) -> QueryResult:
        """`query` for programs without an event loop. Plain callbacks run in this thread.

        Async ones run on Trio. Raises: as `query`; RuntimeError inside of such a callback.
        """
        request = as_query(prompt, options)
        with self._calls.one_more() as call:
            message = blocking(partial(one_shot, self._transport, request, call))
        return QueryResult(data=message.data, metadata=message.metadata)

    def execute_commands_sync(
        self, commands: Sequence[CommandInterface], options: ExecuteCommandsOptions | None = None
    ) -> CommandExecutionResult:
        """`execute_commands` for programs without an event loop; see `query_sync`."""
        request = as_commands(commands, options)
        with self._calls.one_more() as call:
            message = blocking(partial(one_shot, self._transport, request, call))
        return CommandExecutionResult(results=message.results)

    def abort(self) -> None:
        """Cancel the calls that are under way. From any task or thread.

        They raise CancelledException, once the runtime has ended the request or after ten seconds.
        Calls of this client's sessions are aborted by their sessions.
        """
        self._calls.abort()

    def session(self) -> RuntimeUseSession:
        """One connection for several calls: `async with client.session() as session`.

        Raises: TypeError if the transport can't hold a connection.
        """
        if not isinstance(self._transport, PersistentTransport):
            raise TypeError(f"{type(self._transport).__name__} cannot hold a connection")
        return RuntimeUseSession(self._transport)
