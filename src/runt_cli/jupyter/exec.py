"""`runt jupyter exec`: run a piece of code in a kernel that is there."""

from __future__ import annotations

import click

from runt_cli.options import timeout_option

__all__ = ["exec_"]


@click.command("exec", short_help="Run a piece of code in a running kernel.")
@click.argument("kernel_id", metavar="ID")
@click.argument("code", metavar="[CODE]", required=False)
@timeout_option("Interrupt it when it runs longer.")
def exec_(kernel_id: str, code: str | None, timeout: float) -> None:
    """Run a piece of code in a running kernel, and print all that it puts out.

    ID is a name of `runt jupyter ps`, the beginning of one, or the path of a connection file.
    Without CODE, or with `-`, it is read from stdin. Waits for what the kernel is running now. What
    the code asks with input() is asked at the terminal, if there is one.

    Exit code: 0, or 1 when the code raised an exception, 130 after Ctrl-C.

    \b
    Examples:
      runt jupyter exec brave-otter 'print(6 * 7)'
      runt jupyter exec brave-otter < script.py
    """
    import sys
    from collections.abc import Mapping
    from typing import Any

    import trio

    from runt_cli.code_input import given_code
    from runt_cli.failure import FAILED, Fail
    from runt_cli.interruptible import run_interruptible
    from runt_cli.jupyter.kernel_printer import KernelPrinter
    from runt_cli.jupyter.running import run_in_kernel
    from runt_cli.jupyter.which_kernel import meant_kernel
    from runt_cli.terminal import is_terminal
    from runt_cli.terminal_input import TerminalInput
    from runt_cli.watching import standard_screen
    from runtimed.errors import KernelNotFound
    from runtimed.jupyter.client import open_client
    from runtimed.jupyter.discovery import look_at

    connection = meant_kernel(kernel_id, "runt jupyter console --notebook")
    source = given_code(code)
    if look_at([connection])[0].state == "dead":
        raise KernelNotFound(f"Kernel {connection.kernel_id} is not running")
    screen = standard_screen()
    printer = KernelPrinter(screen)

    async def run_it() -> Mapping[str, Any] | None:
        async with open_client(connection) as client:
            asks = code not in (None, "-") and is_terminal(sys.stdin)
            asker = TerminalInput(screen) if asks else None
            with trio.move_on_after(timeout):
                return await run_in_kernel(client, source, printer.show, asker)
        return None

    reply = run_interruptible(run_it)
    if reply is None:
        raise Fail(f"Error: still running after {timeout:g} seconds")
    if reply.get("status") != "ok":
        raise click.exceptions.Exit(FAILED)
