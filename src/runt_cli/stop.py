"""`runt stop`: end a notebook's kernel and close the notebook."""

from __future__ import annotations

import click

__all__ = ["stop"]


@click.command
@click.argument("notebook", metavar="NOTEBOOK")
def stop(notebook: str) -> None:
    """Stop a notebook: its kernel ends and the daemon closes it.

    NOTEBOOK is a path, or an id as `runt notebooks` shows it.

    \b
    Examples:
      runt stop analysis.ipynb
      runt stop 0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77
    """
    from runt_cli.failure import Fail, fail
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import RuntimedError

    client = DaemonClient()
    try:
        open_ids = {str(room["notebook_id"]) for room in client.list_rooms()}
        notebook_id = _notebook_id(notebook, open_ids)
        found = client.shutdown_notebook(notebook_id)
    except RuntimedError as error:
        raise fail(
            "Failed to shutdown notebook", error, "Is the daemon running? Try 'runt daemon status'"
        ) from error
    if not found:
        raise Fail(
            f"Notebook not found: {notebook_id}. Use 'runt notebooks' to see open notebooks."
        )
    click.echo(f"Shutdown notebook: {notebook_id}")


def _notebook_id(text: str, open_ids: set[str]) -> str:
    """The id that is meant: an open one, a UUID, or a path made canonical as the daemon does."""
    import uuid
    from pathlib import Path

    if text in open_ids:
        return text
    try:
        uuid.UUID(text)
    except ValueError:
        return str(Path(text).expanduser().resolve())
    return text
