"""How a command ends that is not to go on, with all that it has started.

A command leads a session and a process group of its own, and carries a mark in its environment, by
which what has left both is found: a child that made itself a daemon.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path

import trio

from runtimed.processes import processes_from_proc

__all__ = ["MARK", "CommandMark", "kill_all"]

MARK = "RUNTIMED_AGENT_COMMAND"
#: Between asking to end and killing. Seconds.
_TERM_GRACE = 2.0
#: Killing is repeated for what was started meanwhile, but not for ever.
_ROUNDS = 5

#: What this process runs, for an end that has no time for anything else.
_running: set[int] = set()


class CommandMark:
    """What is known of one command's processes."""

    def __init__(self, mark: str) -> None:
        self.environment = {MARK: mark}
        self._entry = f"{MARK}={mark}\0".encode()
        self._process: trio.Process | None = None

    @classmethod
    def new(cls) -> CommandMark:
        return cls(secrets.token_hex(8))

    def started(self, process: trio.Process) -> None:
        self._process = process
        _running.add(process.pid)

    def ended(self) -> None:
        """It needs no ending any more; what it left in the background lives on."""
        if self._process is not None:
            _running.discard(self._process.pid)

    async def stop(self) -> None:
        """Ask all of its processes to end, and kill those that have not after two seconds.

        Shielded by its caller. Returns when none of them is left, or all have been killed.
        """
        process = self._process
        assert process is not None
        _signal_group(process.pid, signal.SIGTERM)
        for pid in await self._find(process.pid):
            if pid != process.pid:
                _signal(pid, signal.SIGTERM)
        with trio.move_on_after(_TERM_GRACE):
            await process.wait()
            while await self._find(process.pid):  # noqa: ASYNC110 - nobody tells us of their end
                await trio.sleep(0.05)
        for _ in range(_ROUNDS):
            _signal_group(process.pid, signal.SIGKILL)
            left = await self._find(process.pid)
            if not left:
                break
            for pid in left:
                _signal(pid, signal.SIGKILL)
            await trio.sleep(0.01)
        await process.wait()

    async def _find(self, session: int) -> list[int]:
        return await trio.to_thread.run_sync(self._left, session)  # a look at every process

    def _left(self, session: int) -> list[int]:
        """Its processes that still run. (Zombies don't; in a container they may have nobody who
        reaps them. They are in the group still, which is why the group is not asked.)"""
        if sys.platform != "linux":
            return [session] if _signal_group(session, 0) else []
        return [
            each.pid
            for each in processes_from_proc()
            if each.session == session or self._is_on(each.pid)
        ]

    def _is_on(self, pid: int) -> bool:
        try:
            return self._entry in Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
        except OSError:  # gone, or somebody else's
            return False


def kill_all() -> None:
    """Kill every command at once: this process is about to end."""
    for group in list(_running):
        _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Whether there was such a group to be signalled; 0 only asks."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS, for a group of zombies; anywhere, for what runs as others
        return number != 0
    return True


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
