"""Conda environments as the pool has them: a linked template, its clones, a kernel in one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
import zmq

from conda_channel import CondaChannel
from runtimed.environments.conda.builder import CondaBuilder
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.directories import read_marker, templates_in
from runtimed.environments.environment import Environment
from runtimed.errors import EnvironmentBuildFailed
from runtimed.kernels.connection import socket_directory, write_connection_file
from runtimed.kernels.kernel import Kernel
from runtimed.kernels.launch import python_kernel
from runtimed.messages.wire import Message
from runtimed.protocol import progress

pytestmark = pytest.mark.real


@attrs.frozen
class Pooled:
    """A builder with one template made, and an environment cloned from it."""

    builder: CondaBuilder
    environment: Environment
    template: Path


@pytest.fixture(scope="module")
def pooled(
    tmp_path_factory: pytest.TempPathFactory, conda_channel: CondaChannel, conda_cache: Path
) -> Iterator[Pooled]:
    root = tmp_path_factory.mktemp("envs")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in conda_channel.environ(conda_cache).items():
            patch.setenv(name, value)
        builder = CondaBuilder(root, channels=lambda: ChannelMap.of(os.environ))

        async def build() -> Environment:
            with trio.fail_after(120):
                await builder.open(("moonstone",))
                return await builder.build(("moonstone",), nothing, urgent=True)

        environment = trio.run(build)
        (template,) = templates_in(root, "conda")
        yield Pooled(builder, environment, template)
        builder.close()


def output_of(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def nothing(phase: progress.Phase) -> None:
    pass


def test_a_clone_is_an_environment_of_its_own(pooled: Pooled) -> None:
    path = pooled.environment.path
    code = "import sys, ipykernel, moonstone; print(sys.prefix, moonstone.prefix)"
    answer = output_of(path / "bin" / "python", "-I", "-c", code)
    assert answer == f"{path} {path}"
    assert output_of(path / "bin" / "moonstone") == f"moonstone 2.0 {path}"
    assert (path / "share/moonstone/prefix.txt").read_text() == str(path)


def test_the_folder_in_binaries_is_replaced_and_their_length_kept(pooled: Pooled) -> None:
    binary = (pooled.environment.path / "lib/libmoonstone.bin").read_bytes()
    assert os.fsencode(f"{pooled.environment.path}/share") in binary
    assert os.fsencode(pooled.template.name) not in binary
    assert len(binary) == (pooled.template / "lib/libmoonstone.bin").stat().st_size


def test_nothing_in_a_clone_names_the_template(pooled: Pooled) -> None:
    name = os.fsencode(pooled.template.name)
    naming = [
        str(file.relative_to(pooled.environment.path))
        for file in pooled.environment.path.rglob("*")
        if file.is_file() and not file.name.endswith(".pyc") and name in file.read_bytes()
    ]
    assert naming == []


def test_a_clone_shares_what_it_can_with_the_template(pooled: Pooled) -> None:
    (module,) = pooled.environment.path.glob("lib/python*/site-packages/moonstone/same.py")
    relative = module.relative_to(pooled.environment.path)
    assert module.samefile(pooled.template / relative)
    assert list(pooled.environment.path.glob("lib/python*/site-packages/ipykernel/__pycache__/*"))


def test_settings_and_scripts_are_a_clones_own(pooled: Pooled) -> None:
    for name in (
        "etc/conda/env_vars.d/moonstone.json",
        "bin/moonstone",
        "conda-meta/runtimed-activation.json",
    ):
        assert not (pooled.environment.path / name).samefile(pooled.template / name)


def test_what_a_kernel_is_told_of_its_environment_names_the_clone(pooled: Pooled) -> None:
    path = pooled.environment.path
    environ = {"CONDA_PREFIX": "/other", "CONDA_PREFIX_1": "/o", "VIRTUAL_ENV": "/v", "PATH": "/b"}
    spec = python_kernel(
        pooled.environment, "conda:prewarmed", environ, wanted={"MOONSTONE_HOME": "mine"}
    )
    assert spec.environ["CONDA_PREFIX"] == spec.environ["CONDA_DEFAULT_ENV"] == str(path)
    assert spec.environ["PATH"] == f"{path}/bin:/b"
    assert spec.environ["MOONSTONE_ACTIVE"] == "1"
    assert spec.environ["MOONSTONE_HOME"] == "mine", "the notebook's own word is the last"
    assert spec.environ["PYTHONNOUSERSITE"] == "1"
    assert "VIRTUAL_ENV" not in spec.environ
    assert "CONDA_PREFIX_1" not in spec.environ


async def test_a_clone_is_made_from_the_template_and_is_claimed(pooled: Pooled) -> None:
    phases: list[progress.Phase] = []
    with trio.fail_after(30):
        made = await pooled.builder.build(("moonstone",), phases.append, urgent=False)
    assert [type(phase).__name__ for phase in phases] == ["Starting", "CacheHit"]
    pooled.builder.claim(made)
    marker = read_marker(made.path)
    assert marker is not None
    assert marker.state == "claimed"
    await pooled.builder.remove(made)
    assert not made.path.exists()


async def test_a_template_that_cannot_be_solved_leaves_nothing(pooled: Pooled) -> None:
    with trio.fail_after(30), pytest.raises(EnvironmentBuildFailed) as refused:
        await pooled.builder.build(("no-such-thing",), nothing, urgent=True)
    assert refused.value.failed_package == "no-such-thing"
    assert templates_in(pooled.builder.root, "conda") == [pooled.template]


async def test_a_kernel_runs_in_a_clone_with_its_variables(pooled: Pooled, tmp_path: Path) -> None:
    code = (
        "import moonstone, os, shutil, sys; env = os.environ;"
        "print(moonstone.version, sys.prefix, env['CONDA_PREFIX'], env['MOONSTONE_ACTIVE'],"
        "env['MOONSTONE_DATA'], shutil.which('python'), shutil.which('moonstone'), sep='\\n')"
    )
    path = str(pooled.environment.path)
    own = [f"{path}/share/moonstone", f"{path}/bin/python", f"{path}/bin/moonstone"]
    said = await said_by_kernel(pooled.environment, code, tmp_path)
    assert said.split() == ["2.0", path, path, "1", *own]


async def said_by_kernel(environment: Environment, code: str, tmp_path: Path) -> str:
    """Run the code in a kernel there; what it prints."""
    folder = tmp_path / "connections"
    sockets = write_connection_file(folder, socket_directory(folder), "python3")
    send, heard = trio.open_memory_channel[Message](1000)
    with zmq.Context() as context, trio.fail_after(60):
        spec = python_kernel(environment, "conda:prewarmed")
        kernel = Kernel(spec, sockets, context, working_directory=tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(kernel.run)
            kernel.attach(lambda channel, message: send.send_nowait(message))
            request, said = kernel.execute(code), ""
            async for message in heard:
                if message.parent_id == request and message.msg_type == "stream":
                    said += message.content["text"]
                elif message.parent_id == request and message.msg_type == "error":
                    said += "\n".join(message.content["traceback"])
                elif message.parent_id == request and "idle" in message.content.values():
                    break
            nursery.cancel_scope.cancel()
    return said
