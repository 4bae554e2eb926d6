"""The group `runt jupyter`: kernels with a connection file, which no daemon owns."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["jupyter"]


@click.group(
    cls=LazyGroup,
    commands_in={
        "ps": "runt_cli.jupyter.ps:ps",
        "start": "runt_cli.jupyter.start:start",
        "stop": "runt_cli.jupyter.stop:stop",
        "interrupt": "runt_cli.jupyter.interrupt:interrupt",
        "exec": "runt_cli.jupyter.exec:exec_",
        "console": "runt_cli.jupyter.console:console",
        "clean": "runt_cli.jupyter.clean:clean",
    },
    short_help="Kernels outside of the daemon, with a connection file.",
)
def jupyter() -> None:
    """Kernels outside of the daemon: those with a Jupyter connection file."""
