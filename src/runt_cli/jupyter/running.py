"""Runs code in a kernel of a connection file: prints what it says, asks what it asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import trio

from runt_cli.terminal_input import TerminalInput
from runtimed.client.results import InputRequest
from runtimed.errors import KernelDied
from runtimed.jupyter.client import JupyterClient, Run
from runtimed.messages.wire import Message

__all__ = ["interrupt_briefly", "run_in_kernel"]

#: Seconds for the reply to an interrupt, and for what it does to be seen.
_INTERRUPT_LIMIT = 2.0


async def run_in_kernel(
    client: JupyterClient,
    code: str,
    show: Callable[[Message], None],
    asker: TerminalInput | None = None,
) -> Mapping[str, Any]:
    """Run code to its end, with everything that it puts out; the content of its reply.

    When the caller is cancelled the kernel is interrupted.
    Raises: KernelDied.
    """
    run = client.execute(code, allow_stdin=asker is not None)
    ended = False
    try:
        await _follow(client, run, show, asker)
        ended = True
    except KernelDied:
        ended = True
        raise
    finally:
        client.leave(run)
        if not ended:
            await interrupt_briefly(client)
    return run.reply


async def _follow(
    client: JupyterClient, run: Run, show: Callable[[Message], None], asker: TerminalInput | None
) -> None:
    died: KernelDied | None = None
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def ask(message: Message) -> None:
            assert asker is not None
            question = InputRequest(
                id=message.msg_id,
                cell_id="",
                prompt=str(message.content.get("prompt", "")),
                password=bool(message.content.get("password")),
            )
            asker.reached(question)
            with scope:
                answer = await asker(question)
                # The protocol has no word for the end of input; this is what terminals send.
                with contextlib.suppress(KernelDied):
                    client.answer_input("\x04" if answer is None else answer)

        try:
            async for message in run:
                if message.msg_type != "input_request":
                    show(message)
                elif asker is not None:
                    scope = trio.CancelScope()
                    nursery.start_soon(ask, message)
        except KernelDied as error:
            died = error  # raised below, where it is in no group
        finally:
            scope.cancel()
    if died is not None:
        raise died


async def interrupt_briefly(client: JupyterClient) -> None:
    """Ask the kernel to interrupt what it runs; shielded and bounded."""
    with trio.move_on_after(_INTERRUPT_LIMIT, shield=True):
        try:
            await client.control("interrupt_request", {})
        except KernelDied:
            pass
