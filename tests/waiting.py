"""Waiting for what is told to nobody: another program's view, a file, a process.

One bound for all. It only says when to give up: a machine that is busy with something else may
take long for what usually takes a moment, and a test is not there to measure it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import trio

__all__ = ["LIMIT", "wait_until", "wait_until_async"]

#: Seconds after which something will not come about any more.
LIMIT = 30.0

T = TypeVar("T")


def wait_until(condition: Callable[[], T]) -> T:
    """What the condition gives once it is true."""
    give_up = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.01)
    return found


async def wait_until_async(condition: Callable[[], T]) -> T:
    """The same on Trio with a real clock: other tasks run meanwhile."""
    with trio.fail_after(LIMIT):
        while not (found := condition()):  # noqa: ASYNC110 - what is waited for has no event
            await trio.sleep(0.01)
    return found
