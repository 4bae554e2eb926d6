"""`runt jupyter interrupt`: stop what a kernel runs, and not the kernel."""

from __future__ import annotations

import click

__all__ = ["interrupt"]


@click.command
@click.argument("kernel_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def interrupt(kernel_id: str, as_json: bool) -> None:
    """Interrupt what a kernel runs.

    ID is a name of `runt jupyter ps`, the beginning of one, or the path of a connection file.

    \b
    Examples:
      runt jupyter interrupt brave-otter
    """
    import trio

    from runt_cli.jupyter.which_kernel import meant_kernel
    from runt_cli.terminal import say
    from runtimed.jupyter.ending import interrupt_kernel

    kernel = meant_kernel(kernel_id, "runt interrupt")
    trio.run(interrupt_kernel, kernel)
    if as_json:
        from runt_cli.terminal import show_json

        show_json({"kernel_id": kernel.kernel_id, "interrupted": True})
        return
    say(f"Interrupt sent to kernel {kernel.kernel_id}")
