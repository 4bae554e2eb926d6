"""`runt env clean`: remove cached environments that nobody uses."""

from __future__ import annotations

import click

from runt_cli.env.amounts import duration

__all__ = ["clean"]


@click.command
@click.option(
    "--older-than",
    type=duration,
    metavar="TIME",
    help="Remove what was unused for so long, such as 12h, 7d or 2w.  [default: 30d]",
)
@click.option("--all", "everything", is_flag=True, help="Remove whatever is not in use.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def clean(older_than: float | None, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove cached environments that nobody uses.

    What was left by builds that were killed goes as well. An environment that a kernel runs in
    stays, whatever is asked; so do the pools, for which there is `runt daemon flush`. What is
    removed is built anew when a notebook wants it again. Needs no daemon.

    \b
    Examples:
      runt env clean                       what was unused for 30 days
      runt env clean --older-than 7d
      runt env clean --all --dry-run       what could go
    """
    if everything and older_than is not None:
        raise click.UsageError("--all and --older-than exclude each other.")
    import math
    import time

    from runt_cli.env.amounts import size
    from runt_cli.env.cached import cache_folder
    from runt_cli.terminal import show_json, tilde
    from runtimed.environments.cache_folders import (
        choose_removals,
        folder_size,
        known_in,
        remove_unused,
    )

    root = cache_folder()
    default = 30 * 86400.0
    max_age = -math.inf if everything else default if older_than is None else older_than
    going = choose_removals(known_in(root), time.time(), max_age=max_age, max_size=math.inf)
    removed: list[tuple[str, int]] = []
    failed: list[str] = []
    for path in going:
        bytes_in_it = folder_size(path)
        try:
            if dry_run or remove_unused(root, path):
                removed.append((str(path), bytes_in_it))
        except OSError as error:
            failed.append(f"{path}: {error}")
    freed = sum(one for _, one in removed)
    if as_json:
        show_json({"removed": [path for path, _ in removed], "bytes": freed, "dry_run": dry_run})
    else:
        word = "Would remove" if dry_run else "Removed"
        for name, one in removed:
            click.echo(f"{word} {tilde(name)} ({size(one)})")
        count = "1 environment" if len(removed) == 1 else f"{len(removed)} environments"
        click.echo(f"{word} {count}, {size(freed)}.")
    if failed:
        from runt_cli.failure import Fail

        raise Fail("Not removed: " + "; ".join(failed))
