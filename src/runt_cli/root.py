"""The top of the command tree: what `runt` alone, `--help` and `--version` show."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["runt"]


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from runt_cli.version import version

        click.echo(f"runt {version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    commands_in={
        "run": "runt_cli.run:run",
        "exec": "runt_cli.exec:exec_",
        "ps": "runt_cli.ps:ps",
        "open": "runt_cli.open:open_",
        "notebook": "runt_cli.open:open_",
        "notebooks": "runt_cli.notebooks:notebooks",
        "rooms": "runt_cli.rooms:rooms",
        "inspect": "runt_cli.inspect:inspect",
        "interrupt": "runt_cli.interrupt:interrupt",
        "stop": "runt_cli.stop:stop",
        "shutdown": "runt_cli.stop:stop",
        "trust": "runt_cli.trust:trust",
        "status": "runt_cli.daemon.status:status",
        "logs": "runt_cli.daemon.logs:logs",
        "doctor": "runt_cli.daemon.doctor:doctor",
        "completion": "runt_cli.completion:completion",
        "env": "runt_cli.env:env",
        "daemon": "runt_cli.daemon:daemon",
        "jupyter": "runt_cli.jupyter:jupyter",
        "agent": "runt_cli.agent:agent",
        "start": "runt_cli.jupyter.deprecated:start",
        "stop-kernel": "runt_cli.jupyter.deprecated:stop_kernel",
        "console": "runt_cli.jupyter.deprecated:console",
        "clean": "runt_cli.jupyter.deprecated:clean",
        "pool": "runt_cli.pool:pool",
        "dev": "runt_cli.dev:dev",
    },
    # Without second names, old ones, and what only makes sense in development.
    sections={
        "Notebooks": (
            "run",
            "exec",
            "open",
            "notebooks",
            "inspect",
            "interrupt",
            "stop",
            "trust",
            "env",
        ),
        "Kernels": ("ps", "jupyter"),
        "Daemon": ("status", "logs", "doctor", "daemon"),
        "More": ("agent", "completion"),
    },
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def runt(ctx: click.Context) -> None:
    """CLI for Jupyter Runtimes.

    Runs notebooks and code through the runtimed daemon, which is started when it is not there yet,
    and shows what the daemon is doing.

    \b
    Examples:
      runt run analysis.ipynb --save       run a notebook, keep its outputs in the file
      runt exec 'print(6 * 7)'             run a piece of code in a new session
      runt ps                              the kernels that are running
      runt daemon status                   the daemon, its pools and where its files are
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
