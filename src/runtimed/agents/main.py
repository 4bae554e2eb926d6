"""The runtime as a program: `runt agent serve` and `python -m runtimed.agents`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runtimed.agents.runtime.server import RuntimeUseServer

__all__ = ["serve"]

_GIB = 1 << 30


@click.command(
    short_help="Serve an agent over WebSockets.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--handler",
    metavar="PLACE",
    help="Your agent: file.py, file.py:name, package.module or package.module:name. Without a "
    "name it is `handler`, or the function `run`.",
)
@click.option(
    "--agent", metavar="NAME", help="An agent that comes with the runtime: echo, command."
)
@click.option(
    "--command",
    metavar="TEXT",
    help="The program that --agent command runs for each prompt, which it gets on its standard "
    "input, or where {prompt} stands.",
)
@click.option(
    "--command-output",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    show_default=True,
    help="What that program prints: text, or messages as lines of JSON.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    metavar="NUMBER",
    help="0 takes any that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Whoever can connect can run commands. In a sandbox that is reached from outside: 0.0.0.0",
)
@click.option(
    "--token",
    envvar="RUNTIMED_AGENT_TOKEN",
    metavar="TEXT",
    help="Who connects must know this: as ?token= in the URL, or as a bearer token. Better in the "
    "variable RUNTIMED_AGENT_TOKEN, where no list of processes shows it.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web page that may connect, such as https://example.com; * for all.",
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Serve wss:// with this certificate chain (PEM).",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="The certificate's key, if it is in a file of its own.",
)
@click.option(
    "--on-busy",
    type=click.Choice(["supersede", "refuse"]),
    default="supersede",
    show_default=True,
    help="What a request does that comes while one is in flight.",
)
@click.option(
    "--close-after-result",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Close after a request: for clients that wait for it, always or never.",
)
@click.option(
    "--on-schema-mismatch",
    type=click.Choice(["error", "warn"]),
    default="error",
    show_default=True,
    help="What an answer is that does not follow its schema.",
)
@click.option("--unpack-tars", is_flag=True, help="Unpack downloaded tar archives as zips are.")
@click.option(
    "--heartbeat-interval",
    type=click.FloatRange(0),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="0 turns heartbeats off.",
)
@click.option(
    "--flush-wait",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait for uploads before a result is sent.",
)
@click.option(
    "--post-invocation-delay",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest look-out for late files when a session ends.",
)
@click.option(
    "--artifact-wait",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait for upload answers when a session ends.",
)
@click.option(
    "--upload-timeout",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time without progress of an upload.",
)
@click.option(
    "--max-message-bytes",
    type=click.IntRange(1 << 20),
    default=100 << 20,
    show_default=True,
    metavar="BYTES",
    help="The largest request that is read.",
)
@click.option(
    "--max-download-bytes",
    type=click.IntRange(1),
    default=10 * _GIB,
    show_default=True,
    metavar="BYTES",
    help="The largest file that is downloaded.",
)
@click.option(
    "--max-unpacked-bytes",
    type=click.IntRange(1),
    default=10 * _GIB,
    show_default=True,
    metavar="BYTES",
    help="The most that an archive may unpack to.",
)
@click.option("--debug", is_flag=True, help="Log more; errors carry tracebacks to the client.")
def serve(
    handler: str | None,
    agent: str | None,
    command: str | None,
    command_output: Any,
    port: int,
    host: str,
    token: str | None,
    origins: tuple[str, ...],
    tls_cert: str | None,
    tls_key: str | None,
    debug: bool,
    **settings: Any,
) -> None:
    """Serve an agent over WebSockets, for clients such as runtimed.agents.RuntimeUseClient.

    Ends with SIGTERM or Ctrl-C: requests in flight are aborted, uploads drained; a second signal
    ends it at once.

    \b
    Examples:
      runt agent serve --agent echo
      runt agent serve --handler my_agent.py --port 0
      runt agent serve --handler my_agent.py:handler --host 0.0.0.0 --token sesame
      runt agent serve --agent command --command 'python3 agent.py --model {model}'
    """
    from runtimed.agents.runtime.loading import HandlerUnusable, load_agent, load_handler

    if (handler is None) == (agent is None):
        raise click.UsageError("Give either --handler or --agent.")
    if (command is not None) != (agent == "command"):
        raise click.UsageError("--command goes with --agent command, and with no other.")
    if tls_key and not tls_cert:
        raise click.UsageError("--tls-key needs --tls-cert.")
    try:
        if handler is not None:
            found = load_handler(handler)
        else:
            found = load_agent(agent or "", command=command, output=command_output)
    except HandlerUnusable as error:
        click.echo(str(error), err=True)
        sys.exit(1)

    from runtimed.agents.runtime.logs import LOGGER, log_to_streams
    from runtimed.agents.runtime.server import RuntimeUseServer
    from runtimed.agents.runtime.settings import RuntimeSettings

    log_to_streams(sys.stdout, sys.stderr, debug=debug)
    server = RuntimeUseServer(
        found,
        port,
        host,
        settings=RuntimeSettings(debug=debug, **settings),
        token=token,
        origins=origins,
        ssl_context=_tls(tls_cert, tls_key) if tls_cert else None,
    )
    if token is None and host not in ("127.0.0.1", "::1", "localhost"):
        LOGGER.warning("Whoever can reach %s can run commands here: there is no --token", host)
    try:
        _run(server)
    except OSError as error:
        click.echo(f"Cannot listen on {host}, port {port}: {error}", err=True)
        sys.exit(1)


def _tls(cert: str, key: str | None) -> Any:
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        click.echo(f"The certificate cannot be used: {error}", err=True)
        sys.exit(1)
    return context


def _run(server: RuntimeUseServer) -> None:
    """Serve until a signal has ended it."""
    import os
    import signal
    import threading

    import trio

    from runtimed.agents.runtime.command_ends import kill_all
    from runtimed.errors import leaves

    #: More than the server allows itself: a handler that clings to its life ends with us.
    last_resort = 30.0

    async def main() -> None:
        token = trio.lowlevel.current_trio_token()
        asked = False

        def on_signal(number: int, _frame: Any) -> None:
            # Not in the loop, which a handler may block.
            nonlocal asked
            if asked:
                kill_all()
                os._exit(128 + number)
            asked = True
            timer = threading.Timer(last_resort, os._exit, (1,))
            timer.daemon = True
            timer.start()
            token.run_sync_soon(server.ask_to_stop)

        before = {each: signal.signal(each, on_signal) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve)
                click.echo(f"Agent runtime listening on port {server.port}")
                sys.stdout.flush()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    try:
        trio.run(main)
    except BaseException as error:
        found = list(leaves(error))
        if len(found) == 1 and isinstance(found[0], OSError):
            raise found[0] from None
        raise
