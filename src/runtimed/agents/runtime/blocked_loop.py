"""Finds what blocks the event loop, and names it in the log.

A handler that computes or waits without Trio stops everything: heartbeats, cancelling, the other
connections. A thread looks whether the loop still turns, and if not, where it stands.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import FrameType

import trio

__all__ = ["PATIENCE", "watch_loop"]

#: A longer block is logged. Seconds.
PATIENCE = 2.0


async def watch_loop(
    logger: logging.Logger,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Watch the loop that this runs in. Runs until cancelled.

    A block is logged once, with the line that blocks.
    """
    patience = PATIENCE
    turning = threading.Event()
    over = threading.Event()
    loop_thread = threading.get_ident()

    def look() -> None:
        told = False
        while not over.is_set():
            if turning.wait(patience):
                turning.clear()
                told = False
                over.wait(patience / 4)
            elif not told and not over.is_set():
                told = True
                frame = sys._current_frames().get(loop_thread)
                logger.warning(
                    "The event loop has been blocked for %g s: %s", patience, _where(frame)
                )

    thread = threading.Thread(target=look, name="runtimed-agents-loop-watch", daemon=True)
    thread.start()
    try:
        task_status.started()
        while True:
            turning.set()
            await trio.sleep(patience / 4)
    finally:
        over.set()
        turning.set()
        thread.join()


def _where(frame: FrameType | None) -> str:
    """The innermost lines, the innermost last, without what belongs to Trio."""
    if frame is None:
        return "somewhere"
    lines = [
        f"{each.filename}:{each.lineno} in {each.name}"
        for each in traceback.extract_stack(frame)
        if "/trio/" not in each.filename and "/outcome/" not in each.filename
    ]
    return " > ".join(lines[-4:])
