"""How commands ask the daemon: soon answered, or told which daemon hangs."""

from __future__ import annotations

from runt_cli.failure import fail
from runtimed.client.daemon_client import DaemonClient
from runtimed.errors import DaemonSilent, RuntimedError

__all__ = ["ANSWER_LIMIT", "IS_IT_RUNNING", "WORK_LIMIT", "daemon_client", "refuse_silent_daemon"]

#: Seconds for an answer that takes no work.
ANSWER_LIMIT = 5.0

#: Seconds for an answer that takes some, such as the end of a notebook: its kernel is asked,
#: terminated and killed, its document written. Only a daemon that has just answered is given so
#: long.
WORK_LIMIT = 15.0

IS_IT_RUNNING = "Is the daemon running? Try 'runt daemon status'"


def daemon_client(limit: float | None = None) -> DaemonClient:
    """A client of this environment's daemon that waits so many seconds for each answer."""
    return DaemonClient(timeout=limit or ANSWER_LIMIT)


def refuse_silent_daemon() -> None:
    """For commands that start a daemon where there is none.

    Raises: Fail for one that hangs, naming it.
    """
    try:
        daemon_client().check()
    except DaemonSilent as error:
        raise fail("Daemon hangs", error) from error
    except RuntimedError:
        pass  # none runs, or what is wrong will be said by whoever needs it
