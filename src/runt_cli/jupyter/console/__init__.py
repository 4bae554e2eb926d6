"""`runt jupyter console`: an interactive terminal on a kernel, or on a notebook of the daemon."""

from __future__ import annotations

import click

from runt_cli.jupyter.console.images import PROTOCOLS

__all__ = ["console"]


@click.command
@click.argument("kernel", required=False)
@click.option("--cmd", metavar="STRING", help="Start a kernel by this command line.")
@click.option("--existing", metavar="FILE_OR_ID", help="Attach to a kernel that runs.")
@click.option("--notebook", metavar="NOTEBOOK", help="Attach to a notebook of the daemon.")
@click.option(
    "--images",
    type=click.Choice(["auto", *PROTOCOLS]),
    default="auto",
    show_default=True,
    help="How images are shown.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every message of the kernel on stderr.")
def console(
    kernel: str | None,
    cmd: str | None,
    existing: str | None,
    notebook: str | None,
    images: str,
    verbose: bool,
) -> None:
    """Type code and see what it does.

    KERNEL is an installed kernel, such as python3; it ends with the console. In the command line of
    --cmd the word {connection_file} stands for the file that the kernel gets; quotes are as in a
    shell. With --notebook what is typed becomes cells, which everybody in the notebook sees, and
    what others run is shown. A kernel that was there before goes on running.

    Enter runs what is complete, Alt-Enter begins a new line, Tab completes. Ctrl-C interrupts what
    is running, Ctrl-D ends. Without a terminal, stdin is run piece by piece; the first error ends
    it with exit code 1.

    \b
    Examples:
      runt jupyter console python3
      runt jupyter console --existing brave-otter
      runt jupyter console --notebook analysis.ipynb
      echo 'print(6 * 7)' | runt jupyter console python3
    """
    from runt_cli.jupyter.console.places import place_of
    from runt_cli.jupyter.console.session import run_console

    place = place_of(kernel, cmd, existing, notebook)
    code = run_console(place, images=images, verbose=verbose)
    if code:
        raise click.exceptions.Exit(code)
