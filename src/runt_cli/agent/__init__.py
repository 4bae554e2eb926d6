"""The group `runt agent`: agents in a sandbox."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["agent"]


@click.group(cls=LazyGroup, commands_in={"serve": "runtimed.agents.main:serve"})
def agent() -> None:
    """Serve agents to clients outside a sandbox."""
