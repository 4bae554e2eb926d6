"""`runt logs`: the end of the daemon's log, and what is added to it."""

from __future__ import annotations

import click

__all__ = ["logs"]


@click.command
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="How many lines to begin with.",
)
def logs(follow: bool, lines: int) -> None:
    """Show the end of the daemon's log.

    \b
    Examples:
      runt logs -n 200
      runt logs -f
    """
    import sys

    from runt_cli.failure import Fail
    from runt_cli.tail import follow_file, last_lines
    from runtimed.paths import default_paths

    path = default_paths().log
    out = sys.stdout.buffer
    try:
        with path.open("rb") as log:
            out.write(last_lines(log, lines))
            out.flush()
            if follow:
                for data in follow_file(path, log):
                    out.write(data)
                    out.flush()
    except FileNotFoundError:
        raise Fail(f"Log file not found: {path}") from None
