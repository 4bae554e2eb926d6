"""`runt pool status`: how full the pools are."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["status"]

#: Characters of why a pool can't be filled; `runt daemon status` has more.
_REASON = 60


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show how full the pools are; `runt daemon status` shows more.

    \b
    Example:
      runt pool status --json
    """
    from runt_cli.asking import daemon_client
    from runt_cli.failure import fail
    from runtimed.errors import RuntimedError

    try:
        stats = daemon_client().status()
    except RuntimedError as error:
        raise fail("Failed to get status", error) from error
    if as_json:
        from runt_cli.terminal import show_json

        show_json(stats)
        return
    for kind, name in (("uv", "UV"), ("conda", "Conda")):
        available, warming = stats[f"{kind}_available"], stats[f"{kind}_warming"]
        click.echo(f"{name}: {available} available, {warming} warming")
        if trouble := stats.get(f"{kind}_error"):
            _show_trouble(trouble)


def _show_trouble(error: dict[str, Any]) -> None:
    reason = str(error["message"])
    click.echo(f"  Error: {reason[:_REASON]}{'...' if len(reason) > _REASON else ''}")
    if error.get("failed_package"):
        click.echo(f"  Failed package: {error['failed_package']}")
    click.echo(
        f"  Failed {error['consecutive_failures']} times, next try in {error['retry_in_secs']} s"
    )
