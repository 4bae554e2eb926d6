"""Requests on a notebook channel: which call of the room answers each of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import trio

from runtimed.environments.resolution import RESOLVE
from runtimed.environments.trust.standing import Standing
from runtimed.errors import CellNotFound, KernelDied, RuntimedError
from runtimed.protocol import requests, responses
from runtimed.protocol.structures import CompletionItem, HistoryEntry, SimilarName
from runtimed.rooms.peer import Peer
from runtimed.rooms.room import Room

__all__ = ["LONG_REQUESTS", "answer", "start_at_once"]

log = logging.getLogger(__name__)

#: Seconds the kernel has for completions and history, and a document to catch up with a client.
_KERNEL_ANSWER = 5.0
_CATCH_UP = 30.0

#: The same for a client whose requests can't say what they build on. It may be waiting for the
#: answer before it sends what is missing, so this is not long.
_CATCH_UP_UNNAMED = 1.0

#: These may take long; with an id of their own they hold up nothing behind them.
LONG_REQUESTS = (
    requests.LaunchKernel,
    requests.ShutdownKernel,
    requests.Complete,
    requests.GetHistory,
    requests.SaveNotebook,
    requests.CloneNotebook,
    requests.SyncEnvironment,
    requests.GetHeads,
    requests.GetTrust,
    requests.ApproveTrust,
    requests.LeaveNotebook,
)


#: How an error that nobody has foreseen begins.
_FAILURES = {
    requests.LaunchKernel: "Failed to launch kernel",
    requests.ExecuteCell: "Failed to queue cell",
    requests.RunAllCells: "Failed to queue cell",
    requests.ClearOutputs: "Failed to clear outputs",
    requests.InterruptExecution: "Failed to interrupt",
    requests.ShutdownKernel: "Failed to shutdown kernel",
    requests.SaveNotebook: "Failed to save notebook",
    requests.Complete: "Failed to get completions",
    requests.GetHistory: "Failed to get history",
}


async def answer(room: Room, peer: Peer, request: Any, written_in: int) -> Any:
    """The response to a request; an error becomes one too.

    `written_in` is the epoch of the heads that it names, if any.
    """
    handler = _HANDLERS.get(type(request))
    if handler is None:
        return responses.Error(error=f"{type(request).__name__} is not available in this version")
    try:
        if hasattr(request, "heads"):
            await _wait_edits(room, peer, request.heads, written_in)
        return await handler(room, peer, request)
    except CellNotFound as error:
        return responses.Error(error=f"Cell not found in document: {error.cell_id}")
    except RuntimedError as error:
        return responses.Error(error=str(error))
    except Exception as error:
        log.exception("request failed request=%r", request)
        what = _FAILURES.get(type(request), "Internal error")
        return responses.Error(error=f"{what}: {type(error).__name__}: {error}")


def start_at_once(room: Room, peer: Peer, request: Any) -> responses.CellQueued | None:
    """Run a cell right away, if that is what is asked and nothing has to be waited for.

    None for everything else: then `answer` is to do it.
    """
    if not isinstance(request, requests.ExecuteCell) or not room.has_kernel:
        return None
    if len(room.runner.queue):
        return None
    if request.heads is None:
        if not room.epochs.has_announced(peer):
            return None
    elif not room.document.has_heads(request.heads):
        return None
    try:
        execution = room.runner.execute(request.cell_id)
    except RuntimedError:
        return None
    return responses.CellQueued(cell_id=request.cell_id, execution_id=execution.id)


async def _launch_kernel(room: Room, peer: Peer, request: requests.LaunchKernel) -> Any:
    search_from = Path(request.notebook_path) if request.notebook_path else None
    launched, found = await room.launch(request.kernel_type, request.env_source, search_from)
    notes = launched.notes
    if found and request.env_source in RESOLVE and (note := room.environment.note()) is not None:
        notes = (*notes, note)
    answer_type = responses.KernelAlreadyRunning if found else responses.KernelLaunched
    return answer_type(
        kernel_type=launched.kernel_type,
        env_source=launched.env_source,
        launched_config=launched.launched_config,
        notes=notes,
    )


async def _execute_cell(room: Room, peer: Peer, request: requests.ExecuteCell) -> Any:
    if not room.has_kernel:
        room.document.cell_type(request.cell_id)
        return responses.NoKernel()
    if request.alone and len(room.runner.queue):
        return _queue_state(room)
    execution = room.runner.execute(request.cell_id)
    return responses.CellQueued(cell_id=request.cell_id, execution_id=execution.id)


async def _queue_cell(room: Room, peer: Peer, request: requests.QueueCell) -> Any:
    """Deprecated: runs the document's text, which the peer has written there before."""
    if not room.has_kernel:
        return responses.NoKernel()
    execution = room.runner.execute(request.cell_id)
    return responses.CellQueued(cell_id=request.cell_id, execution_id=execution.id)


async def _run_all_cells(room: Room, peer: Peer, request: requests.RunAllCells) -> Any:
    await room.wait_loaded()
    if not room.has_kernel:
        return responses.NoKernel()
    document = room.document
    code_cells = [cell for cell in document.cell_ids() if document.cell_type(cell) == "code"]
    executions = {cell: room.runner.execute(cell).id for cell in code_cells}
    return responses.AllCellsQueued(count=len(code_cells), executions=executions)


async def _wait_edits(room: Room, peer: Peer, heads: Sequence[str] | None, written_in: int) -> None:
    """Wait until what the client has written before its request has arrived."""
    if heads is None:
        with trio.move_on_after(_CATCH_UP_UNNAMED):
            await room.wait_announced(peer)
        return
    if room.epochs.has(peer, heads, written_in):
        return
    with trio.move_on_after(_CATCH_UP) as patience:
        await room.wait_edits(peer, heads, written_in)
    if patience.cancelled_caught:
        raise RuntimedError("The edits before this request did not arrive in time")


async def _clear_outputs(room: Room, peer: Peer, request: requests.ClearOutputs) -> Any:
    room.runner.clear_outputs(request.cell_id)
    return responses.OutputsCleared(cell_id=request.cell_id)


async def _interrupt(room: Room, peer: Peer, request: requests.InterruptExecution) -> Any:
    if not room.has_kernel:
        return responses.NoKernel()
    room.runner.interrupt()
    return responses.InterruptSent()


async def _shutdown_kernel(room: Room, peer: Peer, request: requests.ShutdownKernel) -> Any:
    if not await room.stop_kernel():
        return responses.NoKernel()
    return responses.KernelShuttingDown()


async def _get_kernel_info(room: Room, peer: Peer, request: requests.GetKernelInfo) -> Any:
    launched = room.runner.kernel
    return responses.KernelInfo(
        kernel_type=launched.kernel_type if launched else None,
        env_source=launched.env_source if launched else None,
        status="starting" if room.launching else room.runner.status,
    )


async def _get_queue_state(room: Room, peer: Peer, request: requests.GetQueueState) -> Any:
    return _queue_state(room)


def _queue_state(room: Room) -> responses.QueueState:
    queue = room.runner.queue
    return responses.QueueState(
        executing=queue.executing.cell_id if queue.executing else None,
        queued=[entry.cell_id for entry in queue.queued],
    )


async def _sync_environment(room: Room, peer: Peer, request: requests.SyncEnvironment) -> Any:
    return await room.environment.install()


async def _send_comm(room: Room, peer: Peer, request: requests.SendComm) -> Any:
    if room.runner.kernel is None:
        return responses.NoKernel()
    room.runner.widgets.hear_peer(peer, request.message)
    return responses.Ok()


async def _set_stdin(room: Room, peer: Peer, request: requests.SetStdin) -> Any:
    room.runner.inputs.set_answering(peer, request.enabled)
    return responses.Ok()


async def _answer_input(room: Room, peer: Peer, request: requests.AnswerInput) -> Any:
    room.runner.inputs.answer(request.request_id, request.value)
    return responses.Ok()


async def _complete(room: Room, peer: Peer, request: requests.Complete) -> Any:
    content = {"code": request.code, "cursor_pos": request.cursor_pos}
    found = await _ask_kernel(
        room, "complete_request", content, "Failed to get completions: Completion request"
    )
    if found is None:
        return responses.NoKernel()
    return responses.CompletionResult(
        items=[
            CompletionItem(label=str(label), source="kernel")
            for label in found.get("matches") or ()
        ],
        cursor_start=int(found.get("cursor_start") or 0),
        cursor_end=int(found.get("cursor_end") or 0),
    )


async def _get_history(room: Room, peer: Peer, request: requests.GetHistory) -> Any:
    text = request.pattern or ""
    escaped = "".join(f"[{letter}]" if letter in "*?[]" else letter for letter in text)
    content = {
        "hist_access_type": "search",
        "raw": True,
        "output": False,
        "n": request.n,
        "unique": request.unique,
        "pattern": f"*{escaped}*" if escaped else "*",
    }
    found = await _ask_kernel(
        room, "history_request", content, "Failed to get history: History request"
    )
    if found is None:
        return responses.NoKernel()
    return responses.HistoryResult(
        entries=[
            HistoryEntry(session=int(session), line=int(line), source=str(source))
            for session, line, source in found.get("history") or ()
        ]
    )


async def _ask_kernel(
    room: Room, msg_type: str, content: dict[str, Any], what: str
) -> dict[str, Any] | None:
    if room.runner.kernel is None:
        return None
    with trio.move_on_after(_KERNEL_ANSWER):
        try:
            return (await room.runner.kernel.kernel.request(msg_type, content)).content
        except KernelDied as error:
            raise RuntimedError(f"{what} cancelled") from error
    raise RuntimedError(f"{what} timed out")


async def _save_notebook(room: Room, peer: Peer, request: requests.SaveNotebook) -> Any:
    try:
        if request.format_cells or room.settings.format_on_save:
            await room.format_cells()
        path = await room.save(Path(request.path) if request.path else None)
    except RuntimedError as error:
        raise RuntimedError(f"Failed to save notebook: {error}") from error
    return responses.NotebookSaved(path=str(path))


async def _clone_notebook(room: Room, peer: Peer, request: requests.CloneNotebook) -> Any:
    try:
        path = await room.clone(Path(request.path), overwrite=request.overwrite)
    except RuntimedError as error:
        raise RuntimedError(f"Failed to clone notebook: {error}") from error
    return responses.NotebookCloned(path=str(path))


async def _get_doc_bytes(room: Room, peer: Peer, request: requests.GetDocBytes) -> Any:
    return responses.DocBytes(data=room.document.save())


async def _get_raw_metadata(room: Room, peer: Peer, request: requests.GetRawMetadata) -> Any:
    return responses.RawMetadata(value=room.document.raw_metadata(request.key))


async def _set_raw_metadata(room: Room, peer: Peer, request: requests.SetRawMetadata) -> Any:
    room.document.set_raw_metadata(request.key, request.value)
    room.environment.look()
    room.document_changed()
    return responses.MetadataSet()


async def _get_metadata_snapshot(
    room: Room, peer: Peer, request: requests.GetMetadataSnapshot
) -> Any:
    snapshot = room.document.metadata_snapshot()
    text = orjson.dumps(snapshot).decode() if snapshot is not None else None
    return responses.MetadataSnapshot(snapshot=text)


async def _set_metadata_snapshot(
    room: Room, peer: Peer, request: requests.SetMetadataSnapshot
) -> Any:
    try:
        snapshot = orjson.loads(request.snapshot)
        if not isinstance(snapshot, dict):
            raise ValueError("expected an object")
    except ValueError as error:
        raise RuntimedError(f"Failed to parse metadata snapshot: {error}") from error
    room.document.set_metadata_snapshot(snapshot)
    room.environment.look()
    room.document_changed()
    return responses.MetadataSet()


async def _get_trust(room: Room, peer: Peer, request: requests.GetTrust) -> Any:
    await room.wait_loaded()
    await room.trust.refresh()
    return _trust_info(room.trust.standing)


async def _approve_trust(room: Room, peer: Peer, request: requests.ApproveTrust) -> Any:
    await room.wait_loaded()
    return _trust_info(await room.trust.approve(request.content))


def _trust_info(standing: Standing) -> responses.TrustInfo:
    return responses.TrustInfo(
        status=standing.status,
        content=standing.content.digest,
        uv_dependencies=standing.content.uv_dependencies,
        conda_dependencies=standing.content.conda_dependencies,
        conda_channels=standing.content.conda_channels,
        script_dependencies=standing.content.script_dependencies,
        constraints=standing.content.constraints,
        similar_names=[
            SimilarName(found.package, found.similar_to, found.distance)
            for found in standing.similar_names
        ],
    )


async def _get_heads(room: Room, peer: Peer, request: requests.GetHeads) -> Any:
    await room.wait_loaded()
    return responses.Heads(heads=list(room.document.heads))


async def _ensure_metadata(room: Room, peer: Peer, request: requests.EnsureMetadata) -> Any:
    await room.wait_loaded()
    if request.cell_id is None and request.path[:1] != ("runt",):
        raise RuntimedError("Only the cells' metadata and the notebook's 'runt' can be added to")
    if room.document.ensure_metadata(request.cell_id, request.path, request.value):
        room.document_changed()
        room.environment.look()
    return responses.Heads(heads=list(room.document.heads))


async def _leave_notebook(room: Room, peer: Peer, request: requests.LeaveNotebook) -> Any:
    stopped = False
    if request.stop_kernel and room.peers <= {peer}:
        stopped = await room.stop_kernel()
    return responses.LeftNotebook(kernel_stopped=stopped)


_HANDLERS: dict[type, Callable[[Room, Peer, Any], Awaitable[Any]]] = {
    requests.LaunchKernel: _launch_kernel,
    requests.ExecuteCell: _execute_cell,
    requests.QueueCell: _queue_cell,
    requests.RunAllCells: _run_all_cells,
    requests.ClearOutputs: _clear_outputs,
    requests.InterruptExecution: _interrupt,
    requests.ShutdownKernel: _shutdown_kernel,
    requests.GetKernelInfo: _get_kernel_info,
    requests.GetQueueState: _get_queue_state,
    requests.SendComm: _send_comm,
    requests.SyncEnvironment: _sync_environment,
    requests.SetStdin: _set_stdin,
    requests.AnswerInput: _answer_input,
    requests.Complete: _complete,
    requests.GetHistory: _get_history,
    requests.SaveNotebook: _save_notebook,
    requests.CloneNotebook: _clone_notebook,
    requests.GetDocBytes: _get_doc_bytes,
    requests.GetRawMetadata: _get_raw_metadata,
    requests.SetRawMetadata: _set_raw_metadata,
    requests.GetMetadataSnapshot: _get_metadata_snapshot,
    requests.SetMetadataSnapshot: _set_metadata_snapshot,
    requests.GetTrust: _get_trust,
    requests.ApproveTrust: _approve_trust,
    requests.GetHeads: _get_heads,
    requests.EnsureMetadata: _ensure_metadata,
    requests.LeaveNotebook: _leave_notebook,
}
