"""Who names an environment gets that one: what nobody asked for gives way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import trio
from shared_files import cell, notebook, open_file, settle
from trust_files import asking_for

from loopback import Loopback, open_loopback
from runtimed.protocol import requests, responses
from wire_peer import WirePeer


async def _opened(daemon: Loopback, folder: Path) -> WirePeer:
    """A notebook whose kernel came up by itself."""
    path = folder / "n.ipynb"
    path.write_bytes(notebook(cell("a", "print hi")))
    peer = await open_file(daemon, path)
    await settle(daemon)
    assert [choice.env_source for choice in daemon.kernels.choices] == ["uv:prewarmed"]
    return peer


async def _launch(peer: WirePeer, env_source: str, kernel_type: str = "auto") -> Any:
    return await peer.ask(requests.LaunchKernel(kernel_type, env_source))


@pytest.mark.parametrize(
    ("kernel_type", "env_source", "expected"),
    [("auto", "conda:prewarmed", "conda:prewarmed"), ("deno", "auto", "deno")],
)
async def test_a_kernel_that_nobody_asked_for_gives_way(
    tmp_path: Path, kernel_type: str, env_source: str, expected: str
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await _opened(daemon, tmp_path)
        answer = await _launch(peer, env_source, kernel_type)
        assert isinstance(answer, responses.KernelLaunched), answer
        assert answer.env_source == expected
        assert [kernel.running for kernel in daemon.kernels.launched] == [False, True]


async def test_one_as_it_was_named_is_kept(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await _opened(daemon, tmp_path)
        assert isinstance(await _launch(peer, "uv:prewarmed"), responses.KernelAlreadyRunning)
        assert len(daemon.kernels.launched) == 1


async def test_one_that_is_still_being_launched_gives_way(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        daemon.kernels.hold = trio.Event()
        peer = await _opened(daemon, tmp_path)
        daemon.kernels.hold = None
        answer = await _launch(peer, "conda:prewarmed")
        assert answer.env_source == "conda:prewarmed"
        assert len(daemon.kernels.launched) == 1


@pytest.mark.parametrize("how", ["asked for", "used"])
async def test_one_that_somebody_asked_for_or_used_is_kept(tmp_path: Path, how: str) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await _opened(daemon, tmp_path)
        if how == "used":
            await peer.ask(requests.ExecuteCell("a"))
        else:
            await _launch(peer, "auto")
        answer = await _launch(peer, "conda:prewarmed")
        assert isinstance(answer, responses.KernelAlreadyRunning)
        assert answer.env_source == "uv:prewarmed"


@pytest.mark.parametrize(
    ("kernel_type", "env_source", "message"),
    [
        ("auto", "foo", 'Unknown environment source: "foo"'),
        ("ruby", "auto", "Unsupported kernel type: ruby"),
        ("auto", "uv:pyproject", "pyproject.toml"),
        ("auto", "uv:inline", "lists no packages"),
    ],
)
async def test_what_can_not_be_had_is_refused_and_the_kernel_stays(
    tmp_path: Path, kernel_type: str, env_source: str, message: str
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await _opened(daemon, tmp_path)
        answer = await _launch(peer, env_source, kernel_type)
        assert isinstance(answer, responses.Error)
        assert message in answer.error
        assert daemon.kernels.launched[0].running


async def test_nonsense_is_refused_of_a_kernel_in_use_too(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await _opened(daemon, tmp_path)
        await _launch(peer, "auto")
        assert isinstance(await _launch(peer, "foo"), responses.Error)


async def test_a_refusal_is_no_error_of_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert isinstance(await _launch(peer, "auto"), responses.Error)
    [record] = [record for record in caplog.records if "kernel failed" in record.message]
    assert record.levelno == logging.WARNING
