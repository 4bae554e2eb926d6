"""A client of a kernel that is there, with a real one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from jupyter_kernels import Stranger, deaf_kernel
from runtimed.errors import KernelDied
from runtimed.jupyter import client as client_module
from runtimed.jupyter.client import Run, open_client
from runtimed.jupyter.connection_files import read_connection_file
from runtimed.messages.wire import Message
from waiting import LIMIT, wait_until_async

pytestmark = pytest.mark.real


async def _text(run: Run) -> str:
    return "".join([m.content["text"] async for m in run if m.msg_type == "stream"])


async def test_a_run_ends_with_its_last_output(stranger: Stranger) -> None:
    with trio.fail_after(LIMIT):
        async with open_client(read_connection_file(stranger.path)) as client:
            run = client.execute("for n in range(5000): print(n)")
            assert (await _text(run)).split() == [str(n) for n in range(5000)]
            assert run.ok
            failed = client.execute("1 / 0")
            kinds = [message.msg_type async for message in failed]
            assert (failed.ok, kinds[-1]) == (False, "error")


async def test_what_is_asked_is_answered_between_the_outputs(stranger: Stranger) -> None:
    seen = []
    with trio.fail_after(LIMIT):
        async with open_client(read_connection_file(stranger.path)) as client:
            run = client.execute("print('before'); print(input('name? '))", allow_stdin=True)
            async for message in run:
                if message.msg_type == "stream":
                    seen.append(message.content["text"])
                elif message.msg_type == "input_request":
                    seen.append(message.content["prompt"])
                    client.answer_input("Ada")
    assert "".join(seen) == "before\nname? Ada\n"


async def test_control_is_heard_while_a_cell_runs(stranger: Stranger) -> None:
    with trio.fail_after(LIMIT):
        async with open_client(read_connection_file(stranger.path)) as client:
            run = client.execute("import time\nprint('on'); time.sleep(600)")
            async for message in run:
                if message.msg_type == "stream":
                    await client.control("interrupt_request", {})
            assert run.reply["ename"] == "KeyboardInterrupt"
            answer = await client.request("is_complete_request", {"code": "def f():"})
            assert answer["status"] == "incomplete"


async def test_clients_hear_of_each_other(stranger: Stranger) -> None:
    heard: list[Message] = []

    def note(message: Message, mine: bool) -> None:
        if not mine:
            heard.append(message)

    connection = read_connection_file(stranger.path)
    with trio.fail_after(LIMIT):
        async with open_client(connection) as one, open_client(connection) as two:
            two.on_other = note
            await _text(one.execute("print('hello')"))
            await wait_until_async(lambda: any(m.msg_type == "stream" for m in heard))
    code = next(m.content["code"] for m in heard if m.msg_type == "execute_input")
    assert code == "print('hello')"


async def test_who_waits_for_a_kernel_that_ends_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_JOIN_LIMIT", 0.1)
    with ExitStack() as alive, trio.fail_after(LIMIT):
        path = alive.enter_context(deaf_kernel(tmp_path, "kernel-x.json"))
        async with open_client(read_connection_file(path)) as client:
            run = client.execute("1")
            alive.close()
            with pytest.raises(KernelDied, match="The kernel x has ended"):
                await client.request("kernel_info_request", {})
            with pytest.raises(KernelDied):
                await _text(run)
            with pytest.raises(KernelDied):
                client.execute("2")
