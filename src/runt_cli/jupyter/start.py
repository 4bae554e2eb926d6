"""`runt jupyter start`: a kernel that runs on by itself."""

from __future__ import annotations

import click

__all__ = ["start"]


@click.command(short_help="Start an installed kernel.")
@click.argument("name")
def start(name: str) -> None:
    """Start an installed kernel, detached from the terminal, in the current folder.

    NAME is that of a kernelspec, such as python3. Returns once the kernel answers. Its files, with
    the key and with what the process writes, are in Jupyter's runtime folder and readable by you
    alone. It runs until it is stopped.

    \b
    Examples:
      runt jupyter start python3
    """
    import trio

    from runtimed.jupyter.kernelspecs import find_kernelspec
    from runtimed.jupyter.starting import start_kernel, working_folder

    spec = find_kernelspec(name)

    async def start_it() -> None:
        started = await start_kernel(spec, folder=working_folder())
        # It goes on without us, and nobody is to wait for it here.
        started.process.returncode = 0
        click.echo(f"Kernel started with ID: {started.connection.kernel_id}")
        click.echo(f"Connection file: {started.connection.path}")

    trio.run(start_it)
