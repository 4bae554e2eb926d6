"""The other side: jupyter_client used the way its manual shows."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

import attrs
from jupyter_client.manager import start_new_kernel

__all__ = ["Collected", "open_kernel", "run_interactive", "run_message_loop"]

LIMIT = 120.0


@attrs.define
class Collected:
    """What one execution put out."""

    streams: list[str] = attrs.field(factory=list)
    displays: list[dict[str, Any]] = attrs.field(factory=list)
    error: str | None = None

    @property
    def stdout(self) -> str:
        return "".join(self.streams)

    def take(self, message: dict[str, Any]) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            self.streams.append(content["text"])
        elif kind in ("display_data", "execute_result"):
            self.displays.append(content["data"])
        elif kind == "error":
            self.error = f"{content['ename']}: {content['evalue']}"


@contextlib.contextmanager
def open_kernel() -> Iterator[Any]:
    """A kernel of this interpreter, cold: yields its blocking client, shut down afterwards."""
    # Without its standard error, on which every kernel warns about its transport.
    manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def run_interactive(client: Any, code: str) -> Collected:
    """The usual way: execute_interactive with a hook that keeps the outputs."""
    found = Collected()
    client.execute_interactive(code, output_hook=found.take, timeout=LIMIT)
    return found


def run_message_loop(client: Any, code: str) -> Collected:
    """The hand-written way: take iopub messages until the kernel is idle, then the reply."""
    found = Collected()
    message_id = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=LIMIT)
        if message["parent_header"].get("msg_id") != message_id:
            continue
        if message["header"]["msg_type"] == "status":
            if message["content"]["execution_state"] == "idle":
                break
        else:
            found.take(message)
    client.get_shell_msg(timeout=LIMIT)
    return found
