"""The file that lists running kernels, so that a daemon can end those its predecessor left behind.

A process is known by its id together with its start time and the machine's boot; a bare id may
belong to somebody else by now.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import orjson

from runtimed.processes import stat_fields

__all__ = ["KernelRecord", "KernelRegistry", "record_process", "still_running"]

log = logging.getLogger(__name__)


@attrs.frozen
class KernelRecord:
    """One kernel process, the leader of its own session. `started` and `boot` are opaque texts."""

    pid: int
    started: str
    boot: str


def record_process(pid: int) -> KernelRecord:
    return KernelRecord(pid=pid, started=_start_time(pid) or "", boot=_boot_id())


class KernelRegistry:
    """kernels.json: written anew at each change, through a temporary file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, KernelRecord] = {}

    def add(self, kernel_id: str, record: KernelRecord) -> None:
        self._records[kernel_id] = record
        self._write()

    def remove(self, kernel_id: str) -> None:
        if self._records.pop(kernel_id, None) is not None:
            self._write()

    def reap_orphans(self) -> int:
        """Kill what an earlier daemon's file lists and still runs; the number of kernels killed.

        Call it once, with the singleton lock held and before any kernel is launched.
        """
        killed = 0
        for kernel_id, record in _read(self._path).items():
            if _kill_session(record):
                killed += 1
                log.warning("orphaned kernel killed kernel=%s pid=%d", kernel_id, record.pid)
        self._records.clear()
        self._path.unlink(missing_ok=True)
        return killed

    def _write(self) -> None:
        if not self._records:
            self._path.unlink(missing_ok=True)
            return
        content = {
            "kernels": {
                kernel_id: {"pgid": record.pid, **attrs.asdict(record)}
                for kernel_id, record in self._records.items()
            }
        }
        temporary = self._path.with_suffix(".json.tmp")
        try:
            temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
            temporary.replace(self._path)
        except OSError as error:
            # Kernels watch their parent themselves; the registry is the second line.
            log.error("kernel registry not written path=%s error=%s", self._path, error)


def _read(path: Path) -> dict[str, KernelRecord]:
    try:
        kernels = orjson.loads(path.read_bytes())["kernels"]
        return {
            str(kernel_id): KernelRecord(
                pid=int(entry["pid"]), started=str(entry["started"]), boot=str(entry["boot"])
            )
            for kernel_id, entry in kernels.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("kernel registry unreadable path=%s error=%r", path, error)
        return {}


def still_running(path: Path) -> dict[str, list[int]]:
    """The kernels that a registry's file lists and of which something runs, with the processes."""
    found = {kernel_id: _what_runs(record) for kernel_id, record in _read(path).items()}
    return {kernel_id: pids for kernel_id, pids in found.items() if pids}


def _what_runs(record: KernelRecord) -> list[int]:
    """The recorded kernel if it runs, else what is left of its children."""
    if record.pid <= 1 or record.boot != _boot_id():
        return []
    started = _start_time(record.pid)
    if started is not None:  # or the id belongs to another process now
        return [record.pid] if started == record.started else []
    # The leader is gone. Its id stays reserved while its session has members: these are it.
    return _session_members(record.pid)


def _kill_session(record: KernelRecord) -> bool:
    """Kill a recorded kernel and its children; False if nothing of them runs any more."""
    pids = _what_runs(record)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid == record.pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
    return bool(pids)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    """When a process started, as opaque text; None if there is no such process.

    Source: proc(5), /proc/pid/stat, field 22, in clock ticks since boot; elsewhere ps(1), lstart.
    """
    if sys.platform == "linux":
        fields = stat_fields(pid)
        return None if fields is None or fields[0] == "Z" else fields[19]
    found = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None


def _session_members(session: int) -> list[int]:
    if sys.platform != "linux":
        return []
    members = []
    for entry in Path("/proc").iterdir():
        fields = stat_fields(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and fields[0] != "Z" and int(fields[3]) == session:
            members.append(int(entry.name))
    return members
