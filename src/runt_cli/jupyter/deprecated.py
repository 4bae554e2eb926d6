"""The names that commands of `runt jupyter` had at the top, and have no more.

`runt exec` and `runt interrupt` are not among them: these names belong to notebooks now.
"""

from __future__ import annotations

from typing import Any

import click

from runt_cli.jupyter.clean import clean as _clean
from runt_cli.jupyter.console import console as _console
from runt_cli.jupyter.start import start as _start
from runt_cli.jupyter.stop import stop as _stop

__all__ = ["clean", "console", "start", "stop_kernel"]


def _formerly(old: str, command: click.Command) -> click.Command:
    """The command under its old name, which warns first."""
    new = f"jupyter {command.name}"
    run = command.callback
    assert run is not None

    def warn_and_run(**values: Any) -> Any:
        warning = f"Warning: 'runt {old}' is deprecated. Use 'runt {new}' instead."
        click.echo(warning, err=True)
        return run(**values)

    return click.Command(
        old,
        callback=warn_and_run,
        params=list(command.params),
        help=command.help,
        hidden=True,
    )


start = _formerly("start", _start)
stop_kernel = _formerly("stop-kernel", _stop)
clean = _formerly("clean", _clean)
console = _formerly("console", _console)
