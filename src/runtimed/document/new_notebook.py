"""What a notebook that nobody has written yet contains."""

from __future__ import annotations

import uuid
from typing import Any

from runtimed.document.notebook import NotebookDocument

__all__ = ["fill_new_notebook", "new_metadata"]


def new_metadata(notebook_id: str, runtime: str, default_env: str) -> dict[str, Any]:
    """The metadata snapshot of a new notebook."""
    runt: dict[str, Any] = {"schema_version": "1", "env_id": notebook_id}
    if runtime == "deno":
        return {
            "kernelspec": {"name": "deno", "display_name": "Deno", "language": "typescript"},
            "language_info": {"name": "typescript"},
            "runt": runt,
        }
    if default_env == "conda":
        runt["conda"] = {"dependencies": [], "channels": ["conda-forge"]}
    else:
        runt["uv"] = {"dependencies": []}
    return {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "runt": runt,
    }


def fill_new_notebook(
    doc: NotebookDocument,
    notebook_id: str,
    runtime: str = "python",
    default_env: str = "uv",
    cell_id: str | None = None,
) -> str:
    """Fill an empty document as a new notebook: one empty code cell, metadata for the runtime.

    Returns: the id of the cell, which is random unless given.
    """
    cell_id = cell_id or str(uuid.uuid4())
    with doc.batch():
        doc.insert_cell(cell_id, "code")
        doc.set_metadata_snapshot(new_metadata(notebook_id, runtime, default_env))
    return cell_id
