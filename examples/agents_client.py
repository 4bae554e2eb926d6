"""A client and an agent runtime in one program: prompts, structured output, commands, an abort.

Run it with `python examples/agents_client.py`. With a runtime elsewhere, give its URL:
`python examples/agents_client.py ws://localhost:8080`; then what is printed depends on its agent.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trio

from runtimed.agents import (
    ArtifactUploadRequestMessageInterface,
    ArtifactUploadResult,
    AssistantMessageInterface,
    CancelledException,
    CommandInterface,
    CommandOutputMessageInterface,
    ExecuteCommandsOptions,
    QueryOptions,
    RuntimeUseClient,
    RuntimeUseServer,
)

SYSTEM = "You are a helpful assistant."
SCHEMA = '{"type": "json_schema", "schema": {"type": "object"}}'


async def agent(invocation: Any, sender: Any) -> dict[str, Any]:
    """Counts words. A real one would ask a model."""
    if invocation.user_prompt == "Take your time.":
        await trio.sleep_forever()
    words = invocation.user_prompt.split()
    sender.send_assistant_message([f"Counting {len(words)} words."])
    if invocation.output_format is None:
        return {"type": "text", "text": f"{len(words)} words", "metadata": {"model": "none"}}
    return {"type": "structured_output", "structured_output": {"words": len(words)}}


async def show(message: AssistantMessageInterface) -> None:
    for block in message.text_blocks:
        print("agent says:", block)


async def drive(client: RuntimeUseClient, folder: Path) -> None:
    told = QueryOptions(SYSTEM, "some-model", on_assistant_message=show)
    answer = await client.query("How many words are these?", told)
    print("answer:", answer.data)

    told = QueryOptions(SYSTEM, "some-model", output_format_json_schema_str=SCHEMA)
    answer = await client.query("And these?", told)
    print("answer:", answer.data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Storage) as storage:
        threading.Thread(target=storage.serve_forever).start()
        try:
            await run_commands(client, folder, f"http://127.0.0.1:{storage.server_port}")
        finally:
            storage.shutdown()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(abort_soon, client)
        try:
            await client.query("Take your time.", QueryOptions(SYSTEM, "some-model"))
        except CancelledException as cancelled:
            print(cancelled)


class Storage(BaseHTTPRequestHandler):
    """Takes files, as the storage of a cloud does."""

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        print("uploaded:", self.path, content)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


async def run_commands(client: RuntimeUseClient, folder: Path, storage: str) -> None:
    """Two calls on one connection. The file of the first is there before it returns."""

    def printed(message: CommandOutputMessageInterface) -> None:
        print(f"{message.stream}: {message.text.strip()}")

    async def wanted(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        url = f"{storage}/{request.filename}"  # presigned, by whatever stores your files
        return ArtifactUploadResult(presigned_url=url, content_type="text/plain")

    told = ExecuteCommandsOptions(
        on_command_output=printed,
        artifacts_dirs=[str(folder)],
        artifacts_ignore_content="*.log",
        on_artifact_upload_request=wanted,
    )
    async with client.session() as session:
        write = CommandInterface(command="echo noted > notes.txt; cat notes.txt", cwd=str(folder))
        await session.execute_commands([write], told)
        fail = CommandInterface(command="exit 3")
        done = await session.execute_commands([fail, write])
        print("exit codes:", [item.exit_code for item in done.results])


async def abort_soon(client: RuntimeUseClient) -> None:
    await trio.sleep(0.2)
    client.abort()


async def main(url: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if url is not None:
            await drive(RuntimeUseClient(ws_url=url), Path(folder))
            return
        async with trio.open_nursery() as nursery:
            server = await nursery.start(RuntimeUseServer(agent, port=0).serve)
            await drive(RuntimeUseClient(ws_url=f"ws://localhost:{server.port}"), Path(folder))
            await server.stop()


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
