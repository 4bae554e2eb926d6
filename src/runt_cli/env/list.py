"""`runt env list`: the environments on this machine, how large they are and who uses them."""

from __future__ import annotations

import click

from runt_cli.table import Column

__all__ = ["list_"]

_COLUMNS = (
    Column("WHAT", rank=4),
    Column("KIND", rank=6),
    Column("SIZE", rank=2, right=True),
    Column("AGE", rank=7, right=True),
    Column("LAST USED", rank=3, right=True),
    Column("IN USE", rank=5),
    Column("PACKAGES", rank=0, shorten="end"),
    Column("PATH", rank=1, shorten="path", shortest=12),
)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the environments that kernels run in.

    The cached ones, which all your notebooks and daemons share, and those of this daemon's pools. A
    size counts files also where uv's own cache shares them. Needs no daemon.

    WHAT is `cached`: kept for every notebook that wants the same packages; `copy`: a notebook's
    own, made from the cached one with these packages to install more; `pool`: built ahead, it waits
    for a notebook or one has taken it; `leftover`: what a build left that was killed.

    \b
    Examples:
      runt env list
      runt env list --json
    """
    from runtimed.environments.cache_folders import default_cache_folder
    from runtimed.environments.inventory import listing
    from runtimed.paths import cache_root, default_paths

    found = listing(default_cache_folder(cache_root()), default_paths().envs)
    if as_json:
        import attrs

        from runt_cli.terminal import show_json

        show_json([{**attrs.asdict(one), "path": str(one.path)} for one in found])
        return
    if not found:
        click.echo("No environments.")
        return
    import time

    from runt_cli.env.amounts import ago, size
    from runt_cli.terminal import show_table, tilde

    now = time.time()
    show_table(
        _COLUMNS,
        [
            (
                one.origin,
                one.kind,
                size(one.size),
                ago(one.created, now),
                ago(one.last_used, now),
                "yes" if one.in_use else "no",
                ", ".join(one.packages),
                tilde(str(one.path)),
            )
            for one in found
        ],
    )
