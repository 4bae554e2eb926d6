"""Two clients that write metadata at the same moment: neither takes away what the other wrote."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from loopback_sessions import open_daemon

from runtimed import AsyncSession
from runtimed.protocol import requests

Step = Callable[[], Awaitable[object]]


async def at_once(*steps: Step) -> None:
    """Begin all of them before anything of any has travelled."""
    async with trio.open_nursery() as nursery:
        for step in steps:
            nursery.start_soon(step)


async def settled(*sessions: AsyncSession) -> None:
    """Wait until all have everything that any of them has written."""
    for _ in range(2):
        for session in sessions:
            await session._in_step()


async def test_two_packages_added_to_no_section_at_the_same_moment_are_both_kept(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as one, AsyncSession("n") as two:
        await one.connect()
        await two.connect()
        assert await one.get_metadata_env_type() is None
        await at_once(lambda: one.add_uv_dependency("a"), lambda: two.add_uv_dependency("b"))
        await settled(one, two)
        assert sorted(await one.get_uv_dependencies()) == ["a", "b"]
        assert await two.get_uv_dependencies() == await one.get_uv_dependencies()
        assert await two.get_conda_dependencies() == []
        await at_once(lambda: one.add_conda_dependency("c"), lambda: two.add_conda_dependency("d"))
        await settled(one, two)
        assert sorted(await two.get_conda_dependencies()) == ["c", "d"]
        assert one._document.metadata_at(["runt", "conda", "channels"]) == ["conda-forge"]


async def test_packages_edited_at_the_same_moment_are_edited_one_by_one(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as one, AsyncSession("n") as two:
        await one.connect()
        await two.connect()
        for package in ("a", "b==1", "c"):
            await one.add_uv_dependency(package)
        await settled(one, two)
        await at_once(lambda: one.add_uv_dependency("b==2"), lambda: two.remove_uv_dependency("a"))
        await at_once(lambda: one.add_uv_dependency("d"), lambda: two.remove_uv_dependency("c"))
        await settled(one, two)
        assert await one.get_uv_dependencies() == ["b==2", "d"]
        assert await two.get_uv_dependencies() == ["b==2", "d"]


async def test_paths_of_one_cells_metadata_are_written_independently_from_nothing_on(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as one, AsyncSession("n") as two:
        await one.connect()
        await two.connect()
        cell_id = await one.create_cell("x")
        await settled(one, two)
        await at_once(
            lambda: one.set_cell_source_hidden(cell_id, True),
            lambda: two.set_cell_outputs_hidden(cell_id, True),
            lambda: one.set_cell_tags(cell_id, ["t"]),
            lambda: two.update_cell_metadata_at(cell_id, ["a", "b", "c"], "1"),
            lambda: one.update_cell_metadata_at(cell_id, ["a", "b", "d"], "2"),
        )
        await settled(one, two)
        for session in (one, two):
            assert json.loads(await session.get_cell_metadata(cell_id) or "") == {
                "jupyter": {"source_hidden": True, "outputs_hidden": True},
                "tags": ["t"],
                "a": {"b": {"c": 1, "d": 2}},
            }


async def test_a_cell_deleted_while_its_metadata_is_written_is_no_cell_any_more(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as one, AsyncSession("n") as two:
        await one.connect()
        await two.connect()
        cell_id = await one.create_cell("x")
        await settled(one, two)
        answers: list[bool] = []

        async def hide() -> None:
            answers.append(await one.set_cell_source_hidden(cell_id, True))

        await two.delete_cell(cell_id)
        await at_once(hide)
        await settled(one, two)
        assert await one.get_cells() == []
        assert await one.set_cell_source_hidden(cell_id, True) is False


async def test_the_daemon_adds_to_nothing_else_of_the_notebooks_metadata(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon:
        peer = await daemon.join("n")
        for path in ((), ("kernelspec",), ("runt", "")):
            answer = await peer.ask(requests.EnsureMetadata(None, path, {"x": 1}))
            assert answer.error
        await peer.sync()
        assert peer.replica.document.metadata_at(["kernelspec"]) is None
