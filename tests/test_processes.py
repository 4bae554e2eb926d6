"""What processes use: read from the system's own table, and checked against psutil's reading."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runtimed.processes import Process, Usage, processes_from_ps, usage
from waiting import wait_until

pytestmark = pytest.mark.real

#: A parent that uses memory and processor time, and a child in the background.
PROGRAM = """
import subprocess, sys, time
held = bytearray(40_000_000)
while time.process_time() < 0.2: pass
child = subprocess.Popen(
    [sys.executable, "-c", "held = bytearray(30_000_000); print(flush=True); input()"],
    stdin=subprocess.PIPE,
)
input()
child.communicate(b"")
"""


def test_a_process_is_counted_with_all_it_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the child has its memory
        seen = usage({process.pid, 2**22 + 1})
        parent = psutil.Process(process.pid)
        (child,) = parent.children()
        resident = parent.memory_info().rss + child.memory_info().rss
        age = time.time() - parent.create_time()
        process.communicate(b"")
    assert list(seen) == [process.pid]
    (used,) = seen.values()
    assert used.processes == 2
    assert used.memory > 70_000_000
    assert used.memory == pytest.approx(resident, rel=0.2)
    assert used.processor_time >= 0.2
    assert 0 < used.age <= age + 1
    assert used.processor_share == used.processor_time / used.age


#: What ps(1) prints on macOS for these columns.
LISTED = """\
    1     0     1 31-04:05:06  12:34.56  12345 Ss
  501     1   501    02:03:04   0:01.50    100 S+
  502   501   501       01:00   1:00.25    200 R+
  503     1   501       00:10   0:00.00      4 S
  504   502   501       00:01   0:00.00      0 Z
  600     1   600       00:05   0:00.00     50 S
garbage
"""


def test_where_there_is_no_proc_ps_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "listed").write_text(LISTED)
    program = tmp_path / "ps"
    program.write_text(f"#!/bin/sh\n/bin/cat '{tmp_path}/listed'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "darwin")
    assert processes_from_ps()[0] == Process(1, 0, 1, 2693106.0, 754.56, 12345 * 1024)
    assert usage({501, 600, 7}) == {
        501: Usage(age=7384.0, processor_time=61.75, memory=304 * 1024, processes=3),
        600: Usage(age=5.0, processor_time=0.0, memory=50 * 1024, processes=1),
    }
    program.unlink()
    assert usage({501}) == {}


def test_a_process_that_has_gone_is_left_out() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    wait_until(lambda: usage({gone.pid}) == {})
    assert usage(set()) == {}
