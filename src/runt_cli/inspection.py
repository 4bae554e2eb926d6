"""What a notebook holds: asked for, put into the shape of `--json`, and printed."""

from __future__ import annotations

from typing import Any

import click

from runt_cli.asking import IS_IT_RUNNING, WORK_LIMIT, daemon_client
from runt_cli.failure import Fail, fail
from runt_cli.open_notebooks import open_notebooks
from runt_cli.output_summary import full_outputs as all_of
from runt_cli.output_summary import output_line, summarized_outputs
from runt_cli.output_text import rich_text, traceback_text
from runt_cli.table import printable, shortened
from runt_cli.terminal import tilde, uses_colour, without_colour
from runt_cli.which_notebook import absolute_path, find_room, not_found, notebook_id_of
from runtimed.client.resolve import OutputReader, output_from
from runtimed.errors import RequestFailed, RuntimedError
from runtimed.paths import default_paths

__all__ = ["inspected", "show_inspection"]

_ACTION = "Failed to inspect notebook"

#: Characters of a source that are shown, in JSON and on a line.
_PREVIEW, _LINE = 80, 60

_SOURCES = {"live_room": "open in the daemon", "persisted_file": "from the file"}


def inspected(text: str, *, full_outputs: bool) -> dict[str, Any]:
    """What the daemon has of a notebook, open or saved.

    Shape: `notebook_id`, `source` (`live_room` or `persisted_file`), `kernel_info` (or null),
    `cells`, each with `outputs` as `output_summary` makes them, and with its whole `source` if
    outputs are wanted in full.
    Raises: Fail.
    """
    room = find_room(text, open_notebooks(_ACTION))
    ids = [str(room["notebook_id"])] if room else [notebook_id_of(text), text]
    state = _asked_for(ids)
    if state is None:
        raise _nothing_of(text)
    reader = _output_reader()
    outputs = all_of if full_outputs else summarized_outputs
    return {
        "notebook_id": state["notebook_id"],
        "source": state["source"],
        "kernel_info": state["kernel_info"],
        "cells": [
            {
                "id": cell["id"],
                "cell_type": cell["cell_type"],
                "source_preview": _preview(cell["source"], _PREVIEW),
                "source_len": len(cell["source"].encode()),
                **({"source": cell["source"]} if full_outputs else {}),
                "execution_count": cell["execution_count"],
                "outputs": outputs(cell["outputs"], reader.read),
            }
            for cell in state["cells"]
        ],
    }


def _asked_for(ids: list[str]) -> dict[str, Any] | None:
    for notebook_id in ids:
        try:
            return daemon_client(WORK_LIMIT).inspect_notebook(notebook_id)
        except RequestFailed as error:
            if "Notebook not found" not in str(error):
                raise fail(_ACTION, error) from error
        except RuntimedError as error:
            raise fail(_ACTION, error, IS_IT_RUNNING) from error
    return None


def _nothing_of(text: str) -> Fail:
    if absolute_path(text).is_file():
        return Fail(
            f"{_ACTION}: {text} is a file that this daemon has never had open. "
            f"'runt open {text}' opens it"
        )
    return not_found(text)


def _output_reader() -> OutputReader:
    """Reads blobs where the daemon has them: on disk, else from its server."""
    from runt_cli.daemon.process import daemon_info

    paths = default_paths()
    port = (daemon_info(paths) or {}).get("blob_port")
    return OutputReader(paths.blobs, port if isinstance(port, int) else None)


def _preview(source: str, length: int) -> str:
    return source if len(source) <= length else source[:length] + "..."


# ---------------------------------------------------------------------- for people


def show_inspection(found: dict[str, Any]) -> None:
    """Print a notebook: what it is, then a line for each cell and, indented, for each output."""
    click.echo(f"Notebook: {printable(tilde(found['notebook_id']))}")
    click.echo(f"Source: {_SOURCES.get(found['source'], found['source'])}")
    click.echo(f"Kernel: {_kernel(found['kernel_info'])}")
    click.echo(f"Cells ({len(found['cells'])}):")
    click.echo("-" * 60)
    for number, cell in enumerate(found["cells"], 1):
        outputs = cell["outputs"]
        count = cell["execution_count"] if cell["execution_count"] != "null" else " "
        preview = printable(shortened(" ".join(cell["source_preview"].split()), _LINE))
        many = f" ({len(outputs)} output{'' if len(outputs) == 1 else 's'})" if outputs else ""
        click.echo(f"{number:>3} [{count}] {cell['cell_type']}: {preview}{many}".rstrip())
        for output in outputs:
            _show_output(output)


def _kernel(info: dict[str, Any] | None) -> str:
    if info is None:
        return "none"
    return f"{info['kernel_type'] or '-'} ({info['env_source'] or '-'}) - {info['status']}"


def _show_output(output: Any) -> None:
    import sys

    if not isinstance(output, dict) or "size" in output:
        click.echo(f"      {output_line(output)}")
        return
    whole = output_from(output)
    colour = uses_colour(sys.stdout)
    if whole.output_type == "error":
        text = traceback_text(whole, colour=colour)
    elif whole.data is not None:
        text = rich_text(whole.data)
    else:
        text = whole.text or ""
    for line in text.splitlines():
        click.echo(f"      {line if colour else without_colour(line)}")
