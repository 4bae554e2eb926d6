"""What a room tells of the environment of its kernel; the kernel is pretended."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from shared_files import open_file
from trio.testing import MockClock

from loopback import Loopback, open_loopback
from runtimed.environments.wanted import Pooled, UvPackages
from runtimed.errors import RuntimedError
from runtimed.protocol import broadcasts, events, requests, responses
from wire_peer import WirePeer


@pytest.fixture(autouse=True)
def running_clock(mock_clock: MockClock) -> None:
    mock_clock.rate = 10


async def list_packages(peer: WirePeer, *packages: str) -> None:
    snapshot = peer.replica.document.metadata_snapshot() or {"runt": {"schema_version": "1"}}
    snapshot["runt"]["uv"] = {"dependencies": list(packages)}
    peer.replica.document.set_metadata_snapshot(snapshot)
    await peer.sync()


async def launch(peer: WirePeer, env_source: str = "auto") -> Any:
    return await peer.ask(requests.LaunchKernel("auto", env_source, None))


async def told(peer: WirePeer) -> broadcasts.EnvSyncState:
    event = await peer.hear(
        lambda e: (
            isinstance(e, events.Broadcast) and isinstance(e.broadcast, broadcasts.EnvSyncState)
        )
    )
    state: broadcasts.EnvSyncState = event.broadcast
    return state


async def listing(daemon: Loopback, *packages: str) -> WirePeer:
    peer = await daemon.join("room")
    await list_packages(peer, *packages)
    return peer


async def test_the_list_of_a_notebook_is_what_its_kernel_is_launched_with(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await listing(daemon, "Pandas >=2", "numpy")
        answer = await launch(peer)
        assert answer.env_source == "uv:inline"
        assert daemon.kernels.choices[0].wanted == UvPackages(("pandas>=2", "numpy"))
        assert set(answer.launched_config.uv_deps) == {"pandas>=2", "numpy"}
        assert answer.launched_config.launch_id


async def test_a_difference_is_told_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await listing(daemon, "numpy")
        await launch(peer)
        await list_packages(peer, "numpy", "polars")
        state = await told(peer)
        assert not state.in_sync
        assert state.diff is not None
        assert state.diff.added == ("polars",)
        await list_packages(peer, "Numpy")
        assert (await told(peer)).in_sync
        await list_packages(peer, "numpy")  # spelled otherwise: nothing to tell
        await list_packages(peer)
        state = await told(peer)
        assert state.diff is not None
        assert state.diff.removed == ("numpy",)


async def test_a_script_block_that_comes_later_is_told(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await launch(peer)
        assert daemon.kernels.choices[0].wanted == Pooled("uv")
        peer.replica.document.insert_cell("c", "code", "x = 1")
        await peer.sync()
        peer.replica.document.set_source("c", '# /// script\n# dependencies = ["rich"]\n# ///\n')
        await peer.sync()
        state = await told(peer)
        assert state.diff is not None
        assert state.diff.added == ("rich",)
        peer.replica.document.set_source("c", "x = 1")
        await peer.sync()
        assert (await told(peer)).in_sync


async def test_a_block_that_goes_right_after_the_launch_is_told(tmp_path: Path) -> None:
    block = '# /// script\n# dependencies = ["rich"]\n# ///\n'
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        peer.replica.document.insert_cell("c", "code", block)
        await peer.sync()
        assert (await launch(peer)).env_source == "uv:pep723"
        peer.replica.document.set_source("c", "x = 1")
        await peer.sync()
        state = await told(peer)
        assert state.diff is not None
        assert state.diff.removed == ("rich",)


async def test_a_new_kernel_that_has_what_the_old_one_lacked_is_told(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await listing(daemon, "numpy")
        await launch(peer)
        await list_packages(peer, "numpy", "polars")
        assert not (await told(peer)).in_sync
        await peer.ask(requests.ShutdownKernel())
        await launch(peer)
        assert (await told(peer)).in_sync


async def test_a_kernel_that_comes_up_while_its_launch_is_given_up_is_stopped(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon, trio.open_nursery() as nursery:
        await daemon.join("room")
        room = daemon.rooms.find("room")
        assert room is not None
        daemon.kernels.hold = trio.Event()

        async def start() -> None:
            with contextlib.suppress(RuntimedError):  # it may just have been there
                await room.launch()

        nursery.start_soon(start)
        while not daemon.kernels.choices:  # noqa: ASYNC110
            await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked()
        daemon.kernels.hold.set()
        with trio.fail_after(300):
            await room.stop_kernel()
        assert not any(kernel.running for kernel in daemon.kernels.launched)
        assert not room.has_kernel


async def test_a_launch_that_was_stopped_does_not_come_back(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon, trio.open_nursery() as nursery:
        await daemon.join("room")
        room = daemon.rooms.find("room")
        assert room is not None
        daemon.kernels.hold = trio.Event()
        room.auto_launch()

        async def start() -> None:
            with pytest.raises(RuntimedError, match="cancelled"):
                await room.launch()

        while not daemon.kernels.choices:  # noqa: ASYNC110
            await trio.sleep(0.01)
        nursery.start_soon(start)
        await trio.testing.wait_all_tasks_blocked()
        await room.stop_kernel()
        await trio.testing.wait_all_tasks_blocked()
        assert not room.launching
        assert len(daemon.kernels.choices) == 1


async def test_who_finds_a_kernel_without_what_is_listed_now_is_told_to_restart_it(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await listing(daemon, "numpy")
        await launch(peer)
        assert (await launch(peer)).notes == ()
        await list_packages(peer, "polars")
        answer = await launch(peer)
        assert isinstance(answer, responses.KernelAlreadyRunning)
        assert answer.notes == (
            "The kernel was started before the notebook listed what it lists now "
            "(+polars, -numpy): restart it to have that",
        )


async def test_installing_is_refused_where_it_can_not_be(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        answer = await peer.ask(requests.SyncEnvironment())
        assert answer == responses.SyncEnvironmentFailed("No kernel running", needs_restart=False)
        await launch(peer)
        answer = await peer.ask(requests.SyncEnvironment())
        assert answer.needs_restart
        assert answer.error == "Hot-sync only supported for UV inline dependencies"


async def test_an_explicit_launch_follows_one_that_nobody_asked_for_and_that_was_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    (tmp_path / ".git").mkdir()
    path = tmp_path / "n.ipynb"
    path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)  # launches, and is refused
        answer = await launch(peer)
        assert isinstance(answer, (responses.KernelLaunched, responses.KernelAlreadyRunning)), (
            answer
        )
        assert answer.env_source == "uv:pyproject"
        assert daemon.kernels.folders == [tmp_path]
