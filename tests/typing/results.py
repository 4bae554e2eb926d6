"""What a type checker knows of results, the daemon client and the module: checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import assert_type

import runtimed


def outputs(output: runtimed.Output) -> None:
    assert_type(output.output_type, str)
    assert_type(output.name, str | None)
    assert_type(output.text, str | None)
    assert_type(output.data, dict[str, str] | None)
    assert_type(output.ename, str | None)
    assert_type(output.evalue, str | None)
    assert_type(output.traceback, list[str] | None)
    assert_type(output.execution_count, int | None)
    assert_type(output.metadata, dict[str, Any])
    assert_type(output.display_id, str | None)


def cells(cell: runtimed.Cell) -> None:
    assert_type(cell.id, str)
    assert_type(cell.cell_type, str)
    assert_type(cell.source, str)
    assert_type(cell.position, str)
    assert_type(cell.execution_count, int | None)
    assert_type(cell.outputs, list[runtimed.Output])
    assert_type(cell.metadata_json, str)
    assert_type(cell.metadata, dict[str, Any])
    assert_type(cell.is_source_hidden, bool)
    assert_type(cell.is_outputs_hidden, bool)
    assert_type(cell.is_collapsed, bool)
    assert_type(cell.tags, list[str])


def executions(result: runtimed.ExecutionResult, event: runtimed.ExecutionEvent) -> None:
    assert_type(result.cell_id, str)
    assert_type(result.success, bool)
    assert_type(result.execution_count, int | None)
    assert_type(result.outputs, list[runtimed.Output])
    assert_type(result.stdout, str)
    assert_type(result.stderr, str)
    assert_type(result.display_data, list[runtimed.Output])
    assert_type(result.error, runtimed.Output | None)
    assert_type(event.event_type, str)
    assert_type(event.cell_id, str)
    assert_type(event.output, runtimed.Output | None)
    assert_type(event.output_index, int | None)
    assert_type(event.execution_count, int | None)
    assert_type(event.error_message, str | None)
    assert_type(event.status, str | None)


def others(
    info: runtimed.NotebookConnectionInfo,
    completion: runtimed.CompletionResult,
    queue: runtimed.QueueState,
    entry: runtimed.HistoryEntry,
    sync: runtimed.SyncEnvironmentResult,
    trust: runtimed.TrustInfo,
) -> None:
    assert_type(info.protocol, str)
    assert_type(info.protocol_version, int | None)
    assert_type(info.daemon_version, str | None)
    assert_type(info.notebook_id, str)
    assert_type(info.cell_count, int)
    assert_type(info.needs_trust_approval, bool)
    assert_type(info.error, str | None)
    assert_type(completion.items, list[runtimed.CompletionItem])
    assert_type((completion.cursor_start, completion.cursor_end), tuple[int, int])
    assert_type([item.label for item in completion.items], list[str])
    assert_type([item.kind for item in completion.items], list[str | None])
    assert_type(queue.executing, str | None)
    assert_type(queue.queued, list[str])
    assert_type((entry.session, entry.line, entry.source), tuple[int, int, str])
    assert_type((sync.success, sync.needs_restart), tuple[bool, bool])
    assert_type(sync.synced_packages, list[str])
    assert_type(sync.error, str | None)
    assert_type((trust.status, trust.content, trust.needs_approval), tuple[str, str, bool])
    assert_type(trust.uv_dependencies, list[str])
    assert_type(trust.similar_names, list[runtimed.SimilarName])


def made_for_a_test() -> runtimed.ExecutionResult:
    output = runtimed.Output(output_type="stream", name="stdout", text="a\n")
    result = runtimed.ExecutionResult(cell_id="c", outputs=[output], execution_count=1)
    result.success = False  # type: ignore[misc]
    return result


def daemon(client: runtimed.DaemonClient) -> None:
    assert_type(client.ping(), bool)
    assert_type(client.is_running(), bool)
    assert_type(client.status(), dict[str, Any])
    assert_type(client.list_rooms(), list[dict[str, Any]])
    client.flush_pool()
    client.shutdown()


def module() -> None:
    assert_type(runtimed.__version__, str)
    assert_type(runtimed.default_socket_path(), Path)
    try:
        pass
    except runtimed.RuntimedError as error:
        assert_type(str(error), str)
