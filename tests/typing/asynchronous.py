"""What a type checker knows of an asynchronous session: checked, never run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import trio
from typing_extensions import assert_type

import runtimed


async def every_method(session: runtimed.AsyncSession, cell_id: str) -> None:
    await session.connect()
    await session.close()
    await session.start_kernel("python", env_source="auto")
    await session.shutdown_kernel()
    await session.restart_kernel(wait_for_ready=False)
    await session.interrupt()
    assert_type(await session.create_cell("x = 1", cell_type="code", index=0), str)
    await session.set_source(cell_id, "x")
    await session.append_source(cell_id, "x")
    await session.set_cell_type(cell_id, "raw")
    assert_type(await session.get_cell(cell_id), runtimed.Cell)
    assert_type(await session.get_cells(), list[runtimed.Cell])
    await session.delete_cell(cell_id)
    assert_type(await session.move_cell(cell_id, after_cell_id=None), str)
    await session.clear_outputs(cell_id)
    assert_type(await session.execute_cell(cell_id, timeout_secs=5), runtimed.ExecutionResult)
    assert_type(await session.run("1 + 1"), runtimed.ExecutionResult)
    await session.queue_cell(cell_id)
    assert_type(
        await session.stream_execute(cell_id, signal_only=True), runtimed.ExecutionEventStream
    )
    assert_type(
        session.subscribe(cell_ids=[cell_id], event_types={"output", "done"}),
        runtimed.EventSubscription,
    )
    assert_type(await session.run_all_cells(), int)
    assert_type(await session.complete("pri", 3), runtimed.CompletionResult)
    assert_type(await session.get_history("x", n=5, unique=False), list[runtimed.HistoryEntry])
    assert_type(await session.get_queue_state(), runtimed.QueueState)
    assert_type(await session.sync_environment(), runtimed.SyncEnvironmentResult)
    assert_type(await session.trust_info(), runtimed.TrustInfo)
    assert_type(await session.approve_trust(content="x"), runtimed.TrustInfo)
    await session.set_metadata("key", "value")
    assert_type(await session.get_metadata("key"), str | None)
    await session.set_kernelspec("python3", "Python 3", language="python")
    assert_type(await session.get_kernelspec(), dict[str, str] | None)
    assert_type(await session.get_cell_metadata(cell_id), str | None)
    assert_type(await session.set_cell_metadata(cell_id, "{}"), bool)
    assert_type(await session.update_cell_metadata_at(cell_id, ["a", "b"], "1"), bool)
    assert_type(await session.set_cell_source_hidden(cell_id, True), bool)
    assert_type(await session.set_cell_outputs_hidden(cell_id, False), bool)
    assert_type(await session.set_cell_tags(cell_id, ("a", "b")), bool)
    assert_type(await session.get_uv_dependencies(), list[str])
    await session.add_uv_dependency("a")
    assert_type(await session.remove_uv_dependency("a"), bool)
    assert_type(await session.get_conda_dependencies(), list[str])
    await session.add_conda_dependency("a")
    assert_type(await session.remove_conda_dependency("a"), bool)
    assert_type(await session.get_metadata_env_type(), str | None)
    assert_type(session.get_settings(), dict[str, Any] | None)
    await session.set_cursor(cell_id, 0, 0)
    await session.set_selection(cell_id, 0, 0, 0, 1)
    assert_type(await session.get_peers(), list[tuple[str, str]])
    assert_type(await session.get_remote_cursors(), list[tuple[str, str, str, int, int]])
    assert_type(await session.save(Path("n.ipynb"), format_cells=True), str)
    assert_type(await session.clone_notebook("m.ipynb", overwrite=True), str)


async def states(session: runtimed.AsyncSession) -> None:
    assert_type(session.notebook_id, str)
    assert_type(await session.is_connected(), bool)
    assert_type(await session.kernel_started(), bool)
    assert_type(await session.kernel_type(), str | None)
    assert_type(await session.env_source(), str | None)
    assert_type(await session.connection_info(), runtimed.NotebookConnectionInfo | None)


async def ways_to_get_one() -> None:
    assert_type(runtimed.AsyncSession("n", peer_label="me"), runtimed.AsyncSession)
    opened = await runtimed.AsyncSession.open_notebook("n.ipynb")
    assert_type(opened, runtimed.AsyncSession)
    assert_type(await runtimed.AsyncSession.create_notebook(), runtimed.AsyncSession)
    async with runtimed.AsyncSession() as session:
        assert_type(session, runtimed.AsyncSession)
        number = 1
    assert_type(number, int)


async def loops(session: runtimed.AsyncSession, cell_id: str) -> None:
    async for event in await session.stream_execute(cell_id):
        assert_type(event, runtimed.ExecutionEvent)
    events = session.subscribe()
    assert_type(await anext(events), runtimed.ExecutionEvent)
    assert_type([event.cell_id async for event in events], list[str])
    await events.close()


async def on_asyncio(session: runtimed.AsyncSession, cell_id: str) -> None:
    task = asyncio.create_task(session.run("1"))
    assert_type(await task, runtimed.ExecutionResult)
    cell, cells = await asyncio.gather(session.get_cell(cell_id), session.get_cells())
    assert_type(cell, runtimed.Cell)
    assert_type(cells, list[runtimed.Cell])
    assert_type(await asyncio.wait_for(session.save(), 5), str)


async def on_trio(session: runtimed.AsyncSession, cell_id: str) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.execute_cell, cell_id, 5.0)
        nursery.start_soon(session.set_source, cell_id, "x")


def misuse(session: runtimed.AsyncSession, stream: runtimed.ExecutionEventStream) -> None:
    session.run("1")  # type: ignore[unused-coroutine]
    for _ in stream:  # type: ignore[attr-defined]
        pass
