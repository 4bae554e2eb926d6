"""`runt jupyter start`: a kernel that runs on by itself."""

from __future__ import annotations

import click

__all__ = ["start"]


@click.command(short_help="Start an installed kernel.")
@click.argument("name", required=False)
@click.option("--list", "list_", is_flag=True, help="List the installed kernels instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def start(name: str | None, list_: bool, as_json: bool) -> None:
    """Start an installed kernel, detached from the terminal, in the current folder.

    NAME is that of a kernelspec, such as python3. Returns once the kernel answers. Its files, with
    the key and with what the process writes, are in Jupyter's runtime folder and readable by you
    alone. It runs until it is stopped; one that Ctrl-C finds starting is ended.

    \b
    Examples:
      runt jupyter start python3
      runt jupyter start --list
    """
    if list_ == (name is not None):
        raise click.UsageError("Name a kernel to start, or pass --list.")
    if name is None:
        _list(as_json)
        return
    from runt_cli.interruptible import run_interruptible
    from runt_cli.terminal import say, show_json
    from runtimed.jupyter.kernelspecs import find_kernelspec
    from runtimed.jupyter.starting import start_kernel, working_folder

    spec = find_kernelspec(name)

    async def start_it() -> None:
        started = await start_kernel(spec, folder=working_folder())
        # It goes on without us, and nobody is to wait for it here.
        started.process.returncode = 0
        connection = started.connection
        if as_json:
            file = str(connection.path)
            show_json({"kernel_id": connection.kernel_id, "connection_file": file})
            return
        say(f"Kernel started with ID: {connection.kernel_id}")
        say(f"Connection file: {connection.path}")

    run_interruptible(start_it)


def _list(as_json: bool) -> None:
    from runt_cli.terminal import show_json, show_table, tilde
    from runtimed.jupyter.kernelspecs import INSTALL, find_kernelspecs

    specs = [spec for _, spec in sorted(find_kernelspecs().items())]
    if as_json:
        show_json(
            [
                {
                    "name": spec.name,
                    "language": spec.language or None,
                    "display_name": spec.display_name or None,
                    "folder": str(spec.folder) if spec.folder else None,
                }
                for spec in specs
            ]
        )
    elif not specs:
        click.echo(f"No kernel is installed. {INSTALL}")
    else:
        show_table(
            ("NAME", "LANGUAGE", "DISPLAY NAME", "FOLDER"),
            [
                (
                    spec.name,
                    spec.language,
                    spec.display_name,
                    tilde(str(spec.folder)) if spec.folder else None,
                )
                for spec in specs
            ],
        )
