"""What a type checker knows of a blocking session: checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import assert_type

import runtimed


def every_method(session: runtimed.Session, cell_id: str) -> None:
    session.connect()
    session.close()
    session.start_kernel("python", env_source="auto")
    session.shutdown_kernel()
    session.restart_kernel(wait_for_ready=False)
    session.interrupt()
    assert_type(session.create_cell("x = 1", cell_type="code", index=0), str)
    session.set_source(cell_id, "x")
    session.append_source(cell_id, "x")
    session.set_cell_type(cell_id, "raw")
    assert_type(session.get_cell(cell_id), runtimed.Cell)
    assert_type(session.get_cells(), list[runtimed.Cell])
    session.delete_cell(cell_id)
    assert_type(session.move_cell(cell_id, after_cell_id=None), str)
    session.clear_outputs(cell_id)
    assert_type(session.execute_cell(cell_id, timeout_secs=5), runtimed.ExecutionResult)
    assert_type(session.run("1 + 1"), runtimed.ExecutionResult)
    session.queue_cell(cell_id)
    assert_type(session.stream_execute(cell_id, signal_only=True), runtimed.ExecutionEventIterator)
    assert_type(
        session.subscribe(cell_ids=[cell_id], event_types={"output", "done"}),
        runtimed.EventIteratorSubscription,
    )
    assert_type(session.run_all_cells(), int)
    assert_type(session.complete("pri", 3), runtimed.CompletionResult)
    assert_type(session.get_history("x", n=5, unique=False), list[runtimed.HistoryEntry])
    assert_type(session.get_queue_state(), runtimed.QueueState)
    assert_type(session.sync_environment(), runtimed.SyncEnvironmentResult)
    assert_type(session.trust_info(), runtimed.TrustInfo)
    assert_type(session.approve_trust(), runtimed.TrustInfo)
    session.set_metadata("key", "value")
    assert_type(session.get_metadata("key"), str | None)
    session.set_kernelspec("python3", "Python 3", language="python")
    assert_type(session.get_kernelspec(), dict[str, str] | None)
    assert_type(session.get_cell_metadata(cell_id), str | None)
    assert_type(session.set_cell_metadata(cell_id, "{}"), bool)
    assert_type(session.update_cell_metadata_at(cell_id, ["a", "b"], "1"), bool)
    assert_type(session.set_cell_source_hidden(cell_id, True), bool)
    assert_type(session.set_cell_outputs_hidden(cell_id, False), bool)
    assert_type(session.set_cell_tags(cell_id, ("a", "b")), bool)
    assert_type(session.get_uv_dependencies(), list[str])
    session.add_uv_dependency("a")
    assert_type(session.remove_uv_dependency("a"), bool)
    assert_type(session.get_conda_dependencies(), list[str])
    session.add_conda_dependency("a")
    assert_type(session.remove_conda_dependency("a"), bool)
    assert_type(session.get_metadata_env_type(), str | None)
    assert_type(session.get_settings(), dict[str, Any] | None)
    session.set_cursor(cell_id, 0, 0)
    session.set_selection(cell_id, 0, 0, 0, 1)
    assert_type(session.get_peers(), list[tuple[str, str]])
    assert_type(session.get_remote_cursors(), list[tuple[str, str, str, int, int]])
    assert_type(session.save(Path("n.ipynb"), format_cells=True), str)
    assert_type(session.clone_notebook("m.ipynb", overwrite=True), str)


def states(session: runtimed.Session) -> None:
    assert_type(session.notebook_id, str)
    assert_type(session.is_connected, bool)
    assert_type(session.kernel_started, bool)
    assert_type(session.kernel_type, str | None)
    assert_type(session.env_source, str | None)
    assert_type(session.connection_info, runtimed.NotebookConnectionInfo | None)


def ways_to_get_one() -> None:
    assert_type(runtimed.Session(), runtimed.Session)
    assert_type(runtimed.Session("n", peer_label="me"), runtimed.Session)
    assert_type(runtimed.Session.open_notebook(Path("n.ipynb"), "me"), runtimed.Session)
    assert_type(runtimed.Session.create_notebook("python", "/tmp"), runtimed.Session)
    with runtimed.Session() as session:
        assert_type(session, runtimed.Session)
        number = 1
    assert_type(number, int)  # the block swallows no exception, so this is reached


def loops(session: runtimed.Session, cell_id: str) -> None:
    for event in session.stream_execute(cell_id):
        assert_type(event, runtimed.ExecutionEvent)
    events = session.subscribe()
    assert_type(next(events), runtimed.ExecutionEvent)
    assert_type([event.event_type for event in events], list[str])
    events.close()
