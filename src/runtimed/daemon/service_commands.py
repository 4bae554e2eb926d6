"""`runtimed install` and the older names of what `runt daemon` does.

They become `runt`, so that there is one behaviour. This package knows nothing of the command line
above it but its name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from runtimed.own_programs import own_program

__all__ = ["SERVICE_COMMANDS"]

#: Old name -> name below `runt daemon`.
_DEPRECATED = {
    "uninstall": "uninstall",
    "start": "start",
    "stop": "stop",
    "status": "status",
    "flush-pool": "flush",
}


@click.command
@click.option(
    "--binary",
    type=click.Path(path_type=Path),
    help="The daemon to install.  [default: this one]",
)
def install(binary: Path | None) -> None:
    """Install the daemon as a service of this user, or upgrade it, and start it."""
    _become("install", "--now", *(("--binary", str(binary)) if binary is not None else ()))


def _deprecated(old: str, new: str) -> click.Command:
    @click.command(
        old,
        hidden=True,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
        help=f"Use 'runt daemon {new}' instead.",
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        click.echo(
            f"Warning: 'runtimed {old}' is deprecated. Use 'runt daemon {new}' instead.", err=True
        )
        _become(new, *arguments)

    return command


def _become(*arguments: str) -> NoReturn:
    sys.stderr.flush()
    command = own_program("runt_cli", "daemon", *arguments)
    os.execv(command[0], command)


SERVICE_COMMANDS = [install, *(_deprecated(old, new) for old, new in _DEPRECATED.items())]
