"""Cells that do what a cell should not, one after another on one kernel of the shared daemon."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from daemon_home import DaemonHome
from runtimed import Session
from runtimed.client.results import ExecutionResult
from waiting import wait_until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def session(daemon_home: DaemonHome) -> Iterator[Session]:
    """One session for all; a test whose cell ends the kernel costs the next one a warm start."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    try:
        with Session() as session:
            yield session
    finally:
        patch.undo()


@pytest.fixture(autouse=True)
def daemon_is_well(daemon_home: DaemonHome) -> Iterator[None]:
    """After each test the daemon is the same process and has met nothing it did not expect."""
    before = len(daemon_home.log)
    yield
    assert daemon_home.process is not None
    assert daemon_home.process.poll() is None
    assert "Traceback" not in daemon_home.log[before:]


def in_background(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def texts(result: ExecutionResult) -> list[tuple[str | None, str | None]]:
    return [(o.name, o.text) for o in result.outputs if o.output_type == "stream"]


def shown(session: Session, cell: str) -> str:
    """The text that a cell has printed so far."""
    return "".join(output.text or "" for output in session.get_cell(cell).outputs)


def is_well(session: Session) -> bool:
    return session.run("print('well')").stdout == "well\n"


def kernel_pid(session: Session) -> int:
    return int(session.run("import os; print(os.getpid())").stdout)


def test_a_cell_that_prints_for_ever_is_interrupted_and_its_output_is_kept(
    session: Session,
) -> None:
    session.start_kernel()
    found: list[ExecutionResult] = []
    code = "n = 0\nwhile True:\n    print(n); n += 1"
    cell = session.create_cell(code)
    runner = in_background(lambda: found.append(session.execute_cell(cell)))
    wait_until(lambda: "100\n" in shown(session, cell))
    session.interrupt()
    runner.join(60)
    [result] = found
    assert result.error is not None
    assert result.error.ename == "KeyboardInterrupt"
    lines = result.stdout.split("\n")
    assert len(lines) > 100
    assert lines[:-1] == [str(number) for number in range(len(lines) - 1)]
    assert is_well(session)


def test_an_interrupt_right_after_the_start_is_not_lost(session: Session) -> None:
    session.start_kernel()
    for _ in range(4):
        cell_id = session.create_cell("import time\ntime.sleep(60)")
        events = session.stream_execute(cell_id)
        assert next(events).event_type == "execution_started"
        session.interrupt()
        outputs = [event.output for event in events if event.output]
        assert [output.ename for output in outputs] == ["KeyboardInterrupt"]


def test_interrupting_drops_the_cells_that_wait(session: Session) -> None:
    session.start_kernel()
    busy = session.create_cell("import time\ntime.sleep(60)")
    waiting = session.create_cell("print('never')")
    session.queue_cell(busy)
    found: list[ExecutionResult] = []
    runner = in_background(lambda: found.append(session.execute_cell(waiting)))
    wait_until(lambda: session.get_queue_state().queued == [waiting])
    session.interrupt()
    runner.join(60)
    assert found[0].error is not None
    assert found[0].error.ename == "ExecutionCancelled"
    assert is_well(session)


def test_a_cell_that_forks_prints_once_and_its_child_does_no_harm(session: Session) -> None:
    result = session.run(
        "import os\n"
        "print('before')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(7)\n"
        "print('after', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert result.stdout == "before\nafter 7\n"
    assert is_well(session)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; print('last words', flush=True); os._exit(3)", "exited with code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    ],
)
def test_a_cell_that_ends_its_own_process_is_told_and_the_next_gets_a_new_kernel(
    session: Session, code: str, reason: str
) -> None:
    before = kernel_pid(session)
    result = session.run(code)
    assert not result.success
    assert result.error is not None
    assert result.error.ename == "KernelError"
    assert reason in (result.error.evalue or "")
    assert not session.kernel_started
    assert kernel_pid(session) != before
    assert not psutil.pid_exists(before)


@pytest.mark.parametrize(
    "code", ["import os; os.close(1); os.close(2)", "import os; os.close(1)"], ids=["both", "one"]
)
def test_a_cell_that_closes_the_descriptors_of_its_output_can_still_print(
    session: Session, code: str
) -> None:
    session.run(code)
    assert is_well(session)
    session.shutdown_kernel()


def test_a_cell_that_closes_sys_stdout_harms_its_own_printing_alone(session: Session) -> None:
    session.run("import sys; sys.stdout.close()")
    assert session.run("1 + 1").display_data
    session.shutdown_kernel()
    assert is_well(session)


def test_a_cell_out_of_memory_is_an_error_and_the_kernel_lives(session: Session) -> None:
    result = session.run(
        "import resource\n"
        "with open('/proc/self/statm') as file:\n"
        "    now = int(file.read().split()[0]) * resource.getpagesize()\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_AS)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 2**26, hard))\n"
        "try:\n"
        "    data = bytearray(2**30)\n"
        "finally:\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))"
    )
    assert result.error is not None
    assert result.error.ename == "MemoryError"
    assert is_well(session)


def test_a_child_that_outlives_its_kernel_is_ended_with_it(session: Session) -> None:
    result = session.run("import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)")
    child = int(result.stdout)
    assert psutil.pid_exists(child)
    session.shutdown_kernel()
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_a_cell_that_asks_for_input_gets_an_error_instead_of_hanging(session: Session) -> None:
    result = session.run("input('name? ')")
    assert result.error is not None
    assert "input" in (result.error.evalue or "")


def test_a_thread_that_prints_after_its_cell_has_ended_is_still_heard(
    session: Session, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    cell = session.create_cell(
        "import threading, time, pathlib\n"
        "def late():\n"
        f"    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n"
        "    print('late')\n"
        "threading.Thread(target=late).start()\n"
        "print('early')"
    )
    assert session.execute_cell(cell).stdout == "early\n"
    go.touch()
    wait_until(lambda: "late" in shown(session, cell))
    assert shown(session, cell) == "early\nlate\n"


def test_interleaved_streams_come_each_exactly_once_and_in_order(session: Session) -> None:
    result = session.run(
        "import sys, time\n"
        "for n in range(30):\n"
        "    print('out', n, flush=True)\n"
        "    print('err', n, file=sys.stderr, flush=True)\n"
        "    if n % 10 == 0: time.sleep(0.15)"
    )
    assert texts(result) == [
        (name, f"{word} {number}\n")
        for number in range(30)
        for name, word in (("stdout", "out"), ("stderr", "err"))
    ]


def test_a_thousand_displays_all_come_in_order(session: Session) -> None:
    result = session.run("for n in range(1000): display(n)")
    shown = [(o.data or {})["text/plain"] for o in result.outputs]
    assert shown == [str(number) for number in range(1000)]


def test_a_hundred_thousand_prints_keep_every_byte(session: Session) -> None:
    result = session.run("for n in range(100_000): print(n)")
    assert result.stdout == "".join(f"{number}\n" for number in range(100_000))


def test_clear_output_removes_at_once_or_with_the_next_output(session: Session) -> None:
    code = (
        "from IPython.display import clear_output\n"
        "print('first', flush=True)\n"
        "clear_output(wait={wait})\n"
        "{after}"
    )
    for wait, after, expected in [
        (False, "", []),
        (True, "", [("stdout", "first\n")]),
        (False, "print('second')", [("stdout", "second\n")]),
        (True, "print('second')", [("stdout", "second\n")]),
    ]:
        result = session.run(code.format(wait=wait, after=after))
        assert texts(result) == expected, (wait, after)


def test_a_display_is_updated_in_every_cell_that_shows_it(session: Session) -> None:
    first = session.create_cell("handle = display('old', display_id='d1')")
    second = session.create_cell("display('old', display_id='d1'); print('between')")
    session.execute_cell(first)
    session.execute_cell(second)
    session.run("handle.update('new')")
    for cell in (first, second):
        assert session.get_cell(cell).outputs[0].data == {"text/plain": "'new'"}


def test_a_display_of_fifty_megabytes_arrives_whole(session: Session) -> None:
    result = session.run("display({'text/plain': 'x' * 50_000_000 + 'end'}, raw=True)")
    [output] = result.outputs
    assert output.data is not None
    assert len(output.data["text/plain"]) == 50_000_003
    assert output.data["text/plain"].endswith("xend")


def test_a_progress_bar_shows_its_last_state_alone(session: Session) -> None:
    result = session.run(
        "import sys, time\n"
        "for n in range(101):\n"
        "    sys.stdout.write(f'\\r{n:3d}% ' + '#' * (n // 10)); sys.stdout.flush()\n"
        "    if n % 25 == 0: time.sleep(0.12)\n"
        "print()"
    )
    assert result.stdout == "100% ##########\n"


def test_a_cell_that_is_deleted_while_it_runs_lets_the_next_one_run(session: Session) -> None:
    cell = session.create_cell("import time\nfor n in range(10): print(n); time.sleep(0.05)")
    session.queue_cell(cell)
    wait_until(lambda: shown(session, cell))
    session.delete_cell(cell)
    assert is_well(session)
    assert cell not in [other.id for other in session.get_cells()]


def test_killing_a_busy_kernel_ends_the_waiting_call(session: Session) -> None:
    pid = kernel_pid(session)
    found: list[ExecutionResult] = []
    cell = session.create_cell("print('busy', flush=True)\nwhile True: pass")
    runner = in_background(lambda: found.append(session.execute_cell(cell, 600)))
    wait_until(lambda: shown(session, cell))
    os.kill(pid, signal.SIGKILL)
    runner.join(60)
    [result] = found
    assert result.error is not None
    assert "SIGKILL" in (result.error.evalue or "")
    session.start_kernel()
    assert is_well(session)
