"""`runt env list`: the environments on this machine, how large they are and who uses them."""

from __future__ import annotations

import click

__all__ = ["list_"]


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the environments that kernels run in.

    The cached ones, which all your notebooks and daemons share, and those of this daemon's pools. A
    size counts files also where uv's own cache shares them. Needs no daemon.

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
        ("WHAT", "KIND", "SIZE", "AGE", "LAST USED", "IN USE", "PACKAGES", "PATH"),
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
