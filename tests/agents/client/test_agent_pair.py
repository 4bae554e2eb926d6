"""Our client and our runtime, over sockets. Source: agent runtime specification, 3, 5, 9 and 12."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
from agent_peers import options

from runtimed.agents import (
    AgentCallTimedOut,
    AgentRuntimeError,
    ArtifactUploadRequestMessageInterface,
    ArtifactUploadResult,
    CancelledException,
    CommandInterface,
    ExecuteCommandsOptions,
    RuntimeUseClient,
    RuntimeUseServer,
    StructuredOutputResult,
    TextResult,
)
from waiting import LIMIT, wait_until_async

pytestmark = pytest.mark.real

DOCUMENT = Path(__file__).parents[3] / "docs" / "agents-client.md"


async def agent(invocation: Any, sender: Any) -> Any:
    prompt = invocation.user_prompt
    if prompt == "wait":
        await trio.sleep_forever()
    if prompt == "fail":
        sender.send_error_message("no", {"why": "asked to"})
        return {"type": "text", "text": "and a second end"}
    if prompt == "large":
        return {"type": "text", "text": "x" * 5_000_000}
    if invocation.output_format is not None:
        return {"type": "structured_output", "structured_output": invocation.output_format}
    sender.send_assistant_message([f"about {prompt}"])
    return {"type": "text", "text": f"answer to {prompt}", "metadata": {"n": 1}}


@asynccontextmanager
async def open_pair() -> AsyncIterator[RuntimeUseClient]:
    """A client of a runtime of its own."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(RuntimeUseServer(agent, port=0).serve)
        with trio.fail_after(LIMIT):
            yield RuntimeUseClient(ws_url=f"ws://127.0.0.1:{server.port}")
            await server.stop()


async def test_prompts_and_commands_are_answered() -> None:
    """Sections 9.2 and 6.4; weakness 28: a result over 1 MiB."""
    heard: list[str] = []
    async with open_pair() as client:
        told = options(on_assistant_message=lambda message: heard.extend(message.text_blocks))
        answer = await client.query("life", told)
        assert (answer.data, answer.metadata) == (TextResult(text="answer to life"), {"n": 1})
        assert heard == ["about life"]
        answer = await client.query("hi", options(output_format_json_schema_str='{"a": 1}'))
        assert answer.data == StructuredOutputResult(structured_output={"a": 1})
        answer = await client.query("large", options())
        assert answer.data == TextResult(text="x" * 5_000_000)
        commands = [CommandInterface(command=text) for text in ("echo ä", "exit 3", "echo no")]
        done = await client.execute_commands(commands)
        assert [(each.exit_code, each.stdout) for each in done.results] == [(0, "ä\n"), (3, None)]


async def test_no_answer_of_a_session_goes_to_the_wrong_call() -> None:
    """Sections 3.2, 7, 9.4; weakness 30."""
    async with open_pair() as client, client.session() as session:
        for _ in range(3):
            with pytest.raises(AgentRuntimeError, match=r"^no\n"):
                await session.query("fail", options())
            with pytest.raises(AgentCallTimedOut):
                await session.query("wait", options(timeout=0.05))
            with trio.move_on_after(0.05):
                await session.query("wait", options())
            answer = await session.query("life", options())
            assert answer.data == TextResult(text="answer to life")


async def test_an_abort_ends_what_runs_in_the_runtime(tmp_path: Path) -> None:
    """Section 3.4, 6.2"""
    pid_file = tmp_path / "pid"
    async with open_pair() as client:

        async def abort() -> None:
            await wait_until_async(lambda: pid_file.exists() and pid_file.read_text().strip())
            client.abort()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(abort)
            sleep = CommandInterface(command=f"sleep 1000 & echo $! > {pid_file}; wait")
            with pytest.raises(CancelledException):
                await client.execute_commands([sleep])
        pid = int(pid_file.read_text())
        await wait_until_async(lambda: not psutil.pid_exists(pid) or is_dead(pid))


def is_dead(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_files_written_last_are_uploaded(tmp_path: Path) -> None:
    """Sections 5.3, 8.3: by a one-shot call and in a session, each once."""
    files: list[tuple[str, bytes]] = []

    class Storage(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            files.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        url = f"http://127.0.0.1:{storage.server_port}/{request.filename}"
        return ArtifactUploadResult(presigned_url=url, content_type="text/plain")

    def into(name: str) -> ExecuteCommandsOptions:
        return ExecuteCommandsOptions(
            artifacts_dir=str(tmp_path / name), on_artifact_upload_request=on_artifact
        )

    storage = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    thread = threading.Thread(target=storage.serve_forever)
    thread.start()
    try:
        async with open_pair() as client:
            write = CommandInterface(command="echo 1 > a", cwd=str(tmp_path / "once"))
            await client.execute_commands([write], into("once"))
            assert files == [("/a", b"1\n")]
            async with client.session() as session:
                write = CommandInterface(command="echo 2 > b", cwd=str(tmp_path / "session"))
                await session.execute_commands([write], into("session"))
            assert files == [("/a", b"1\n"), ("/b", b"2\n")]
    finally:
        storage.shutdown()
        thread.join()
        storage.server_close()


async def test_the_examples_of_the_document_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    async with open_pair() as client:
        names: dict[str, Any] = {}
        for block in blocks:
            exec(compile(block, DOCUMENT.name, "exec"), names)
        names["client"] = client
        await names["main"]()
        await names["two_calls"]()
        await trio.to_thread.run_sync(asyncio.run, names["main"]())
        assert names["options"].folders == ["/tmp/artifacts"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(names["give_up_after"], 0.05)
            with pytest.raises(CancelledException):
                await client.query("wait", options())
