"""`runt env explain`: which environment a notebook gets, why, and what would be installed."""

from __future__ import annotations

from typing import Any

import click

from runt_cli.options import kernel_options

__all__ = ["explain"]


@click.command
@click.argument("notebook", metavar="NOTEBOOK")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@kernel_options(default="auto")
def explain(notebook: str, as_json: bool, kernel: str, env: str) -> None:
    """Show which environment a notebook's kernel gets, and why.

    Reads the notebook's file, the project files above it and your settings. Needs no daemon, starts
    no kernel and installs nothing.

    \b
    Examples:
      runt env explain analysis.ipynb
      runt env explain analysis.ipynb --env conda:pixi
      runt env explain analysis.ipynb --json
    """
    from pathlib import Path

    import attrs

    from runt_cli.failure import fail
    from runtimed.client.opening import read_settings_file
    from runtimed.document.settings_values import Settings
    from runtimed.environments.explanation import explain_choice
    from runtimed.environments.resolution import resolve
    from runtimed.environments.situation import gather_situation, read_notebook_file
    from runtimed.environments.trust.approval import approval_of
    from runtimed.environments.trust.files import TrustFiles
    from runtimed.errors import RuntimedError

    path = Path(notebook).expanduser().absolute()
    settings = read_settings_file() or Settings()
    try:
        file = read_notebook_file(path)
        cells = [(cell.cell_type, cell.source) for cell in file.cells]
        situation = gather_situation(
            file.snapshot,
            cells,
            path,
            settings,
            kernel_type=kernel,
            env_source=env,
        )
        choice = resolve(situation)
        told = explain_choice(choice, situation.project_files, settings)
        approval = approval_of(choice, file.snapshot, cells, TrustFiles.of_user())
    except RuntimedError as error:
        raise fail("No kernel can be started", error) from error
    told = {
        "notebook": str(path),
        **told,
        "approved": approval.approved,
        "similar_names": [attrs.asdict(name) for name in approval.similar_names],
    }
    if approval.trouble is not None:
        told["notes"].append(approval.trouble)
    if as_json:
        from runt_cli.terminal import show_json

        show_json(told)
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    from runt_cli.terminal import tilde

    language = told["kernel_type"].capitalize()
    _line("Notebook:", [tilde(told["notebook"])])
    _line("Environment:", [f"{told['env_source']} ({language})"])
    _line("Because:", told["reasons"])
    if told["origin"] is not None:
        _line("From:", [tilde(told["origin"])])
    _line("Python:", [told.get("python")])
    _line("Conda packages:", told.get("conda_packages"))
    _line("Channels:", told.get("channels"))
    _line("PyPI packages:", told.get("packages"))
    _line("Editable:", [tilde(text) for text in told.get("editable", [])])
    _line("Options for uv:", told.get("options"))
    _line("Prereleases:", [told.get("prerelease")])
    _line("Indexes:", told.get("indexes"))
    _line("Variables:", [f"{name}={value}" for name, value in told.get("variables", {}).items()])
    deno = told.get("deno") or {}
    _line("Permissions:", deno.get("permissions"))
    _line("Import map:", [deno.get("import_map")])
    _line("Configuration:", [deno.get("config")])
    _line("Approval:", [_approval(told)])
    for name in told["similar_names"]:
        _line("Look-alike:", [f"{name['package']} is nearly {name['similar_to']}: which is meant?"])
    _line("Note:", told["notes"])


def _approval(told: dict[str, Any]) -> str:
    if told["approved"] is None:
        return "not needed"
    if told["approved"]:
        return "given on this machine"
    if told["consent"] == "project":
        return f"needed for the project file: runt trust NOTEBOOK, or --env {told['env_source']}"
    return "needed: nobody has approved the list on this machine (runt trust NOTEBOOK)"


def _line(label: str, values: Any) -> None:
    """A label with its values below each other; nothing if there are none."""
    for value in filter(None, values or ()):
        shown = "".join(c if c.isprintable() else "?" for c in str(value))
        click.echo(f"{label:<17}{shown}")
        label = ""
