"""`runt jupyter stop`: end a kernel, or all that `runt jupyter start` started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["stop"]


@click.command
@click.argument("kernel_id", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="Stop every kernel that was started with runt.")
def stop(kernel_id: str | None, all_: bool) -> None:
    """End a kernel; returns when its process has gone.

    ID is a name of `runt jupyter ps`, the beginning of one, or the path of a connection file. The
    kernel is asked; one that does not end in five seconds is killed, if its process is known.

    \b
    Examples:
      runt jupyter stop brave-otter
      runt jupyter stop --all
    """
    import trio

    from runt_cli.failure import FAILED, Fail
    from runtimed.errors import RuntimedError
    from runtimed.jupyter.connection_files import kernel_id_of, read_connection_file
    from runtimed.jupyter.ending import stop_kernel
    from runtimed.jupyter.naming import connection_of, own_connection_files

    if kernel_id is not None and not all_:
        kernel = connection_of(kernel_id)
        if trio.run(stop_kernel, kernel):
            click.echo(f"Kernel with ID {kernel.kernel_id} stopped")
        else:
            click.echo(f"Kernel with ID {kernel.kernel_id} was not running; its file is removed")
        return
    if not all_:
        raise Fail("Either provide a kernel ID or use --all to stop all kernels")
    if kernel_id is not None:
        raise click.UsageError("Either a kernel ID or --all, not both.")
    stopped: list[str] = []
    failed: list[str] = []

    async def stop_all() -> None:
        async with trio.open_nursery() as nursery:
            for path in own_connection_files():
                nursery.start_soon(stop_one, path)

    async def stop_one(path: Path) -> None:
        name = kernel_id_of(path)
        try:
            if await stop_kernel(read_connection_file(path)):
                stopped.append(name)
                click.echo(f"Stopped {name}")
        except RuntimedError as error:
            failed.append(name)
            click.echo(f"Failed to stop {name}: {error}", err=True)

    trio.run(stop_all)
    if stopped:
        click.echo(f"Stopped {len(stopped)} kernel{'' if len(stopped) == 1 else 's'}")
    elif not failed:
        click.echo("No running kernels found.")
    if failed:
        raise click.exceptions.Exit(FAILED)
