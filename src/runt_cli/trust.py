"""`runt trust`: look at what a notebook would install, and approve it."""

from __future__ import annotations

import click

__all__ = ["trust"]


@click.command
@click.argument("notebook", metavar="NOTEBOOK")
@click.option("--yes", is_flag=True, help="Approve without being asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and ask nothing.")
def trust(notebook: str, yes: bool, as_json: bool) -> None:
    """Show what a notebook would have installed, and approve it.

    Packages from its metadata and its script block are installed only once they are approved on
    this machine; so is what a project file asks for, before a kernel starts by itself. What you
    approve is signed in the notebook's file, and holds until its dependencies change. A notebook
    that is open in the daemon is approved there, too. No daemon is needed.

    To take an approval back, remove the packages; to take all back, delete the file trust-key in
    the folder `runt` of your configuration.

    Exit code: 0 when nothing is left to approve, 1 otherwise.

    \b
    Examples:
      runt trust analysis.ipynb            look, and be asked
      runt trust analysis.ipynb --yes      approve
      runt trust analysis.ipynb --json     look
    """
    import sys

    from runt_cli.failure import Fail
    from runt_cli.terminal import is_terminal, show_json
    from runt_cli.trust_report import as_json_value, described
    from runt_cli.trusting import Subject
    from runtimed.errors import RuntimedError

    try:
        subject = Subject.of(notebook)
        if as_json and not yes:
            show_json(as_json_value(subject))
        else:
            if not as_json:
                click.echo(described(subject), nl=False)
            if subject.needs_approval:
                if not yes and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
                    raise Fail("Not approved: pass --yes to approve it without being asked")
                if not yes and not click.confirm("Approve this?"):
                    raise Fail("Not approved.")
                subject = subject.approved()
                if not as_json:
                    click.echo("Approved.")
            if as_json:
                show_json(as_json_value(subject))
    except RuntimedError as error:
        raise Fail(f"Error: {error}") from error
    if subject.needs_approval:
        raise click.exceptions.Exit(1)
