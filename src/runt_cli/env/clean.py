"""`runt env clean`: remove cached environments that nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runt_cli.env.amounts import ago, duration

if TYPE_CHECKING:
    from runtimed.environments.inventory import Listed

__all__ = ["clean"]

_DEFAULT = 30 * 86400.0


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
    import time

    from runt_cli.env.amounts import size
    from runt_cli.failure import fail
    from runt_cli.terminal import say, show_json, tilde
    from runtimed.environments import inventory
    from runtimed.environments.cache_folders import default_cache_folder
    from runtimed.paths import cache_root

    try:
        removed = inventory.clean(
            default_cache_folder(cache_root()),
            now=time.time(),
            older_than=_DEFAULT if older_than is None else older_than,
            everything=everything,
            dry_run=dry_run,
        )
    except OSError as error:
        raise fail("Not everything was removed", error) from error
    freed = sum(one.size for one in removed)
    if as_json:
        paths = [str(one.path) for one in removed]
        show_json({"removed": paths, "bytes": freed, "dry_run": dry_run})
        return
    if not removed:
        kept = inventory.listing(default_cache_folder(cache_root()))
        click.echo(_why_nothing(kept, None if everything else older_than or _DEFAULT))
        return
    word = "Would remove" if dry_run else "Removed"
    for one in removed:
        say(f"{word} {tilde(str(one.path))} ({size(one.size)})")
    count = "1 environment" if len(removed) == 1 else f"{len(removed)} environments"
    click.echo(f"{word} {count}, {size(freed)}.")


def _why_nothing(kept: list[Listed], age: float | None) -> str:
    """Why none of the cached environments went; `age` in seconds, None if any was meant."""
    if not kept:
        why = "no environment is in the cache"
    elif (used := sum(one.in_use for one in kept)) == len(kept):
        why = "the only environment is in use" if used == 1 else f"all {used} are in use"
    elif age is None:
        why = "what was not in use has just gone or is in use now"
    else:
        why = f"of {len(kept)} cached {used} in use, and none was unused for {ago(0.0, age)}"
    return f"Nothing to remove: {why}. The pools' go with 'runt daemon flush'."
