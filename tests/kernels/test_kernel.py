"""Real kernels through the Kernel task: start, talk, interrupt, end in every way."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import attrs
import psutil
import pytest
import trio
import zmq

from runtimed.environments.environment import Environment
from runtimed.environments.uv import find_uv
from runtimed.errors import KernelDied, KernelStartFailed
from runtimed.kernels.connection import socket_directory, write_connection_file
from runtimed.kernels.kernel import Kernel
from runtimed.kernels.launch import LaunchSpec, python_kernel
from runtimed.messages.wire import Message

pytestmark = pytest.mark.real

Heard: TypeAlias = "trio.MemoryReceiveChannel[Message]"


def this_environment() -> Environment:
    return Environment("uv", Path(sys.prefix), Path(sys.executable))


def make_kernel(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]], spec: LaunchSpec | None = None
) -> Kernel:
    folder = tmp_path / "connections"
    return Kernel(
        spec or python_kernel(this_environment(), "uv:prewarmed"),
        write_connection_file(folder, socket_directory(folder), "python3"),
        context,
        working_directory=tmp_path,
    )


@asynccontextmanager
async def running_kernel(tmp_path: Path) -> AsyncIterator[tuple[Kernel, Heard]]:
    with zmq.Context() as context, trio.fail_after(120):
        kernel = make_kernel(tmp_path, context)
        async with trio.open_nursery() as nursery:
            await nursery.start(kernel.run)
            send, heard = trio.open_memory_channel[Message](math.inf)
            kernel.attach(lambda channel, message: send.send_nowait(message))
            yield kernel, heard
            nursery.cancel_scope.cancel()
    assert not psutil.pid_exists(kernel.pid)


async def messages_of(heard: Heard, msg_id: str) -> list[Message]:
    """Everything the kernel says about a request, up to its idle status and its reply."""
    found: list[Message] = []
    missing = {"idle", "reply"}
    while missing:
        message = await heard.receive()
        if message.parent_id == msg_id:
            found.append(message)
            if message.content.get("execution_state") == "idle":
                missing.discard("idle")
            if message.msg_type == "execute_reply":
                missing.discard("reply")
    return found


async def test_code_runs_and_its_output_arrives(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, heard):
        found = await messages_of(heard, kernel.execute("print('hello'); 1 + 1"))
        assert [m.content["text"] for m in found if m.msg_type == "stream"] == ["hello\n"]
        [result] = [m for m in found if m.msg_type == "execute_result"]
        assert result.content["data"]["text/plain"] == "2"
        assert kernel.language_info["name"] == "python"


async def test_silent_code_leaves_no_count(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, heard):
        reply = await kernel.run_silently("__import__('os').chdir('/')")
        assert reply.content["status"] == "ok"
        found = await messages_of(heard, kernel.execute("import os; os.getcwd()"))
        [result] = [m for m in found if m.msg_type == "execute_result"]
        assert result.content["data"]["text/plain"] == "'/'"
        assert result.content["execution_count"] == 1


async def test_an_interrupt_reaches_running_code(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, heard):
        msg_id = kernel.execute("import time\nprint('here', flush=True)\ntime.sleep(50)")
        while (await heard.receive()).msg_type != "stream":
            pass
        kernel.interrupt()
        found = await messages_of(heard, msg_id)
        assert [m.content["ename"] for m in found if m.msg_type == "error"] == ["KeyboardInterrupt"]


async def test_a_kernel_that_exits_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, heard):
        kernel.execute(
            "import os, time; print('x' * 10, flush=True); os.write(2, b'fatal')\n"
            "time.sleep(1)  # for the kernel's own threads, which end without a word\n"
            "os._exit(3)"
        )
        await kernel.wait_ended()
        words = [heard.receive_nowait() for _ in range(heard.statistics().current_buffer_used)]
        assert any(message.content.get("text") == "xxxxxxxxxx\n" for message in words)
        assert "exited with code 3" in kernel.exit_text
        with pytest.raises(KernelDied):
            kernel.execute("1")


async def test_a_killed_kernel_takes_waiting_requests_with_it(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, _heard):
        kernel.execute("while True: pass")
        os.kill(kernel.pid, signal.SIGKILL)
        with pytest.raises(KernelDied, match="SIGKILL"):
            await kernel.request("complete_request", {"code": "", "cursor_pos": 0})


async def test_stop_lets_the_kernel_end_by_itself(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, _heard):
        marker = tmp_path / "atexit-ran"
        await kernel.run_silently(f"__import__('atexit').register(open, {str(marker)!r}, 'w')")
        kernel.stop()
        await kernel.wait_ended()
        assert kernel.exit_text == "The kernel was shut down"
        assert marker.exists()


async def test_a_busy_kernel_and_its_children_are_killed_after_the_grace(tmp_path: Path) -> None:
    async with running_kernel(tmp_path) as (kernel, heard):
        msg_id = kernel.execute(
            "import subprocess, signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print(subprocess.Popen(['sleep', '1000']).pid, flush=True)\n"
            "while True: pass"
        )
        child = 0
        while not child:
            message = await heard.receive()
            if message.msg_type == "stream" and message.parent_id == msg_id:
                child = int(message.content["text"].split()[0])
        kernel.stop()
        await kernel.wait_ended()
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


async def test_a_process_that_fails_to_start_explains_itself(tmp_path: Path) -> None:
    spec = attrs.evolve(
        python_kernel(this_environment(), "uv:prewarmed"),
        argv=(sys.executable, "-c", "import sys; sys.exit('No module named nonsense')"),
    )
    with zmq.Context() as context, trio.fail_after(60):
        kernel = make_kernel(tmp_path, context, spec)
        with pytest.raises(KernelStartFailed, match="code 1:\n  No module named nonsense"):
            await kernel.run()
    assert list((tmp_path / "connections").iterdir()) == []


async def failed_start(tmp_path: Path, code: str) -> str:
    """What is said of a Python program that never becomes a kernel."""
    return await failed_program(tmp_path, (sys.executable, "-c", code))


async def failed_program(tmp_path: Path, argv: tuple[str, ...], limit: float = 60.0) -> str:
    spec = attrs.evolve(
        python_kernel(this_environment(), "uv:prewarmed"), argv=argv, start_limit=limit
    )
    with zmq.Context() as context, trio.fail_after(60), pytest.raises(KernelStartFailed) as failure:
        await make_kernel(tmp_path, context, spec).run()
    assert list((tmp_path / "connections").iterdir()) == []
    return str(failure.value)


async def test_a_flood_before_a_failed_start_is_cut_to_its_end(tmp_path: Path) -> None:
    said = await failed_start(
        tmp_path,
        "import sys\n"
        "for n in range(100000): print('line', n)\n"
        "sys.stdout.flush()\n"
        "sys.stderr.write('the reason\\n')\n"
        "sys.exit(3)",
    )
    assert said.startswith("The kernel process exited with code 3:\n")
    assert said.endswith("  line 99999\n  the reason")
    assert len(said) < 9000


async def test_a_start_that_is_killed_names_the_signal(tmp_path: Path) -> None:
    said = await failed_start(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert said == "The kernel process was killed by SIGKILL"


async def test_a_child_that_keeps_the_pipe_open_does_not_hold_up_the_error(tmp_path: Path) -> None:
    said = await failed_start(
        tmp_path,
        "import subprocess, sys\n"
        "print('the reason', flush=True)\n"
        "subprocess.Popen(['sleep', '60'])\n"
        "sys.exit(4)",
    )
    assert said == "The kernel process exited with code 4:\n  the reason"


async def test_a_start_that_takes_too_long_says_what_was_printed_so_far(tmp_path: Path) -> None:
    program = ("/bin/sh", "-c", "echo Downloading; exec sleep 60")
    said = await failed_program(tmp_path, program, limit=1.0)
    assert said == "Kernel did not respond within 1s:\n  Downloading"


async def test_a_project_that_uv_cannot_run_is_explained_by_uv(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\ndependencies = ["there-is-no-such-package-x"]\n'
    )
    spec = attrs.evolve(
        python_kernel(this_environment(), "uv:pyproject"),
        argv=(
            *(str(find_uv()), "run", "--offline", "--no-cache", "--with", "ipykernel"),
            *("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        ),
    )
    with zmq.Context() as context, trio.fail_after(30):
        kernel = make_kernel(tmp_path, context, spec)
        with pytest.raises(KernelStartFailed, match=r"(?s)exited with code [12]:.*no-such-package"):
            await kernel.run()


async def test_a_missing_interpreter_is_a_clear_error(tmp_path: Path) -> None:
    spec = attrs.evolve(
        python_kernel(this_environment(), "uv:prewarmed"), argv=("/nonexistent/python",)
    )
    with zmq.Context() as context:
        kernel = make_kernel(tmp_path, context, spec)
        with pytest.raises(KernelStartFailed, match="/nonexistent/python can't be run"):
            await kernel.run()


async def test_connection_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "connections"
    connection = write_connection_file(folder, socket_directory(folder), "python3")
    assert connection.path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    connection.remove()
    assert not connection.path.exists()


async def test_sockets_of_a_deep_directory_move_to_a_short_private_one(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    folder = socket_directory(deep)
    try:
        assert len(str(folder)) < 80
        assert folder.stat().st_mode & 0o777 == 0o700
        assert socket_directory(deep) == folder
    finally:
        folder.rmdir()
