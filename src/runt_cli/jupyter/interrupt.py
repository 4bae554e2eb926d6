"""`runt jupyter interrupt`: stop what a kernel runs, and not the kernel."""

from __future__ import annotations

import click

__all__ = ["interrupt"]


@click.command
@click.argument("kernel_id", metavar="ID")
def interrupt(kernel_id: str) -> None:
    """Interrupt what a kernel runs.

    ID is a name of `runt jupyter ps`, the beginning of one, or the path of a connection file.

    \b
    Examples:
      runt jupyter interrupt brave-otter
    """
    import trio

    from runtimed.jupyter.ending import interrupt_kernel
    from runtimed.jupyter.naming import connection_of

    kernel = connection_of(kernel_id)
    trio.run(interrupt_kernel, kernel)
    click.echo(f"Interrupt sent to kernel {kernel.kernel_id}")
