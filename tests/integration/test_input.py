"""`input()` and `getpass()` in real kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from daemon_home import DaemonHome
from runtimed import InputRequest, Session

pytestmark = pytest.mark.real

ASK = "print('before'); name = input('name? '); print('hello', name)"


def test_input_is_asked_and_answered(session_factory: Callable[..., Session]) -> None:
    one = session_factory()
    two = session_factory(notebook_id=one.notebook_id)
    asked: list[InputRequest] = []

    def answer(question: InputRequest) -> str:
        asked.append(question)
        return "Ada" if not question.password else "secret"

    # Without anybody to ask, the kernel says so at once.
    error = one.run(ASK).error
    assert error is not None
    assert error.ename == "StdinNotImplementedError"
    # One of two can answer: whoever runs the cell, that one is asked.
    two.set_input_handler(answer)
    result = one.run(ASK)
    assert (result.success, result.stdout) == (True, "before\nhello Ada\n")
    result = one.run("import getpass; print(len(getpass.getpass('pw? ')))")
    assert result.stdout == "6\n"
    assert [(q.prompt, q.password) for q in asked] == [("name? ", False), ("pw? ", True)]
    # No text is the end of input.
    two.set_input_handler(lambda question: None)
    error = one.run(ASK).error
    assert error is not None
    assert error.ename == "EOFError"


def test_a_cell_that_asks_ends_when_who_could_answer_leaves_or_interrupts(
    session_factory: Callable[..., Session],
) -> None:
    one = session_factory()
    two = session_factory(notebook_id=one.notebook_id)
    one.start_kernel()
    asked, done = threading.Event(), threading.Event()

    def wait(question: InputRequest) -> str:
        asked.set()
        done.wait(30)
        return "too late"

    try:
        for ending in ("interrupt", "leave"):
            asked.clear()
            two.set_input_handler(wait)
            cell = one.create_cell(ASK)
            events = one.stream_execute(cell)
            assert asked.wait(30)
            if ending == "interrupt":
                one.interrupt()
            else:
                two.close()
            names = [e.output.ename for e in events if e.output is not None and e.output.ename]
            assert names == ["KeyboardInterrupt" if ending == "interrupt" else "EOFError"]
    finally:
        done.set()
    # The kernel goes on, and the answer that came too late is nobody's.
    one.set_input_handler(lambda question: "in time")
    assert one.run(ASK).stdout == "before\nhello in time\n"


def test_the_end_of_the_kernel_ends_the_question(session_factory: Callable[..., Session]) -> None:
    session = session_factory()
    session.allow_input()
    cell = session.create_cell("import os; input('pid %d' % os.getpid())")
    stream = session.stream_execute(cell)
    question = next(e.input_request for e in stream if e.input_request is not None)
    os.kill(int(question.prompt.split()[1]), 9)
    assert [event.event_type for event in stream] == ["error"]
    with pytest.raises(Exception, match="any more"):
        session.answer_input(question.id, "x")


def test_runt_asks_at_the_terminal(daemon_home: DaemonHome) -> None:
    keyboard, terminal = os.openpty()
    code = "import getpass; a = input('name? '); b = getpass.getpass('pw? '); print(a, len(b))"
    env = daemon_home.env | {"RUNTIMED_SOCKET_PATH": str(daemon_home.socket)}
    command = [sys.executable, "-m", "runt_cli", "exec", code]
    with subprocess.Popen(
        command,
        env=env,
        cwd=daemon_home.home,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(terminal)
        try:
            assert process.stderr is not None
            assert process.stdout is not None
            assert process.stderr.read(6) == b"name? "
            os.write(keyboard, b"Ada\n")
            assert process.stderr.read(4) == b"pw? "
            os.write(keyboard, b"secret\n")
            assert process.stdout.read() == b"Ada 6\n"
            assert process.wait(30) == 0
        finally:
            process.kill()
            os.close(keyboard)


def test_runt_without_a_terminal_has_nobody_to_ask(daemon_home: DaemonHome) -> None:
    done = daemon_home.runt("exec", "input('name? ')")
    assert done.returncode == 1
    assert "StdinNotImplementedError" in done.stderr
