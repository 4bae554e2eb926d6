"""The group `runt env`: the environments that kernels run in."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["env"]


@click.group(
    cls=LazyGroup,
    commands_in={
        "list": "runt_cli.env.list:list_",
        "clean": "runt_cli.env.clean:clean",
        "explain": "runt_cli.env.explain:explain",
    },
    short_help="Look at the environments that kernels run in.",
)
def env() -> None:
    """Look at the environments that kernels run in, and remove those that nobody uses."""
