"""No launch, asked for or not, gets round the trust of its room."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from shared_files import cell, edit, notebook, open_file, pass_time
from trio.testing import MockClock
from trust_files import add_package, asking_for, signature_for, uv

from loopback import open_loopback
from runtimed.environments.wanted import Pooled, UvPackages
from runtimed.protocol import requests, responses

BLOCK = '# /// script\n# dependencies = ["evil"]\n# ///\n'
CONDA = {"runt": {"schema_version": "1", "conda": {"dependencies": ["evil"], "channels": []}}}
LEGACY = {"runt": {"uv": {"dependencies": []}}, "uv": {"dependencies": ["evil"]}}

FILES = {
    "uv": asking_for("evil"),
    "conda": notebook(cell("a"), metadata=CONDA),
    "script": notebook(cell("a", BLOCK)),
    "legacy": notebook(cell("a"), metadata=LEGACY),
}


@pytest.fixture(autouse=True)
def running_clock(mock_clock: MockClock) -> None:
    mock_clock.rate = 0.1


@pytest.mark.parametrize(
    ("file", "env_source"),
    [
        ("uv", "auto"),
        ("uv", "prewarmed"),
        ("uv", "uv:inline"),
        ("conda", "auto"),
        ("conda", "conda:inline"),
        ("script", "auto"),
        ("script", "uv:pep723"),
        ("legacy", "auto"),
        ("legacy", "uv:inline"),
    ],
)
async def test_no_request_installs_what_came_with_a_file_before_it_is_approved(
    tmp_path: Path, mock_clock: MockClock, file: str, env_source: str
) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(FILES[file])
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        assert daemon.kernels.choices == []  # nor does the daemon by itself
        for kernel_type in ("auto", "python"):
            answer = await peer.ask(requests.LaunchKernel(kernel_type, env_source, str(path)))
            assert isinstance(answer, responses.Error), answer
            assert answer.error.startswith("Notebook is not trusted")
            assert "evil" in answer.error
        assert daemon.kernels.choices == []
        await peer.ask(requests.ApproveTrust())
        answer = await peer.ask(requests.LaunchKernel("auto", env_source, str(path)))
        assert isinstance(answer, responses.KernelLaunched), answer
        assert "evil" in repr(daemon.kernels.choices[0].wanted)


async def test_a_prewarmed_environment_is_there_for_a_notebook_that_nobody_approved(
    tmp_path: Path,
) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        answer = await peer.ask(requests.LaunchKernel("python", "uv:prewarmed"))
        assert isinstance(answer, responses.KernelLaunched)
        assert daemon.kernels.choices[0].wanted == Pooled("uv")


async def test_a_list_changed_in_the_file_is_not_installed_by_a_restart(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(asking_for())
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "requests")
        await peer.ask(requests.ShutdownKernel())
        await peer.ask(requests.LaunchKernel("python", "auto"))
        assert daemon.kernels.choices[-1].wanted == UvPackages(("requests",))
        await pass_time(mock_clock, daemon, 3)
        edit(path, lambda c: c["metadata"]["runt"]["uv"]["dependencies"].append("evil"))
        await pass_time(mock_clock, daemon, 1)
        await peer.ask(requests.ShutdownKernel())
        before = len(daemon.kernels.choices)
        answer = await peer.ask(requests.LaunchKernel("python", "auto"))
        assert isinstance(answer, responses.Error)
        assert "changed since they were approved" in answer.error
        assert len(daemon.kernels.choices) == before


async def test_a_signature_that_a_peer_writes_with_the_key_lets_the_next_launch_through(
    tmp_path: Path,
) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(asking_for("requests"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        refused = await peer.ask(requests.LaunchKernel("auto", "auto"))
        assert isinstance(refused, responses.Error)
        signed = uv("requests", trust_signature=signature_for(tmp_path, path))
        await peer.ask(requests.SetMetadataSnapshot(orjson.dumps(signed).decode()))
        answer = await peer.ask(requests.LaunchKernel("auto", "auto"))
        assert isinstance(answer, responses.KernelLaunched), answer
