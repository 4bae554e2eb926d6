"""Cached environments, rooms' own copies and projects with the real uv and real kernels."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import zmq

from package_index import PackageIndex, serve_packages
from runtimed.environments import repeating
from runtimed.environments.cache import EnvironmentCache
from runtimed.environments.cache_folders import folders_in, installed_in
from runtimed.environments.hot_install import install_more
from runtimed.environments.uv_packages import UvPackagesMaker
from runtimed.environments.uv_project import prepare_project
from runtimed.environments.wanted import NO_PACKAGES, UvPackages, UvProject
from runtimed.errors import EnvironmentBuildFailed, RuntimedError
from runtimed.kernels.connection import socket_directory, write_connection_file
from runtimed.kernels.kernel import Kernel
from runtimed.kernels.launch import LaunchSpec, project_kernel, python_kernel
from runtimed.protocol import progress
from wheels import make_wheel

pytestmark = pytest.mark.real

ANY_PYTHON = f"=={sys.version_info.major}.*"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests here, since its base takes seconds to build."""
    return tmp_path_factory.mktemp("cache") / "envs"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """One index for all tests here: environments from another have another base."""
    with serve_packages(tmp_path_factory.mktemp("wheels")) as index:
        yield index


@pytest.fixture
def index(
    served: PackageIndex, open_cache: Callable[..., EnvironmentCache]
) -> Iterator[PackageIndex]:
    """The index with nothing in it, and the base of what is built from it."""

    async def build_base() -> None:
        with trio.fail_after(120):
            (await open_cache().lease(NO_PACKAGES, nothing)).release()

    trio.run(build_base)
    yield served
    served.behaviour = "works"
    served.release()
    for wheel in served.folder.iterdir():
        wheel.unlink()


@pytest.fixture
def open_cache(root: Path, served: PackageIndex) -> Callable[..., EnvironmentCache]:
    def make(limit: float = 120, **environ: str) -> EnvironmentCache:
        variables = {**os.environ, "UV_INDEX": served.url, **environ}
        maker = UvPackagesMaker(environ=variables, limit=limit)
        return EnvironmentCache(root, {UvPackages: lambda: maker})

    return make


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@asynccontextmanager
async def kernel_of(
    spec: LaunchSpec, folder: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> AsyncIterator[Kernel]:
    connections = folder / "connections"
    connections.mkdir(exist_ok=True)
    connection = write_connection_file(connections, socket_directory(connections), "python3")
    kernel = Kernel(spec, connection, context, working_directory=folder)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(kernel.run)
            yield kernel
            kernel.stop()


async def value(kernel: Kernel, expression: str) -> str:
    code = f"__import__('pathlib').Path('said').write_text(str({expression}))"
    reply = await kernel.run_silently(code)
    assert reply.content["status"] == "ok", reply.content
    return (kernel._working_directory / "said").read_text()


def nothing(phase: progress.Phase) -> None:
    pass


async def test_a_kernel_runs_in_the_listed_packages_and_gets_another_while_it_runs(
    open_cache: Callable[..., EnvironmentCache],
    index: PackageIndex,
    tmp_path: Path,
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    make_wheel(index.folder, "rtdfirst", "1.0")
    make_wheel(index.folder, "rtdsecond", "1.0")
    make_wheel(index.folder, "rtdfirst", "2.0")
    wanted = UvPackages(("rtdfirst<2",), requires_python=ANY_PYTHON)
    with trio.fail_after(120):
        environ = {**os.environ, "UV_INDEX": index.url}
        cache = open_cache()
        shared = await cache.lease(wanted, nothing)
        before = installed_in(shared.path)
        assert "rtdfirst-1.0" in before
        own = await cache.own_copy(shared)
        spec = python_kernel(own.environment, "uv:inline")
        async with kernel_of(spec, tmp_path, context) as kernel:
            assert await value(kernel, "__import__('sys').prefix") == str(own.path)
            assert await value(kernel, "__import__('rtdfirst').version") == "rtdfirst 1.0"
            await install_more(own.environment, wanted, ("rtdsecond",), nothing, environ=environ)
            assert await value(kernel, "__import__('rtdsecond').version") == "rtdsecond 1.0"
            assert await value(kernel, "__import__('rtdfirst.same').same.unchanged") == "True"
            program = "__import__('subprocess').getoutput('rtdsecond; which python')"
            said = (await value(kernel, program)).split("\n")
            assert said == ["rtdsecond 1.0", str(own.python)]
            with pytest.raises(EnvironmentBuildFailed, match="exclude each other"):
                await install_more(
                    own.environment, wanted, ("rtdfirst>=2",), nothing, environ=environ
                )
    assert installed_in(shared.path) == before
    assert (await cache.lease(wanted, nothing)).path == shared.path
    own.release()
    await cache.tidy(prune=False)
    assert not own.path.exists()


async def test_an_installation_that_lasts_is_told_again(
    open_cache: Callable[..., EnvironmentCache],
    index: PackageIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeating, "REPEAT_AFTER", 0.05)
    make_wheel(index.folder, "rtdlasts", "1.0")
    environ = {**os.environ, "UV_INDEX": index.url}
    told: list[progress.Phase] = []
    cache = open_cache()
    with trio.fail_after(120):
        shared = await cache.lease(NO_PACKAGES, nothing)
        own = await cache.own_copy(shared)
        index.hold("rtdlasts")
        async with trio.open_nursery() as nursery:

            async def install() -> None:
                more = ("rtdlasts",)
                await install_more(own.environment, NO_PACKAGES, more, told.append, environ=environ)

            nursery.start_soon(install)
            await trio.to_thread.run_sync(index.held.wait, 60)
            seen = len(told)
            while len(told) < seen + 3:  # noqa: ASYNC110
                await trio.sleep(0.01)
            index.release()
    assert set(told[:-1]) == {progress.InstallingPackages(packages=("rtdlasts",))}
    assert isinstance(told[-1], progress.Ready)
    assert "rtdlasts-1.0" in installed_in(own.path)
    own.release()
    await cache.tidy(prune=False)


async def test_packages_that_break_the_kernels_own_are_resolved_with_them(
    open_cache: Callable[..., EnvironmentCache], index: PackageIndex
) -> None:
    """Something old that ipykernel needs does not just take the place of what is there."""
    make_wheel(index.folder, "traitlets", "1.0")
    with trio.fail_after(120):
        with pytest.raises(EnvironmentBuildFailed, match="exclude each other") as caught:
            await open_cache().lease(UvPackages(("traitlets==1.0",)), nothing)
    assert "ipykernel" in str(caught.value)


async def test_a_constraint_on_python_is_obeyed_or_named(
    open_cache: Callable[..., EnvironmentCache],
) -> None:
    cache = open_cache()
    with trio.fail_after(120):
        lease = await cache.lease(UvPackages((), requires_python=ANY_PYTHON), nothing)
        assert lease.python.exists()
        with pytest.raises(EnvironmentBuildFailed, match="No installed interpreter") as caught:
            await cache.lease(UvPackages((), requires_python=">=3.99"), nothing)
        assert "'>=3.99'" in str(caught.value)
        assert f"Found were {platform.python_version()} (the default)" in str(caught.value)
        assert "uv python install '>=3.99'" in str(caught.value)


async def test_a_pre_release_is_taken_where_it_is_allowed(
    open_cache: Callable[..., EnvironmentCache], index: PackageIndex
) -> None:
    make_wheel(index.folder, "rtdpre", "1.0")
    make_wheel(index.folder, "rtdpre", "2.0rc1")
    with trio.fail_after(120):
        cache = open_cache()
        plain = await cache.lease(UvPackages(("rtdpre",)), nothing)
        allowed = await cache.lease(UvPackages(("rtdpre",), prerelease="allow"), nothing)
    assert "rtdpre-1.0" in installed_in(plain.path)
    assert "rtdpre-2.0rc1" in installed_in(allowed.path)


@pytest.mark.parametrize("bad", ["--index-url=http://evil", "./here", "a b"])
async def test_what_is_no_requirement_reaches_no_command(
    open_cache: Callable[..., EnvironmentCache], root: Path, bad: str
) -> None:
    before = folders_in(root)
    with trio.fail_after(60), pytest.raises(RuntimedError, match="dependencies: "):
        await open_cache().lease(UvPackages((bad,)), nothing)
    assert len(folders_in(root)) <= len(before) + 1, "the base at most"


@pytest.mark.parametrize(
    ("requirements", "said", "package"),
    [
        (("rtd-does-not-exist-at-all",), "Check the name", "rtd-does-not-exist-at-all"),
        (("rtdone==9",), "a version that exists", "rtdone"),
        (("rtdone<1", "rtdone>=1"), "exclude each other", None),
    ],
)
async def test_what_can_not_be_had_is_named_with_a_remedy(
    open_cache: Callable[..., EnvironmentCache],
    index: PackageIndex,
    requirements: tuple[str, ...],
    said: str,
    package: str | None,
) -> None:
    make_wheel(index.folder, "rtdone", "1.0")
    with trio.fail_after(120), pytest.raises(EnvironmentBuildFailed, match=said) as caught:
        await open_cache().lease(UvPackages(requirements), nothing)
    assert caught.value.failed_package == package


@pytest.mark.parametrize("trouble", ["hangs", "cuts", "unreachable"])
async def test_an_index_in_trouble_ends_the_build_with_a_remedy(
    open_cache: Callable[..., EnvironmentCache], index: PackageIndex, tmp_path: Path, trouble: Any
) -> None:
    make_wheel(index.folder, "rtdnet", "1.0")
    environ = {"UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path)}
    if trouble == "unreachable":
        environ["UV_INDEX"] = "http://127.0.0.1:9/simple"
    else:
        index.behaviour = trouble
    cache = open_cache(**environ)
    with (
        trio.fail_after(60),
        pytest.raises(EnvironmentBuildFailed, match="can't be reached or breaks off"),
    ):
        await cache.lease(UvPackages(("rtdnet",)), nothing)


async def test_a_build_has_a_limit_and_ends_its_uv(
    open_cache: Callable[..., EnvironmentCache], index: PackageIndex, tmp_path: Path, root: Path
) -> None:
    before = folders_in(root)
    index.behaviour = "hangs"
    cache = open_cache(limit=1, UV_CACHE_DIR=str(tmp_path))
    with trio.fail_after(60), pytest.raises(EnvironmentBuildFailed, match="within 1 seconds"):
        await cache.lease(UvPackages(("rtdslow",)), nothing)
    with trio.fail_after(30):
        while folders_in(root) != before:  # noqa: ASYNC110  # a slow disk removes for a while
            await trio.sleep(0.05)


async def test_another_index_means_another_environment_and_a_password_is_kept_nowhere(
    open_cache: Callable[..., EnvironmentCache],
    index: PackageIndex,
    root: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_wheel(index.folder, "rtdours", "1.0")
    wanted = UvPackages(("rtdours",))
    caplog.set_level(logging.DEBUG)
    asked = open_cache(UV_INDEX=index.url_for("someone:rtdsecret"))
    with trio.fail_after(120):
        first = await asked.lease(wanted, nothing)
        assert "rtdours-1.0" in installed_in(first.path)
        again = await open_cache().lease(wanted, nothing)
        assert again.path == first.path, "it is the same index, whoever asks it"
        with pytest.raises(EnvironmentBuildFailed) as caught:
            await asked.lease(UvPackages(("rtdours==2",)), nothing)
    assert "rtdsecret" not in str(caught.value) + caplog.text
    kept = await trio.to_thread.run_sync(files_with, root, b"rtdsecret")
    assert kept == []
    elsewhere = UvPackagesMaker(environ={**os.environ, "UV_INDEX": "http://127.0.0.1:9/simple"})
    ours = UvPackagesMaker(environ={**os.environ, "UV_INDEX": index.url})
    for packages in (wanted, NO_PACKAGES):
        assert await elsewhere.fingerprint(packages) != await ours.fingerprint(packages)


def files_with(folder: Path, word: bytes) -> list[Path]:
    """The small files with a word in them: records, logs, metadata."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.stat().st_size < 1 << 16
        and path.suffix not in (".py", ".pyc", ".so")
        and word in path.read_bytes()
    ]


# ---------------------------------------------------------------------- projects


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "rtdproj", "1.0")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\n'
        'dependencies = ["rtdproj"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{wheels}"]\n'
    )
    return folder / "pyproject.toml"


async def test_a_kernel_runs_in_the_projects_own_environment(
    open_cache: Callable[..., EnvironmentCache],
    project: Path,
    tmp_path: Path,
    context: zmq.Context[zmq.Socket[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "elsewhere"))
    phases: list[progress.Phase] = []
    with trio.fail_after(120):
        prepared = await prepare_project(UvProject(project), open_cache(), phases.append)
        spec = project_kernel(prepared.environment, "uv:pyproject", prepared.packages)
        async with kernel_of(spec, tmp_path, context) as kernel:
            assert await value(kernel, "__import__('rtdproj').version") == "rtdproj 1.0"
            assert await value(kernel, "__import__('sys').prefix") == str(project.parent / ".venv")
            assert await value(kernel, "__import__('os').getpid()") == str(kernel.pid)
            assert await value(kernel, "__import__('ipywidgets').__name__") == "ipywidgets"
    names = [type(phase).__name__ for phase in phases]
    assert (names[0], names[1], names[-1]) == ("Starting", "InstallingPackages", "Ready")
    assert not (tmp_path / "elsewhere").exists()
    assert installed_in(project.parent / ".venv") == ["rtdproj-1.0"], "nothing of ours is in it"
    assert prepared.lease is not None
    prepared.lease.release()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('["rtdproj"]', '["rtdnone"]', "rtdnone"),
        ('["rtdproj"]', '["rtdproj"', "TOML parse error"),
        (">=3.9", ">=3.99", "3.99"),
    ],
)
async def test_a_broken_project_is_told_in_uvs_words(
    open_cache: Callable[..., EnvironmentCache], project: Path, before: str, after: str, said: str
) -> None:
    project.write_text(project.read_text().replace(before, after))
    phases: list[progress.Phase] = []
    with trio.fail_after(60), pytest.raises(EnvironmentBuildFailed, match=said) as caught:
        await prepare_project(UvProject(project), open_cache(), phases.append)
    assert "`uv sync` in that folder" in str(caught.value)
    assert isinstance(phases[-1], progress.Error)
