"""What processes use of the machine: age, processor time and memory, of each with all it started.

One look at the table of processes, and no waiting: what is told is what has been used so far.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import attrs

__all__ = ["Usage", "processes_from_proc", "processes_from_ps", "stat_fields", "usage"]


@attrs.frozen
class Usage:
    """What a process and its descendants use.

    Units: `age`, of the process itself, and `processor_time` in seconds, with that of children
        which have ended; `memory` in bytes that are resident; pages that several of the processes
        share are counted for each. `processes` is how many they are.
    """

    age: float
    processor_time: float
    memory: int
    processes: int

    @property
    def processor_share(self) -> float:
        """Processors kept busy on average since the process began, as ps(1) has its `%CPU`."""
        return self.processor_time / self.age if self.age > 0 else 0.0


@attrs.frozen
class Process:
    """One line of the table. `session` is its session or, where that is not known, its group."""

    pid: int
    parent: int
    session: int
    age: float
    processor_time: float
    memory: int


def usage(pids: Collection[int]) -> dict[int, Usage]:
    """What these processes use, each with its descendants and whoever else is in its session.

    Those that are gone are left out. Kernels lead sessions of their own, in which what they left
    running stays.
    """
    if not pids:
        return {}
    return _summed(pids, processes_from_proc() if sys.platform == "linux" else processes_from_ps())


def _summed(pids: Collection[int], table: Iterable[Process]) -> dict[int, Usage]:
    by_pid: dict[int, Process] = {}
    offspring: Mapping[int, set[int]] = defaultdict(set)
    for process in table:
        by_pid[process.pid] = process
        offspring[process.parent].add(process.pid)
        if process.session != process.pid:
            offspring[process.session].add(process.pid)
    found = {}
    for pid in pids:
        if pid not in by_pid:
            continue
        members = {pid}
        waiting = [pid]
        while waiting:
            new = offspring.get(waiting.pop(), set()) - members
            members |= new
            waiting += new
        found[pid] = Usage(
            age=by_pid[pid].age,
            processor_time=sum(by_pid[each].processor_time for each in members if each in by_pid),
            memory=sum(by_pid[each].memory for each in members if each in by_pid),
            processes=len(members),
        )
    return found


# ---------------------------------------------------------------------- Linux


def stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/pid/stat from the third (state) on; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # hundreds are read
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    # The second is the program's name, which may hold blanks and brackets.
    return text[text.rindex(")") + 2 :].split()


def processes_from_proc() -> list[Process]:
    """The processes that run. Source: proc(5), /proc/pid/stat, fields 3, 4, 6, 14 to 17, 22, 24."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        fields = stat_fields(int(name)) if name.isdigit() else None
        if fields is None or fields[0] in "ZX":
            continue
        found.append(
            Process(
                pid=int(name),
                parent=int(fields[1]),
                session=int(fields[3]),
                age=max(0.0, now - int(fields[19]) / ticks),
                processor_time=sum(map(int, fields[11:15])) / ticks,
                memory=int(fields[21]) * page,
            )
        )
    return found


# ---------------------------------------------------------------------- elsewhere

_COLUMNS = "pid=,ppid=,pgid=,etime=,time=,rss=,state="
_DURATION = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)\Z")


def processes_from_ps() -> list[Process]:
    """The processes that run, as ps(1) lists them; empty where there is no such program."""
    try:
        listed = subprocess.run(
            ["ps", "-A", "-o", _COLUMNS],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except OSError:
        return []
    found = []
    for line in listed.splitlines():
        fields = line.split()
        if len(fields) != 7 or fields[6].startswith("Z"):
            continue
        pid, parent, group = map(int, fields[:3])
        age, used = _seconds(fields[3]), _seconds(fields[4])
        if age is not None and used is not None:
            found.append(Process(pid, parent, group, age, used, int(fields[5]) * 1024))
    return found


def _seconds(text: str) -> float | None:
    """A duration as ps writes it: `[[days-]hours:]minutes:seconds`, the last with a fraction on
    macOS."""
    match = _DURATION.match(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
