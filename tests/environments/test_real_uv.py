"""Environments made by the real uv, from the real index."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import psutil
import pytest
import trio

from runtimed.environments.directories import (
    environments_in,
    read_marker,
    remove_folder,
    templates_in,
)
from runtimed.environments.environment import Environment
from runtimed.environments.pool import Pool
from runtimed.environments.uv import find_uv, uv_environ
from runtimed.environments.uv_builder import UvBuilder
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress
from wheels import make_wheel

pytestmark = pytest.mark.real


@attrs.frozen
class Made:
    """One template with a package of our own in it, made once for all tests here."""

    root: Path
    wheels: Path
    requirement: str
    template: Path
    phases: list[progress.Phase]

    async def clone(self) -> Environment:
        builder = UvBuilder(self.root)
        with trio.fail_after(300):
            await builder.open((self.requirement,))
            try:
                return await builder.build((self.requirement,), nothing, urgent=True)
            finally:
                builder.close()


def nothing(phase: progress.Phase) -> None:
    pass


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache shared by the tests of a run; CI may name one that is warm already."""
    with pytest.MonkeyPatch.context() as patch:
        cache = os.environ.get("UV_CACHE_DIR")
        if cache is None:
            cache = str(tmp_path_factory.mktemp("uv-cache"))
            patch.setenv("UV_CACHE_DIR", cache)
        yield Path(cache)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, uv_cache: Path) -> Made:
    wheels = tmp_path_factory.mktemp("wheels")
    requirement = f"demo @ {make_wheel(wheels, 'demo', '1.0').as_uri()}"
    make_wheel(wheels, "demo", "2.0")
    make_wheel(wheels, "intruder", "1.0", module="demo")
    root = tmp_path_factory.mktemp("envs")
    phases: list[progress.Phase] = []

    async def build() -> Environment:
        builder = UvBuilder(root)
        with trio.fail_after(600):
            await builder.open((requirement,))
            try:
                return await builder.build((requirement,), phases.append, urgent=True)
            finally:
                builder.close()

    trio.run(build)
    (template,) = root.glob("template-*")
    return Made(root, wheels, requirement, template, phases)


def run(*command: str | Path, **extra: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**uv_environ(), **extra},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def uv_pip(verb: str, environment: Environment, *arguments: str | Path, **extra: str) -> str:
    return run(find_uv(), "pip", verb, "--python", environment.python, *arguments, **extra)


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every regular file below a folder: its time of change and, unless huge, its content."""
    state = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            content = path.read_bytes() if status.st_size < 1_000_000 else b""
            state[str(path)] = (status.st_mtime_ns, content)
    return state


def installed_version(environment: Environment) -> str:
    return run(environment.python, "-c", "import demo; print(demo.version)").strip()


async def test_a_clone_is_an_environment_of_its_own(made: Made) -> None:
    clone = await made.clone()
    prefix = run(clone.python, "-c", "import sys; print(sys.prefix, sys.executable)").split()
    assert prefix == [str(clone.path), str(clone.python)]
    packages = uv_pip("list", clone)
    for package in ("ipykernel", "ipywidgets", "uv", "demo"):
        assert f"{package} " in packages
    script = clone.path / "bin" / "ipython"
    assert script.read_text().splitlines()[0] == f"#!{clone.python}"
    assert run(script, "--version")
    assert run(clone.path / "bin" / "demo") == "demo 1.0\n"
    assert run(clone.path / "bin" / "uv", "--version").startswith("uv ")
    assert uv_pip("check", clone) == ""
    activated = run(
        "/bin/sh", "-c", f". '{clone.path}/bin/activate'; echo $VIRTUAL_ENV; command -v python"
    )
    assert activated.split() == [str(clone.path), str(clone.python)]


async def test_the_first_build_reports_its_phases_in_order(made: Made) -> None:
    assert [type(phase).__name__ for phase in made.phases] == [
        "Starting",
        "CreatingVenv",
        "InstallingPackages",
    ]


async def test_nothing_in_a_clone_names_its_template(made: Made) -> None:
    clone = await made.clone()
    name = made.template.name.encode()
    for path in clone.path.rglob("*"):
        if "site-packages" in path.parts and path.suffix != ".pth":
            continue  # shared with the template; bytecode is told its place when it is loaded
        if path.is_symlink():
            assert made.template.name not in str(path.readlink())
        elif path.is_file():
            assert name not in path.read_bytes(), path


async def test_tracebacks_name_the_clones_files(made: Made) -> None:
    clone = await made.clone()
    code = (
        "import ipykernel.kernelbase as k; print(k.Kernel.start.__code__.co_filename, k.__cached__)"
    )
    for path in run(clone.python, "-c", code).split():
        assert path.startswith(str(clone.path))


async def test_warm_up_left_bytecode_for_what_kernels_import(made: Made) -> None:
    clone = await made.clone()
    before = set(clone.path.rglob("*.pyc"))
    assert len(before) > 100
    run(clone.python, "-c", "import ipykernel.ipkernel, IPython, ipywidgets, ipykernel_launcher")
    assert set(clone.path.rglob("*.pyc")) == before


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
async def test_installing_with_uv_in_one_clone_changes_no_other(made: Made, mode: str) -> None:
    one, other = await made.clone(), await made.clone()
    template, neighbour = state_of(made.template), state_of(other.path)
    extra = {"UV_LINK_MODE": mode}
    intruder = made.wheels / "intruder-1.0-py3-none-any.whl"
    uv_pip("install", one, made.wheels / "demo-2.0-py3-none-any.whl", **extra)
    assert installed_version(one) == "demo 2.0"
    uv_pip("install", one, "--reinstall", made.wheels / "demo-1.0-py3-none-any.whl", **extra)
    assert installed_version(one) == "demo 1.0"
    uv_pip("install", one, intruder, **extra)  # writes over files of demo
    assert installed_version(one) == "intruder 1.0"
    uv_pip("install", one, "--reinstall", "comm", "--no-deps", "--compile-bytecode", **extra)
    uv_pip("uninstall", one, "jedi", "demo")
    assert state_of(made.template) == template
    assert state_of(other.path) == neighbour
    assert installed_version(other) == "demo 1.0"


async def test_installing_with_pip_in_one_clone_changes_no_other(made: Made) -> None:
    one, other = await made.clone(), await made.clone()
    template, neighbour = state_of(made.template), state_of(other.path)
    uv_pip("install", one, "pip")
    pip = (one.python, "-m", "pip", "--no-input", "--disable-pip-version-check")
    run(*pip, "install", "--no-index", made.wheels / "demo-2.0-py3-none-any.whl")
    assert installed_version(one) == "demo 2.0"
    run(*pip, "install", "--no-index", made.wheels / "intruder-1.0-py3-none-any.whl")
    assert installed_version(one) == "intruder 1.0"
    run(
        *pip,
        "install",
        "--no-index",
        "--force-reinstall",
        made.wheels / "demo-1.0-py3-none-any.whl",
    )
    run(*pip, "uninstall", "-y", "jedi", "comm")
    assert state_of(made.template) == template
    assert state_of(other.path) == neighbour


async def test_the_rest_is_compiled_later_and_new_clones_have_it(made: Made) -> None:
    builder = UvBuilder(made.root)
    with trio.fail_after(300):
        await builder.open((made.requirement,))
        await builder.finish((made.requirement,))
        builder.close()
    marker = read_marker(made.template)
    assert marker is not None
    assert marker.compiled
    clone = await made.clone()
    assert list((clone.path / "lib").glob("*/site-packages/demo/__pycache__/same.*.pyc"))


async def test_a_package_that_does_not_exist_is_named(tmp_path: Path, uv_cache: Path) -> None:
    builder = UvBuilder(tmp_path)
    with (
        trio.fail_after(120),
        pytest.raises(EnvironmentBuildFailed, match="Failed to install") as caught,
    ):
        await builder.build(("runtimed-no-such-package-at-all",), nothing, urgent=True)
    builder.close()
    assert caught.value.failed_package == "runtimed-no-such-package-at-all"
    assert not templates_in(tmp_path, "uv")


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children()}


async def test_takes_and_returns_of_real_environments_leave_what_was_there(made: Made) -> None:
    before = children()
    builder = UvBuilder(made.root)
    pool = Pool("uv", made.root, 2, builder, (made.requirement,))
    with trio.fail_after(300):
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            for _ in range(3):
                environments = [await pool.take(), await pool.take()]
                for environment in environments:
                    assert environment.python.exists()
                    assert pool.discard(environment)
            while (  # noqa: ASYNC110
                len(environments_in(made.root, "uv")) > 2 or pool.status().available < 2
            ):
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    folders = {path.name for path in environments_in(made.root, "uv")}
    assert len(folders) == 2
    assert len(templates_in(made.root, "uv")) == 1
    assert not list(made.root.glob(".owner-*"))
    assert not children() - before
    for path in environments_in(made.root, "uv"):
        remove_folder(made.root, "uv", path)
