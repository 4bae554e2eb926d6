"""Finds what a test run left running: processes that carry a marker in their environment.

Everything a daemon starts inherits its environment, so one variable marks it all. Also a command:
`python tests/processes.py NAME=VALUE` lists them and fails when there are any.
"""

from __future__ import annotations

import os
import sys
import time

import psutil

__all__ = ["carrying", "wait_none_carrying"]


def carrying(name: str, value: str) -> list[psutil.Process]:
    """The processes with this variable in their environment, less this one and its ancestors."""
    ours = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        try:
            # A zombie has no environment: it has ended, and only waits for its parent.
            if process.environ().get(name) == value:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_none_carrying(name: str, value: str, limit: float) -> list[str]:
    """Wait until no such process is left; what is still there after the limit, as text.

    Units: limit in seconds.
    """
    deadline = time.monotonic() + limit
    while left := carrying(name, value):
        if time.monotonic() > deadline:
            return [_describe(process) for process in left]
        time.sleep(0.05)
    return []


def _describe(process: psutil.Process) -> str:
    try:
        return f"pid {process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"pid {process.pid}"


if __name__ == "__main__":
    name, _, value = sys.argv[1].partition("=")
    left_behind = wait_none_carrying(name, value, limit=10)
    for line in left_behind:
        print(f"left behind: {line}", file=sys.stderr)
    sys.exit(1 if left_behind else 0)
