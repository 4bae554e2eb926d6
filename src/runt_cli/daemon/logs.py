"""`runt logs`: the end of the daemon's log, and what is added to it."""

from __future__ import annotations

import click

__all__ = ["logs"]

#: Seconds for the daemon to say what a notebook is called; the log can be read without it.
_PATIENCE = 2.0


def _count(text: str) -> int:
    """How many lines."""
    if not text.strip().isdecimal():
        raise click.BadParameter(f"{text!r} is no number of lines.")
    return int(text)


@click.command(short_help="Show the end of the daemon's log, or follow it.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    "--tail",
    type=_count,
    metavar="N",
    help="How many lines to begin with.  [default: 50; with --since all]",
)
@click.option(
    "--level",
    type=click.Choice(
        ["debug", "info", "warning", "warn", "error", "critical"], case_sensitive=False
    ),
    help="Only this level and graver ones.",
)
@click.option(
    "--notebook",
    metavar="NOTEBOOK",
    help="Only what names this notebook: its path, its file's name, or the beginning of its id.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Only what is newer: 10m, 1h30m, 2d, 14:30, yesterday, 2026-03-15.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object for each record.")
def logs(
    follow: bool,
    lines: int | None,
    level: str | None,
    notebook: str | None,
    since: str | None,
    as_json: bool,
) -> None:
    """Show the end of the daemon's log, files that were rotated away included.

    Lines that follow a record, such as a traceback, are shown with it. With --json, N counts
    records; each has time, level, logger, message, its fields, and such lines as detail. When no
    line is about the notebook that was asked for, that is said, and the exit code is 1.

    \b
    Examples:
      runt logs -n 200
      runt logs -f
      runt logs --level warning --since 1h
      runt logs --notebook analysis.ipynb
      runt logs --json --level error
    """
    import math
    import sys
    from datetime import datetime

    from runt_cli.failure import Fail
    from runt_cli.log_view import JsonPrinter, TextPrinter, last_wanted, parse_since
    from runt_cli.tail import follow_file, newest_first, whole_lines
    from runt_cli.terminal import is_terminal, uses_colour
    from runtimed.daemon.log_records import LEVELS, Wanted
    from runtimed.paths import default_paths

    try:
        moment = parse_since(since, datetime.now()) if since is not None else None
    except ValueError:
        raise click.BadParameter(
            f"{since!r} is no time; use 10m, 14:30, yesterday or 2026-03-15 14:30.",
            param_hint="--since",
        ) from None
    wanted = Wanted(
        level=LEVELS[level.upper()] if level else 0,
        rooms=_names_of(notebook) if notebook else (),
        since=moment,
    )
    count = lines if lines is not None else math.inf if moment else 50
    out = sys.stdout.buffer

    printer: JsonPrinter | TextPrinter
    if as_json:
        printer = JsonPrinter(out.write, wanted)
    else:
        terminal, colour = is_terminal(sys.stdout), uses_colour(sys.stdout)
        printer = TextPrinter(out.write, wanted, terminal=terminal, colour=colour)
    path = default_paths().log
    try:
        log = path.open("rb")
    except FileNotFoundError:
        raise Fail(f"Log file not found: {path}") from None
    with log:
        # Who follows shows the line that is just being written once it is whole.
        end = whole_lines(log) if follow else None
        if count:
            found = last_wanted(newest_first(path, log, end), wanted, count, of_records=as_json)
            printer.print(found)
            if notebook and not found:
                such = "such " if level or since else ""
                nothing = f"No {such}line about {notebook} in the log"
                if not follow:
                    raise Fail(nothing)
                click.echo(nothing, err=True)
        out.flush()
        if end is not None:
            log.seek(end)
            for data in follow_file(path, log):
                printer.feed(data)
                out.flush()


def _names_of(notebook: str) -> set[str]:
    """What the log may call a notebook: its id, its path, and the text itself.

    A notebook that was saved after it was opened has both; only a daemon that has it open knows.
    """
    from runt_cli.which_notebook import find_room, notebook_id_of
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import RuntimedError

    names = {notebook, notebook_id_of(notebook)}
    try:
        room = find_room(notebook, DaemonClient(timeout=_PATIENCE).list_rooms())
    except RuntimedError:
        return names
    if room is not None:
        names |= {str(room[key]) for key in ("notebook_id", "path") if room[key]}
    return names
