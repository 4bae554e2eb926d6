"""Kernels out of every kind of environment: each imports a package that only this kind provides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from conda_channel import CondaChannel
from daemon_home import DaemonHome
from runtimed import RuntimedError, Session
from runtimed.paths import settings_folder
from wheels import make_wheel

pytestmark = pytest.mark.real

OpenSession = Callable[..., Session]

#: Packages of the index, each for one kind, with names that no other index has.
WHEELS = ("rtjasper", "rtquartz", "rtopal", "rtberyl", "rtagate", "rttopaz")


@attrs.define
class Machine:
    """A daemon with an index of wheels and a conda channel, both in folders."""

    home: DaemonHome
    wheels: Path
    projects: Path


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory, conda_channel: CondaChannel, conda_cache: Path
) -> Iterator[Machine]:
    wheels = tmp_path_factory.mktemp("wheels")
    for name in WHEELS:
        make_wheel(wheels, name, "1.0")
    environ = conda_channel.environ(conda_cache) | {"UV_FIND_LINKS": str(wheels)}
    flags = ("--uv-pool-size", "1", "--conda-pool-size", "1", "--warm-kernels", "1")
    home = DaemonHome(*flags, environ=environ)
    settings = settings_folder(home.env)
    settings.mkdir(parents=True)
    (settings / "settings.json").write_text(
        json.dumps(
            {
                "uv": {"default_packages": ["rtjasper"]},
                "conda": {"default_packages": ["lodestone"]},
            }
        )
    )
    try:
        home.start()
        yield Machine(home, wheels, tmp_path_factory.mktemp("projects"))
    finally:
        home.close()


def prefix_with(session: Session, package: str) -> Path:
    """The prefix that the kernel reports once it has imported a package."""
    result = session.run(f"import sys, {package}; print(sys.prefix, {package}.__file__)", 60)
    assert result.success, result.stderr or [output.evalue for output in result.outputs]
    prefix, file = result.stdout.split()
    assert Path(file).is_relative_to(prefix)
    return Path(prefix)


def fresh(open_session: OpenSession, machine: Machine) -> Session:
    """A session with a notebook in which nothing has been started."""
    return open_session(machine.home, notebook_id=f"n-{uuid.uuid4().hex[:8]}")


def write_notebook(
    folder: Path,
    source: str = "",
    packages: Sequence[str] = (),
    kernelspec: Mapping[str, str] | None = None,
) -> Path:
    runt = {"schema_version": "1", "uv": {"dependencies": list(packages)}}
    cell: dict[str, object] = {
        "cell_type": "code", "id": "a", "source": source, "metadata": {}, "outputs": [],
        "execution_count": None,
    }  # fmt: skip
    path = folder / "n.ipynb"
    metadata = {"runt": runt} | ({} if kernelspec is None else {"kernelspec": dict(kernelspec)})
    content = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))
    return path


def test_uv_prewarmed(machine: Machine, open_session: OpenSession) -> None:
    session = fresh(open_session, machine)
    session.start_kernel()
    assert session.env_source == "uv:prewarmed"
    prefix = prefix_with(session, "rtjasper")
    assert prefix.parent == machine.home.paths.envs
    assert prefix.name.startswith("runtimed-uv-")


def test_conda_prewarmed(machine: Machine, open_session: OpenSession) -> None:
    session = fresh(open_session, machine)
    steps: list[str] = []
    session.set_progress_handler(lambda step: steps.append(f"{step.env_type} {step.phase}"))
    session.start_kernel(env_source="conda:prewarmed")
    assert session.env_source == "conda:prewarmed"
    assert prefix_with(session, "lodestone").name.startswith("runtimed-conda-")
    assert "conda solving" in steps, "the pool that nobody had used was filled on demand"
    assert steps[-1] == "conda ready"


def test_uv_inline(machine: Machine, open_session: OpenSession) -> None:
    session = fresh(open_session, machine)
    session.add_uv_dependency("rtquartz==1.0")
    session.start_kernel()
    assert session.env_source == "uv:inline"
    prefix = prefix_with(session, "rtquartz")
    other = fresh(open_session, machine)
    other.add_uv_dependency("RtQuartz == 1.0")
    steps: list[str] = []
    other.set_progress_handler(lambda step: steps.append(step.phase))
    other.start_kernel()
    assert steps == ["starting", "cache_hit", "ready"]
    assert prefix_with(other, "rtquartz") != prefix, "each kernel has its own copy"
    session.run("!uv pip install -q --python {__import__('sys').executable} rtagate", 60)
    assert prefix_with(session, "rtagate") == prefix
    assert other.run("import rtagate", 60).error is not None
    session.close()


def test_uv_pep723(machine: Machine, open_session: OpenSession) -> None:
    session = fresh(open_session, machine)
    session.create_cell('# /// script\n# dependencies = ["rtopal"]\n# ///\nimport rtopal')
    session.start_kernel()
    assert session.env_source == "uv:pep723"
    assert prefix_with(session, "rtopal")


@pytest.mark.parametrize("untitled", [False, True])
def test_uv_pyproject(
    machine: Machine, open_session: OpenSession, tmp_path: Path, untitled: bool
) -> None:
    project = tmp_path / "project"
    notebooks = project / "notebooks"
    notebooks.mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.10"\n'
        'dependencies = ["rtberyl"]\n'
    )
    if untitled:
        session = fresh(open_session, machine)
        session.start_kernel(notebook_path=notebooks)
    else:
        session = open_session(machine.home, write_notebook(notebooks))
        session.start_kernel()
    assert session.env_source == "uv:pyproject"
    assert prefix_with(session, "rtberyl") == project / ".venv"
    assert session.run("import os; print(os.getcwd())", 60).stdout.strip() == str(notebooks)


def test_conda_inline(machine: Machine, open_session: OpenSession) -> None:
    session = fresh(open_session, machine)
    session.add_conda_dependency("moonstone")
    session.start_kernel()
    assert session.env_source == "conda:inline"
    prefix = prefix_with(session, "moonstone")
    assert session.run("import moonstone; print(moonstone.prefix)", 60).stdout.strip() == str(
        prefix
    )
    shown = session.run("import os; print(os.environ['CONDA_PREFIX'])\n!command -v python", 60)
    assert shown.stdout.split() == [str(prefix), f"{prefix}/bin/python"]


def test_conda_pixi(machine: Machine, open_session: OpenSession, tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(
        '[workspace]\nname = "w"\nchannels = ["conda-forge"]\n'
        'platforms = ["linux-64", "osx-arm64", "osx-64", "linux-aarch64"]\n'
        '[dependencies]\nmoonstone = "1.*"\n[pypi-dependencies]\nrtagate = "==1.0"\n'
    )
    session = open_session(machine.home, write_notebook(tmp_path))
    session.start_kernel()
    assert session.env_source == "conda:pixi"
    prefix = prefix_with(session, "moonstone")
    assert session.run("print(moonstone.version)", 60).stdout.strip() == "1.0"
    assert prefix_with(session, "rtagate") == prefix


def test_conda_env_yml(machine: Machine, open_session: OpenSession, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(
        "channels: [conda-forge]\ndependencies:\n- moonstone>=2\n- pip:\n  - rttopaz\n"
        "variables:\n  MINE: set\n"
    )
    session = open_session(machine.home, write_notebook(tmp_path))
    session.start_kernel()
    assert session.env_source == "conda:env_yml"
    prefix = prefix_with(session, "moonstone")
    assert prefix_with(session, "rttopaz") == prefix
    assert session.run("print(moonstone.version, os.environ['MINE'])", 60).error is not None
    shown = session.run("import os; print(moonstone.version, os.environ['MINE'])", 60)
    assert shown.stdout.split() == ["2.0", "set"]


def test_deno(machine: Machine, open_session: OpenSession, tmp_path: Path) -> None:
    (tmp_path / "stone.ts").write_text("export const stone: string = 'basalt';\n")
    kernelspec = {"name": "deno", "display_name": "Deno", "language": "typescript"}
    session = open_session(machine.home, write_notebook(tmp_path, kernelspec=kernelspec))
    session.start_kernel("deno")
    assert (session.kernel_type, session.env_source) == ("deno", "deno")
    source = 'import { stone } from "./stone.ts"; console.log(stone, Deno.execPath())'
    result = session.run(source, 60)
    stone, program = result.stdout.split()
    assert stone == "basalt"
    assert Path(program).name == "deno"
    session.restart_kernel()
    assert session.kernel_type == "deno"


# Installing into a running kernel


def test_what_is_added_is_told_and_can_be_installed_into_the_running_kernel(
    machine: Machine, open_session: OpenSession
) -> None:
    session = fresh(open_session, machine)
    session.add_uv_dependency("rtquartz")
    session.start_kernel()
    session.run("kept = 1", 60)
    session.add_uv_dependency("rttopaz")
    result = session.sync_environment()
    assert result.success, result.error
    assert result.synced_packages == ["rttopaz"]
    assert prefix_with(session, "rttopaz")
    assert session.run("print(kept)", 60).stdout == "1\n"
    assert session.sync_environment().synced_packages == []
    session.remove_uv_dependency("rtquartz")
    refused = session.sync_environment()
    assert refused.needs_restart
    assert "Cannot remove packages" in (refused.error or "")
    session.add_uv_dependency("rtquartz")
    session.add_uv_dependency("no-such-package-anywhere")
    failed = session.sync_environment()
    assert not failed.success
    assert "no-such-package-anywhere" in (failed.error or "")
    other = fresh(open_session, machine)
    other.add_uv_dependency("rtquartz")
    other.start_kernel()
    assert other.run("import rttopaz", 60).error is not None, "the shared one is as it was"


# What can't be had


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        ("no-such-package-anywhere", "no-such-package-anywhere"),
        ("rtquartz==9", "rtquartz"),
        ("--index-url=http://localhost", "--index-url"),
        ("./local", "./local"),
        ("-rrequirements.txt", "-rrequirements.txt"),
    ],
)
def test_a_kernel_without_what_it_asks_for_does_not_start(
    machine: Machine, open_session: OpenSession, tmp_path: Path, package: str, problem: str
) -> None:
    session = open_session(machine.home, write_notebook(tmp_path, packages=[package]))
    session.approve_trust()
    with pytest.raises(RuntimedError) as caught:
        session.start_kernel()
    assert problem in str(caught.value)
    session.start_kernel(env_source="uv:prewarmed")
    assert session.run("print(1)", 60).stdout == "1\n"


# Trust


def test_what_came_with_a_file_is_installed_only_once_it_was_approved(
    machine: Machine, open_session: OpenSession, tmp_path: Path
) -> None:
    path = write_notebook(tmp_path, "import rtquartz", packages=["rtquartz"])
    session = open_session(machine.home, path)
    with pytest.raises(RuntimedError, match="approve_trust") as caught:
        session.start_kernel()
    assert "rtquartz" in str(caught.value)
    assert not session.kernel_started
    session.add_uv_dependency("rtopal")
    with pytest.raises(RuntimedError, match="approve_trust"):
        session.start_kernel(env_source="uv:inline")
    session.approve_trust()
    session.start_kernel()
    assert prefix_with(session, "rtquartz")
    assert prefix_with(session, "rtopal")
