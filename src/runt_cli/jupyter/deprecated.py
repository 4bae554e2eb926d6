"""The names that commands of `runt jupyter` had at the top, and have no more.

`runt exec` and `runt interrupt` are not among them: these names belong to notebooks now.
"""

from __future__ import annotations

import inspect
from typing import Any

import click

from runt_cli.jupyter.clean import clean as _clean
from runt_cli.jupyter.console import console as _console
from runt_cli.jupyter.start import start as _start
from runt_cli.jupyter.stop import stop as _stop

__all__ = ["clean", "console", "start", "stop_kernel"]


def _formerly(old: str, command: click.Command, hint: str = "") -> click.Command:
    """The command under its old name, which warns first. `hint` ends what is said of a wrong use,
    for who meant something else by that name."""
    new = f"jupyter {command.name}"
    run = command.callback
    assert run is not None

    def warn_and_run(**values: Any) -> Any:
        warning = f"Warning: 'runt {old}' is deprecated. Use 'runt {new}' instead."
        click.echo(warning, err=True)
        try:
            return run(**values)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} {hint}".rstrip(), error.ctx) from None

    return click.Command(
        old,
        callback=warn_and_run,
        params=list(command.params),
        help=f"Deprecated: use 'runt {new}'.\n\n{inspect.cleandoc(command.help or '')}",
        hidden=True,
    )


start = _formerly("start", _start, "'runt daemon start' starts the daemon.")
stop_kernel = _formerly("stop-kernel", _stop)
clean = _formerly("clean", _clean)
console = _formerly("console", _console)
