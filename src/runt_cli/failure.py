"""How a command fails: one line on stderr, and an exit code that says of which kind."""

from __future__ import annotations

import sys
from typing import IO

import click

__all__ = ["DAEMON_NOT_RUNNING", "FAILED", "INTERRUPTED", "Fail", "fail"]

FAILED = 1
#: A command needs a daemon and none runs. (2 is click's, for a wrong use of the command line.)
DAEMON_NOT_RUNNING = 3
#: Ended by Ctrl-C, as shells count it: 128 + SIGINT.
INTERRUPTED = 130


class Fail(click.ClickException):
    """Ends a command: one line on stderr, and an exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way to set it

    def show(self, file: IO[str] | None = None) -> None:
        from runt_cli.table import printable

        click.echo(printable(self.message), file=file or sys.stderr)


def fail(action: str, error: Exception, hint: str = "") -> Fail:
    """The Fail for an action that an error ended; exit code 3 when that is that no daemon runs.

    Shape: `<action>: <error>`, then the hint as a sentence of its own. Of an action with a hint it
    is enough to know that no daemon is there. A daemon that hangs is named, and so is what ends it.
    """
    from runtimed.client.connect import is_nobody_there
    from runtimed.errors import DaemonSilent, DaemonUnreachable, RequestFailed

    if isinstance(error, DaemonSilent):
        who = f"pid {error.pid}, socket {error.socket}" if error.pid else f"socket {error.socket}"
        kill = f", or kill -9 {error.pid}" if error.pid else ""
        return Fail(
            f"{action}: the daemon ({who}) has not answered for {error.seconds:g} seconds. "
            f"It hangs or is overloaded: see 'runt logs', try 'runt daemon restart'{kill}"
        )
    code = DAEMON_NOT_RUNNING if isinstance(error, DaemonUnreachable) else FAILED
    nobody = isinstance(error.__cause__, OSError) and is_nobody_there(error.__cause__)
    if hint and nobody and code == DAEMON_NOT_RUNNING:
        return Fail("Daemon not running. 'runt daemon start' starts it", code)
    if hint and not isinstance(error, RequestFailed):  # a daemon that answers does run
        return Fail(f"{action}: {str(error).rstrip('.')}. {hint}", code)
    return Fail(f"{action}: {error}", code)
