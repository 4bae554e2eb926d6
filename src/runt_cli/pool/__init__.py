"""The group `runt pool`: what `runt daemon` was called, kept for scripts."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["pool"]


@click.group(
    cls=LazyGroup,
    commands_in={
        "ping": "runt_cli.pool.renamed:ping",
        "status": "runt_cli.pool.status:status",
        "info": "runt_cli.pool.info:info",
        "take": "runt_cli.pool.take:take",
        "flush": "runt_cli.pool.renamed:flush",
        "shutdown": "runt_cli.pool.renamed:shutdown",
    },
    hidden=True,
)
def pool() -> None:
    """Deprecated: use `runt daemon`."""
    click.echo("Warning: 'runt pool' is deprecated. Use 'runt daemon' instead.", err=True)
