"""`runt daemon run`: the daemon in the foreground."""

from __future__ import annotations

import click

__all__ = ["run"]


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    options_metavar="[OPTIONS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run the daemon in the foreground.

    Takes the options of `runtimed run`; `runt daemon run --help` lists them.
    """
    import os

    from runtimed.own_programs import own_program

    if not {"-h", "--help"} & set(arguments):
        _mention_service()
    # This process becomes the daemon: signals and the process id are then the daemon's own.
    command = own_program("runtimed", "run", *arguments)
    os.execv(command[0], command)


def _mention_service() -> None:
    from runtimed.errors import RuntimedError
    from runtimed.paths import own_paths
    from runtimed.service.installation import installed_service

    try:
        service = installed_service(own_paths())
    except RuntimedError:
        return  # the daemon says what is wrong
    if service is not None:
        click.echo(
            "The service is installed, too; while this daemon runs, the service's gives way.",
            err=True,
        )
