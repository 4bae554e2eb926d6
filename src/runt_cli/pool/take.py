"""`runt pool take`: an environment out of a pool, for a program of one's own."""

from __future__ import annotations

import click

__all__ = ["take"]


@click.command
@click.argument("env_type", default="uv", metavar="[uv|conda]")
def take(env_type: str) -> None:
    """Take an environment out of a pool and print it as JSON.

    It is the caller's from then on, until the daemon ends.

    \b
    Example:
      runt pool take uv
    """
    from runt_cli.asking import daemon_client
    from runt_cli.failure import Fail, fail
    from runt_cli.terminal import show_json
    from runtimed.errors import RuntimedError

    if env_type not in ("uv", "conda"):
        raise Fail(f"Invalid env_type: {env_type}. Use 'uv' or 'conda'.")
    try:
        environment = daemon_client().take_environment("uv" if env_type == "uv" else "conda")
    except RuntimedError as error:
        raise fail("Failed to take environment", error) from error
    if environment is None:
        raise Fail(f"Pool empty for {env_type}")
    show_json(environment)
