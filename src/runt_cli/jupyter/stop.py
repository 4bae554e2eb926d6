"""`runt jupyter stop`: end a kernel, or all that `runt jupyter start` started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["stop"]


@click.command
@click.argument("kernel_id", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="Stop every kernel that was started with runt.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stop(kernel_id: str | None, all_: bool, as_json: bool) -> None:
    """End a kernel; returns when its process has gone.

    ID is a name of `runt jupyter ps`, the beginning of one, or the path of a connection file. The
    kernel is asked; one that does not end in five seconds is killed, if its process is known.

    \b
    Examples:
      runt jupyter stop brave-otter
      runt jupyter stop --all
    """
    if kernel_id is not None and all_:
        raise click.UsageError("Either a kernel ID or --all, not both.")
    if kernel_id is None and not all_:
        raise click.UsageError("Either provide a kernel ID or use --all to stop all kernels")
    from runt_cli.terminal import say, show_json

    results = _stop_all(quiet=as_json) if kernel_id is None else [_stop_one(kernel_id)]
    failed = [each for each in results if each["error"] is not None]
    stopped = [each for each in results if each["stopped"]]
    if as_json:
        show_json(results)
    elif kernel_id is not None:
        name = results[0]["kernel_id"]
        what = "stopped" if stopped else "was not running; its file is removed"
        say(f"Kernel with ID {name} {what}")
    elif stopped:
        click.echo(f"Stopped {len(stopped)} kernel{'' if len(stopped) == 1 else 's'}")
    elif not failed:
        click.echo("No running kernels found.")
    if failed:
        from runt_cli.failure import FAILED

        raise click.exceptions.Exit(FAILED)


def _result(kernel_id: str, stopped: bool, error: str | None = None) -> dict[str, Any]:
    return {"kernel_id": kernel_id, "stopped": stopped, "error": error}


def _stop_one(text: str) -> dict[str, Any]:
    import trio

    from runt_cli.jupyter.which_kernel import meant_kernel
    from runtimed.jupyter.ending import stop_kernel

    kernel = meant_kernel(text, "runt stop")
    return _result(kernel.kernel_id, trio.run(stop_kernel, kernel))


def _stop_all(*, quiet: bool) -> list[dict[str, Any]]:
    """Stop those that `start` has started, side by side, and say of each when it has ended."""
    import trio

    from runt_cli.terminal import say
    from runtimed.errors import RuntimedError
    from runtimed.jupyter.connection_files import kernel_id_of, read_connection_file
    from runtimed.jupyter.ending import stop_kernel
    from runtimed.jupyter.naming import own_connection_files

    results: list[dict[str, Any]] = []

    async def stop_all() -> None:
        async with trio.open_nursery() as nursery:
            for path in own_connection_files():
                nursery.start_soon(stop_one, path)

    async def stop_one(path: Path) -> None:
        name = kernel_id_of(path)
        try:
            stopped = await stop_kernel(read_connection_file(path))
            results.append(_result(name, stopped))
            if stopped and not quiet:
                say(f"Stopped {name}")
        except RuntimedError as error:
            results.append(_result(name, False, str(error)))
            if not quiet:
                say(f"Failed to stop {name}: {error}", err=True)

    trio.run(stop_all)
    return results
