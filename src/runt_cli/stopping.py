"""Stopping and interrupting open notebooks that a user named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runt_cli.asking import IS_IT_RUNNING, WORK_LIMIT, daemon_client
from runt_cli.failure import Fail, fail
from runt_cli.open_notebooks import open_notebooks
from runt_cli.which_notebook import Room, find_room, names_file, not_found
from runtimed.errors import DaemonSilent, DaemonUnreachable, RuntimedError

__all__ = ["interrupt_notebook", "stop_notebooks"]

_STOPPING = "Failed to shutdown notebook"
_INTERRUPTING = "Failed to interrupt notebook"


def stop_notebooks(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Stop the named notebooks, all open ones without a name; each is tried, whatever became of
    those before it.

    Shape: for each `notebook` as it was named, `notebook_id` (null if none is meant), `stopped`,
    and `error`, a sentence, if it was not.
    Raises: Fail if the daemon can't be asked at all.
    """
    rooms = open_notebooks(_STOPPING)
    results = []
    done: set[str] = set()
    for text in texts or [str(room["notebook_id"]) for room in rooms]:
        result: dict[str, Any] = {"notebook": text, "notebook_id": None, "stopped": False}
        try:
            notebook_id = result["notebook_id"] = _notebook_id(text, rooms, "stop")
            # Named twice, perhaps in two ways: it is stopped once.
            if notebook_id not in done and not _stop(notebook_id):
                raise not_found(text)
            done.add(notebook_id)
            result["stopped"] = True
        except Fail as error:
            result["error"] = error.message
        results.append(result)
    return results


def _notebook_id(text: str, rooms: Sequence[Room], verb: str) -> str:
    """The id of the open notebook that is meant. Who means a kernel of Jupyter is told the command
    for those."""
    room = find_room(text, rooms)
    if room is not None:
        return str(room["notebook_id"])
    from runtimed.jupyter.connection_files import connection_files, kernel_id_of
    from runtimed.jupyter.folders import runtime_folder

    if not names_file(text):
        ids = sorted(map(kernel_id_of, connection_files(runtime_folder())[0]))
        meant = [text] if text in ids else [each for each in ids if text and each.startswith(text)]
        if len(meant) == 1:
            raise Fail(f"{meant[0]} is a kernel of Jupyter: use 'runt jupyter {verb} {meant[0]}'")
    if text and (warm := _warm_kernels(text)):
        raise Fail(
            f"{', '.join(warm)}: warm, no notebook's yet. 'runt daemon flush' ends such kernels"
        )
    raise not_found(text)


def _warm_kernels(text: str) -> list[str]:
    """The kernels that wait for a notebook whose id begins so."""
    try:
        kernels = daemon_client().list_kernels()
    except RuntimedError:
        return []  # it has answered just before, and what is missing is said all the same
    ids = [str(each["kernel_id"]) for each in kernels if each["kernel_status"] == "warm"]
    return [each for each in ids if each.startswith(text)]


def _stop(notebook_id: str) -> bool:
    try:
        return daemon_client(WORK_LIMIT).shutdown_notebook(notebook_id)
    except (DaemonSilent, DaemonUnreachable) as error:
        raise fail(_STOPPING, error, IS_IT_RUNNING) from error
    except RuntimedError as error:
        raise fail(f"{_STOPPING} {notebook_id}", error) from error


def interrupt_notebook(text: str) -> dict[str, Any]:
    """Interrupt what the named notebook runs.

    Shape: `notebook_id`, `has_kernel`, `running` (a cell was interrupted), `dropped` (how many
    waited behind it).
    Raises: Fail.
    """
    notebook_id = _notebook_id(text, open_notebooks(_INTERRUPTING), "interrupt")
    try:
        result = daemon_client().interrupt_notebook(notebook_id)
    except RuntimedError as error:
        raise fail(_INTERRUPTING, error, IS_IT_RUNNING) from error
    if not result.pop("found"):
        raise not_found(text)
    return {"notebook_id": notebook_id, **result}
