"""How commands ask the daemon: soon answered, or told which daemon hangs."""

from __future__ import annotations

from runtimed.client.daemon_client import DaemonClient

__all__ = ["ANSWER_LIMIT", "IS_IT_RUNNING", "WORK_LIMIT", "daemon_client"]

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
