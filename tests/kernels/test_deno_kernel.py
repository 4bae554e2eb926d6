"""Real Deno kernels: what cells can do, what permissions and configuration do, how they end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import psutil
import pytest
import trio
import zmq

from runtimed.environments.wanted import DenoRuntime
from runtimed.errors import KernelStartFailed
from runtimed.kernels.connection import socket_directory, write_connection_file
from runtimed.kernels.deno import deno_kernel
from runtimed.kernels.kernel import Kernel
from runtimed.kernels.launch import LaunchSpec
from runtimed.messages.wire import Message
from waiting import wait_until_async

pytestmark = pytest.mark.real

Heard: TypeAlias = "trio.MemoryReceiveChannel[Message]"


class Notebook:
    """A Deno kernel and what it said."""

    def __init__(self, kernel: Kernel, heard: Heard) -> None:
        self.kernel = kernel
        self._heard = heard

    async def run(self, code: str) -> list[Message]:
        """The messages of one cell, from its start to its idle status."""
        return await self.finish(self.kernel.execute(code))

    async def finish(self, msg_id: str) -> list[Message]:
        found: list[Message] = []
        while True:
            message = await self._heard.receive()
            ours = message.parent_id == msg_id
            if message.msg_type == "status":
                if ours and message.content["execution_state"] == "idle":
                    return found
            elif message.msg_type != "execute_input":
                assert ours, "an output of another cell"
                found.append(message)

    async def value(self, code: str) -> Any:
        """The text of a cell's result; for a cell that fails, what went wrong."""
        [message] = await self.run(code)
        if message.msg_type == "error":
            return f"{message.content['ename']}: {message.content['evalue']}"
        return message.content["data"]["text/plain"]


def deno_environ(tmp_path: Path) -> dict[str, str]:
    """Variables for deno, which then writes nothing outside the test's folder."""
    return {**os.environ, "DENO_DIR": str(tmp_path / "deno-dir")}


def launch(tmp_path: Path, deno: Path, **wanted: Any) -> LaunchSpec:
    runtime = DenoRuntime(folder=work(tmp_path), **wanted)
    return deno_kernel(runtime, deno, deno_environ(tmp_path))


def work(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@asynccontextmanager
async def notebook(tmp_path: Path, deno: Path, **wanted: Any) -> AsyncIterator[Notebook]:
    with zmq.Context() as context, trio.fail_after(120):
        kernel = make_kernel(tmp_path, context, launch(tmp_path, deno, **wanted))
        async with trio.open_nursery() as nursery:
            send, heard = trio.open_memory_channel[Message](math.inf)
            await nursery.start(kernel.run)
            kernel.attach(
                lambda channel, message: send.send_nowait(message) if channel == "iopub" else None
            )
            yield Notebook(kernel, heard)
            kernel.stop()
            await kernel.wait_ended()
    assert not psutil.pid_exists(kernel.pid)
    assert list((tmp_path / "connections").iterdir()) == []


def make_kernel(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]], spec: LaunchSpec
) -> Kernel:
    folder = tmp_path / "connections"
    connection = write_connection_file(
        folder, socket_directory(folder), spec.kernel_name, spec.transport
    )
    return Kernel(spec, connection, context, working_directory=work(tmp_path))


def children(kernel: Kernel) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(kernel.pid).children(recursive=True)
    return found


async def test_cells_are_typescript_with_results_streams_and_errors(
    tmp_path: Path, deno: Path
) -> None:
    (work(tmp_path) / "seven.ts").write_text("export const seven: number = 7;\n")
    (tmp_path / "project" / "six.ts").write_text("export const six = 6;\n")
    async with notebook(tmp_path, deno) as book:
        assert book.kernel.language_info["name"] == "typescript"
        assert (
            await book.value("interface P { x: number }; const p: P = { x: 41 }; p.x + 1") == "42"
        )
        assert await book.value("await new Promise((r) => setTimeout(() => r(p.x), 20))") == "41"
        assert await book.value("import { seven } from './seven.ts'; seven") == "7"
        assert await book.value("import { six } from '../six.ts'; six") == "6"
        assert await book.value("Deno.cwd()") == json.dumps(str(work(tmp_path)))

        said = await book.run("console.log('out'); console.error('err'); 5")
        assert [(m.msg_type, m.content.get("name"), m.content.get("text")) for m in said] == [
            ("stream", "stdout", "out\n"),
            ("stream", "stderr", "err\n"),
            ("execute_result", None, None),
        ]

        [shown, result] = await book.run(
            "await Deno.jupyter.display(Deno.jupyter.html`<b>x</b>`); Deno.jupyter.html`<i>y</i>`"
        )
        assert (shown.msg_type, shown.content["data"]) == (
            "display_data",
            {"text/html": "<b>x</b>"},
        )
        assert result.content["data"] == {"text/html": "<i>y</i>"}

        [error] = await book.run("function f() { throw new RangeError('boom'); }\nf()")
        assert (error.content["ename"], error.content["evalue"]) == ("RangeError", "boom")
        assert "at f" in "\n".join(error.content["traceback"])
        assert (await book.value("null.x")).startswith("TypeError: Cannot read properties of null")


async def test_code_that_deno_cannot_read_has_an_error_among_its_outputs(
    tmp_path: Path, deno: Path
) -> None:
    async with notebook(tmp_path, deno) as book:
        assert "is there a syntax error?" in await book.value("let = = 3")
        assert await book.value("1 + 1") == "2"


async def test_no_output_goes_to_another_cell(tmp_path: Path, deno: Path) -> None:
    async with notebook(tmp_path, deno) as book:
        for number in range(40):
            said = await book.run(f"console.log({number}); {number}")
            assert [m.msg_type for m in said] == ["stream", "execute_result"]
            assert said[1].content["data"]["text/plain"] == str(number)


async def test_a_flood_ends_with_its_last_line(tmp_path: Path, deno: Path) -> None:
    async with notebook(tmp_path, deno) as book:
        said = await book.run("for (let i = 0; i < 3000; i++) console.log(i)")
        text = "".join(message.content["text"] for message in said)
        assert text == "".join(f"{number}\n" for number in range(3000))
        assert await book.value("Object.keys(globalThis).some((k) => k.includes('mark'))") == (
            "false"
        )


async def test_names_are_completed(tmp_path: Path, deno: Path) -> None:
    async with notebook(tmp_path, deno) as book:
        reply = await book.kernel.request(
            "complete_request", {"code": "Deno.readTextF", "cursor_pos": 14}
        )
        assert "readTextFile" in reply.content["matches"]


async def test_an_endless_loop_is_interrupted_and_the_kernel_lives_on(
    tmp_path: Path, deno: Path
) -> None:
    async with notebook(tmp_path, deno) as book:
        begun = "Deno.writeTextFileSync('begun', '')"
        msg_id = book.kernel.execute(f"let kept = 3; {begun}; console.log('in'); while (true) {{}}")
        await wait_until_async((work(tmp_path) / "begun").exists)
        book.kernel.interrupt()
        said = await book.finish(msg_id)
        assert said[-1].msg_type == "error"
        assert await book.value("kept") == "3"


async def test_without_permissions_in_the_notebook_everything_is_allowed(
    tmp_path: Path, deno: Path
) -> None:
    (work(tmp_path) / "data.txt").write_text("data")
    async with notebook(tmp_path, deno) as book:
        assert await book.value("Deno.readTextFileSync('data.txt')") == '"data"'
        assert await book.value("Deno.env.has('HOME')") == "true"


async def test_only_what_the_notebook_lists_is_allowed(tmp_path: Path, deno: Path) -> None:
    (work(tmp_path) / "data.txt").write_text("data")
    (work(tmp_path) / "seven.ts").write_text("export const seven = 7;\n")
    (work(tmp_path) / "link").symlink_to("/etc/passwd")
    allowed = ("--allow-read=.", "allow-env=HOME", "--deny-read=secret")
    (work(tmp_path) / "secret").write_text("s")
    async with notebook(tmp_path, deno, permissions=allowed) as book:
        assert await book.value("Deno.readTextFileSync('data.txt')") == '"data"'
        assert await book.value("import { seven } from './seven.ts'; seven") == "7"
        assert await book.value("Deno.env.has('HOME')") == "true"
        for code, entry in (
            ("Deno.env.get('PATH')", "--allow-env=PATH"),
            ("Deno.env.toObject()", "--allow-env"),
            ("Deno.readTextFileSync('/etc/passwd')", "--allow-read=/etc/passwd"),
            ("Deno.readTextFileSync('link')", "--allow-read="),
            ("Deno.readTextFileSync('secret')", "--allow-read="),
            ("Deno.writeTextFileSync('new', '')", "--allow-write="),
            ("await fetch('http://127.0.0.1:8999/')", "--allow-net=127.0.0.1:8999"),
            ("new Deno.Command('true').outputSync()", "--allow-run="),
            ("Deno.hostname()", "--allow-sys=hostname"),
            ("await import('https://example.com/x.ts')", "--allow-import=example.com"),
        ):
            failed = await book.value(code)
            assert "runt.deno.permissions" in failed, code
            assert entry in failed, code
        assert not (work(tmp_path) / "new").exists()


async def test_a_deno_without_a_permission_broker_is_refused_permissions(
    tmp_path: Path, deno: Path
) -> None:
    old = tmp_path / "deno"
    old.write_text("#!/bin/sh\nexit 0\n")
    old.chmod(0o755)
    with zmq.Context() as context, trio.fail_after(60):
        kernel = make_kernel(tmp_path, context, launch(tmp_path, old, permissions=("-A",)))
        with pytest.raises(KernelStartFailed, match="too old to limit a notebook's permissions"):
            await kernel.run()


async def test_a_deno_that_cannot_start_explains_itself(tmp_path: Path, deno: Path) -> None:
    spec = launch(tmp_path, deno)
    argv = tuple(word.replace("--kernel", "--no-such-option") for word in spec.argv)
    with zmq.Context() as context, trio.fail_after(60):
        kernel = make_kernel(tmp_path, context, attrs.evolve(spec, argv=argv))
        with pytest.raises(KernelStartFailed, match=r"(?s)exited with code 1:.*--no-such-option"):
            await kernel.run()


async def test_code_that_is_to_run_first_and_fails_is_a_failed_start(
    tmp_path: Path, deno: Path
) -> None:
    spec = attrs.evolve(launch(tmp_path, deno), first="Deno.chdir('/nowhere')")
    with zmq.Context() as context, trio.fail_after(60):
        kernel = make_kernel(tmp_path, context, spec)
        with pytest.raises(KernelStartFailed, match=r"could not be prepared: NotFound: .*/nowhere"):
            await kernel.run()


async def test_the_configuration_beside_the_notebook_is_obeyed(tmp_path: Path, deno: Path) -> None:
    (work(tmp_path).parent / "deno.json").write_text('{"imports": {"seven": "./seven.ts"}}')
    (tmp_path / "project" / "seven.ts").write_text("export const seven = 7;\n")
    async with notebook(tmp_path, deno) as book:
        assert await book.value("import { seven } from 'seven'; seven") == "7"


async def test_a_configuration_that_the_notebook_names_is_obeyed(
    tmp_path: Path, deno: Path
) -> None:
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    (project / "conf" / "my.jsonc").write_text(
        '{"imports": {"eight": "./eight.ts", "lib/": "../lib/"}, // relative to this file\n}'
    )
    (project / "conf" / "eight.ts").write_text("export const eight = 8;\n")
    (project / "lib").mkdir()
    (project / "lib" / "nine.ts").write_text("export { nine } from './inner.ts';\n")
    (project / "lib" / "inner.ts").write_text("export const nine = 9;\n")
    (project / "six.ts").write_text("export const six = 6;\n")
    (work(tmp_path) / "seven.ts").write_text("export const seven = 7;\n")
    async with notebook(tmp_path, deno, config="../conf/my.jsonc") as book:
        assert await book.value("Deno.cwd()") == json.dumps(str(work(tmp_path)))
        assert await book.value("import { eight } from 'eight'; eight") == "8"
        assert await book.value("import { nine } from 'lib/nine.ts'; nine") == "9"
        assert await book.value("import { seven } from './seven.ts'; seven") == "7"
        assert await book.value("(await import('../six.ts')).six") == "6"


async def test_an_import_map_that_the_notebook_names_is_obeyed_within_permissions(
    tmp_path: Path, deno: Path
) -> None:
    folder = work(tmp_path)
    (folder / "maps").mkdir()
    (folder / "maps" / "map.json").write_text('{"imports": {"seven": "../seven.ts"}}')
    (folder / "seven.ts").write_text("export const seven = 7;\n")
    wanted: dict[str, Any] = {
        "import_map": "maps/map.json",
        "permissions": (f"--allow-read={folder / 'seven.ts'}",),
    }
    async with notebook(tmp_path, deno, **wanted) as book:
        assert await book.value("import { seven } from 'seven'; seven") == "7"
        assert "--allow-read" in await book.value("[...Deno.readDirSync('.')].length")


async def test_a_dead_deno_is_noticed_with_its_signal(tmp_path: Path, deno: Path) -> None:
    async with notebook(tmp_path, deno) as book:
        [child] = children(book.kernel)
        os.kill(child.pid, signal.SIGKILL)
        await book.kernel.wait_ended()
        assert "was killed by SIGKILL" in book.kernel.exit_text


async def test_an_exit_in_a_cell_ends_the_kernel_with_that_code(tmp_path: Path, deno: Path) -> None:
    async with notebook(tmp_path, deno) as book:
        book.kernel.execute("Deno.exit(7)")
        await book.kernel.wait_ended()
        assert "exited with code 7" in book.kernel.exit_text


async def test_no_deno_outlives_a_killed_daemon(tmp_path: Path, deno: Path) -> None:
    script = tmp_path / "daemon.py"
    script.write_text(
        "import sys, trio, zmq\n"
        "from pathlib import Path\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from test_deno_kernel import children, make_kernel, launch\n"
        "async def main():\n"
        f"    tmp = Path({str(tmp_path)!r})\n"
        "    async with trio.open_nursery() as nursery:\n"
        f"        spec = launch(tmp, Path({str(deno)!r}))\n"
        "        kernel = make_kernel(tmp, zmq.Context(), spec)\n"
        "        await nursery.start(kernel.run)\n"
        "        kernel.execute('while (true) {}')\n"
        "        print(kernel.pid, children(kernel)[0].pid, flush=True)\n"
        "        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    with trio.fail_after(60):
        daemon = await trio.lowlevel.open_process(
            [sys.executable, str(script)], stdout=subprocess.PIPE
        )
        assert daemon.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            line += await daemon.stdout.receive_some() or b"the daemon failed\n"
        pids = [int(word) for word in line.split()]
        assert len(pids) == 2
        daemon.kill()
        await daemon.wait()
        await wait_until_async(lambda: not any(map(psutil.pid_exists, pids)))
