"""Conda environments that are really solved, linked and run, from a channel of our own."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest
import trio

from channel_server import ChannelServer, serve_channel
from conda_channel import CondaChannel
from runtimed.environments.conda.activation import activation_variables
from runtimed.environments.conda.build import build_conda
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.conda.solving import Limits
from runtimed.environments.wanted import CondaPackages
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress
from wheels import make_project, make_wheel

pytestmark = pytest.mark.real


@attrs.define
class Bench:
    """Builds in a folder of the test's own."""

    path: Path
    environ: dict[str, str]
    channels: ChannelMap | None = None
    phases: list[progress.Phase] = attrs.field(factory=list)

    async def build(self, *specs: str, limits: Limits | None = None, **wanted: Any) -> Path:
        with trio.fail_after(120):
            return await build_conda(
                self.path,
                CondaPackages(specs, **wanted),
                self.phases.append,
                channels=self.channels,
                limits=limits or Limits(),
                environ=self.environ,
            )

    async def link(self, *specs: str, **wanted: Any) -> None:
        """Build until everything is linked, and leave the rest: it takes longer than the links."""
        with trio.CancelScope() as scope:

            def stop(phase: progress.Phase) -> None:
                self.phases.append(phase)
                if isinstance(phase, progress.InstallComplete):
                    scope.cancel()

            packages = CondaPackages(specs, **wanted)
            with trio.fail_after(120):
                await build_conda(
                    self.path, packages, stop, channels=self.channels, environ=self.environ
                )
        assert scope.cancelled_caught

    async def refused(self, *specs: str, **options: Any) -> EnvironmentBuildFailed:
        with pytest.raises(EnvironmentBuildFailed) as refused:
            await self.build(*specs, **options)
        assert not workers()
        return refused.value

    def run(self, code: str) -> str:
        return output_of(self.path / "bin" / "python", "-I", "-c", code)

    def version_of(self, package: str) -> str:
        (record,) = (self.path / "conda-meta").glob(f"{package}-[0-9]*.json")
        return record.name.split("-")[-2]


def output_of(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def workers() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE
        and "runtimed.environments.conda.worker" in process.cmdline()
    ]


@pytest.fixture
def bench(tmp_path: Path, conda_channel: CondaChannel, conda_cache: Path) -> Bench:
    return Bench(tmp_path / "env", {**os.environ, **conda_channel.environ(conda_cache)})


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, conda_channel: CondaChannel, conda_cache: Path
) -> Bench:
    """An environment with the older Python, moonstone, and a package from pip; only looked at."""
    folder = tmp_path_factory.mktemp("made")
    made = Bench(folder / "env", {**os.environ, **conda_channel.environ(conda_cache)})
    wheel = make_wheel(folder, "sunstone", "1.0")
    wanted: dict[str, Any] = {
        "python": f"=={conda_channel.python[0]}",
        "pip": (f"sunstone @ {wheel.as_uri()}", "jasper"),
        "pip_options": (
            "--no-index",
            f"--find-links={make_wheel(folder, 'jasper', '3.0').parent}",
        ),
        "editable": (str(make_project(folder, "tigereye")),),
    }
    build = functools.partial(made.build, "moonstone", **wanted)
    assert trio.run(build) == made.path / "bin" / "python"
    return made


@pytest.fixture
def server(conda_channel: CondaChannel) -> Iterator[ChannelServer]:
    with serve_channel(conda_channel.folder) as served:
        yield served


@pytest.fixture(scope="module")
def remote_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote-cache")


@pytest.fixture
def remote(tmp_path: Path, server: ChannelServer, remote_cache: Path) -> Bench:
    """Gets everything over HTTP. The cache is shared, so each test that spoils the download of
    some package has that to itself."""
    environ = {**os.environ, "RATTLER_CACHE_DIR": str(remote_cache)}
    return Bench(tmp_path / "env", environ, ChannelMap(urls={"conda-forge": server.url}))


def test_an_environment_has_its_packages_and_reports_itself_as_its_prefix(made: Bench) -> None:
    answer = made.run("import sys, ipykernel, moonstone; print(sys.prefix, moonstone.prefix)")
    assert answer == f"{made.path} {made.path}"
    assert output_of(made.path / "bin" / "moonstone") == f"moonstone 1.0 {made.path}"


def test_every_phase_is_told_in_order(made: Bench) -> None:
    names = [type(phase).__name__ for phase in made.phases]
    assert list(dict.fromkeys(names)) == [
        "FetchingRepodata",
        "RepodataComplete",
        "Solving",
        "SolveComplete",
        "Installing",
        "LinkProgress",
        "InstallComplete",
        "InstallingPackages",
    ]
    assert made.phases[0] == progress.FetchingRepodata(channels=("conda-forge",))
    solved = made.phases[names.index("SolveComplete")]
    assert isinstance(solved, progress.SolveComplete)
    last = made.phases[-3]
    assert isinstance(last, progress.LinkProgress)
    assert last.completed == last.total == solved.package_count


def test_a_constraint_on_python_decides_what_is_chosen(
    made: Bench, conda_channel: CondaChannel
) -> None:
    assert made.version_of("python") == conda_channel.python[0]
    assert made.version_of("moonstone") == "1.0"  # the newer one wants a newer Python


def test_the_pip_part_is_installed_into_the_same_environment(made: Bench) -> None:
    assert made.run("import sunstone; print(sunstone.version)") == "sunstone 1.0"


def test_an_option_of_the_project_says_where_packages_are_found(made: Bench) -> None:
    assert made.run("import jasper; print(jasper.version)") == "jasper 3.0"


def test_an_editable_folder_is_there_as_it_is_now(made: Bench) -> None:
    show = "import tigereye; print(tigereye.version, tigereye.__file__)"
    module = made.path.parent / "tigereye" / "src" / "tigereye.py"
    assert made.run(show) == f"1 {module}"
    module.write_text('version = "22"\n')
    assert made.run(show) == f"22 {module}"


def test_activation_scripts_have_had_their_say(made: Bench) -> None:
    assert activation_variables(made.path) == {
        "MOONSTONE_ACTIVE": "1",
        "MOONSTONE_DATA": f"{made.path}/share/moonstone",
        "MOONSTONE_HOME": "set",
    }


async def test_a_spec_may_name_its_own_channel(bench: Bench, conda_channel: CondaChannel) -> None:
    empty = bench.path.parent / "empty"
    (empty / "noarch").mkdir(parents=True)
    (empty / "noarch" / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
    bench.channels = ChannelMap(urls={"here": conda_channel.url, "conda-forge": conda_channel.url})
    await bench.link("here::moonstone <2", channels=(empty.as_uri(), "conda-forge"))
    assert bench.version_of("moonstone") == "1.0"


def test_the_worker_ends_when_the_daemon_is_killed(tmp_path: Path, server: ChannelServer) -> None:
    server.hangs = "repodata.json"
    code = f"""
import sys, trio
from pathlib import Path
from runtimed.environments.conda.build import build_conda
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.wanted import CondaPackages
known = ChannelMap(urls={{"conda-forge": {server.url!r}}})
path = Path({str(tmp_path / "env")!r})
report = lambda phase: print(phase, flush=True)
trio.run(lambda: build_conda(path, CondaPackages(()), report, channels=known))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert b"FetchingRepodata" in daemon.stdout.readline()
        (worker,) = workers()
        daemon.kill()
    worker.wait(timeout=60)


# ------------------------------------------------------------------ bad input


async def test_a_package_that_does_not_exist_is_named(bench: Bench) -> None:
    error = await bench.refused("no-such-thing >=3")
    assert str(error).startswith("Failed to solve dependencies: ")
    assert error.failed_package == "no-such-thing"


async def test_packages_that_exclude_each_other_are_named(bench: Bench) -> None:
    error = await bench.refused("lodestone", "moonstone >=2")
    assert "lodestone 1.0 would require" in str(error)
    assert error.failed_package == "moonstone"


async def test_a_python_that_is_not_there_is_named(bench: Bench) -> None:
    error = await bench.refused(python="<3.5")
    assert error.failed_package == "python"


async def test_what_this_machine_has_counts_when_packages_ask_for_it(bench: Bench) -> None:
    bench.environ["CONDA_OVERRIDE_CUDA"] = ""  # as on a machine without
    error = await bench.refused("gemstone")
    assert error.failed_package == "__cuda"
    bench.environ["CONDA_OVERRIDE_CUDA"] = "12.4"
    await bench.link("gemstone")


async def test_an_option_in_disguise_is_refused(bench: Bench) -> None:
    for spec in ("--offline", "numpy --offline", "-c evil"):
        error = await bench.refused(spec)
        assert str(error).startswith("Failed to parse match specs: ")


async def test_an_unreachable_channel_is_named_after_retries(bench: Bench) -> None:
    bench.channels = ChannelMap(urls={"conda-forge": "http://127.0.0.1:1/forge"})
    error = await bench.refused()
    assert str(error).startswith("Failed to fetch package metadata after 2 retries: ")
    assert "conda-forge (http://127.0.0.1:1/forge)" in str(error)
    assert "Connection refused" in str(error)


async def test_a_channel_that_is_not_there_is_named_at_once(bench: Bench, tmp_path: Path) -> None:
    bench.channels = ChannelMap(urls={"conda-forge": str(tmp_path / "nothing")})
    error = await bench.refused()
    assert str(error).startswith("Failed to fetch package metadata: channel conda-forge (file://")


async def test_a_busy_channel_is_asked_again_and_a_lost_one_is_taken_as_it_was(
    remote: Bench, server: ChannelServer
) -> None:
    server.unavailable = 2
    await remote.link()
    await trio.to_thread.run_sync(shutil.rmtree, remote.path)
    server.unavailable = 1000
    await remote.link()  # from what is kept of metadata and packages


async def test_a_channel_that_does_not_answer_is_named_in_time(
    remote: Bench, server: ChannelServer, conda_channel: CondaChannel
) -> None:
    server.hangs = "repodata.json"
    remote.channels = ChannelMap(urls={"good": conda_channel.url, "bad": server.url})
    error = await remote.refused(channels=("good", "bad"), limits=Limits(metadata=3))
    assert f"no answer within 3 seconds from bad ({server.url})" in str(error)


async def test_a_download_that_stands_still_is_given_up(
    remote: Bench, server: ChannelServer
) -> None:
    server.hangs = "lodestone-1.0-0.conda"
    error = await remote.refused("lodestone", limits=Limits(stall=2))
    assert "no progress for 2 seconds" in str(error)
    assert server.url in str(error)


async def test_a_download_that_is_cut_names_the_package(
    remote: Bench, server: ChannelServer
) -> None:
    server.cuts = "moonstone-2.0-0.conda"
    error = await remote.refused("moonstone")
    assert error.failed_package == "moonstone"
    server.cuts = None
    await trio.to_thread.run_sync(shutil.rmtree, remote.path)
    await remote.link("moonstone")  # nothing half of it stayed in the cache
    assert "DownloadProgress" in [type(phase).__name__ for phase in remote.phases]


async def test_content_that_is_not_what_was_promised_is_refused(
    remote: Bench, conda_channel: CondaChannel
) -> None:
    archive = conda_channel.archive("lodestone")
    content = archive.read_bytes()
    try:
        archive.write_bytes(content.replace(b"version = '1.0'", b"version = '6.6'"))
        error = await remote.refused("lodestone")
    finally:
        archive.write_bytes(content)
    assert "not what its index promises" in str(error)
    assert error.failed_package == "lodestone"


async def test_a_full_disk_is_an_error_that_says_so(bench: Bench, small_disk: Any) -> None:
    bench.path = small_disk("size=4m") / "env"
    error = await bench.refused("moonstone")
    assert "No space left on device" in str(error)
    assert "Make room on the disk" in str(error)


async def test_a_worker_that_is_killed_while_it_links_is_an_error(bench: Bench) -> None:
    def kill(phase: progress.Phase) -> None:
        if isinstance(phase, progress.LinkProgress):
            for worker in workers():
                worker.send_signal(signal.SIGKILL)

    with pytest.raises(EnvironmentBuildFailed, match=r"ended unexpectedly \(SIGKILL\)"):
        await build_conda(bench.path, CondaPackages(("moonstone",)), kill, environ=bench.environ)
    await trio.to_thread.run_sync(shutil.rmtree, bench.path)
    await bench.link("moonstone")
    assert bench.run("import moonstone; print(moonstone.version)") == "2.0"


async def test_a_build_that_is_cancelled_leaves_no_process(bench: Bench) -> None:
    with trio.CancelScope() as scope:

        def cancel(phase: progress.Phase) -> None:
            if isinstance(phase, progress.Installing):
                scope.cancel()

        await build_conda(bench.path, CondaPackages(()), cancel, environ=bench.environ)
    assert scope.cancelled_caught
    assert not workers()


def test_the_daemon_never_loads_the_solver() -> None:
    code = (
        "import sys, runtimed.environments.conda.build, runtimed.environments.conda.solving;"
        "print('rattler' in sys.modules)"
    )
    assert output_of(sys.executable, "-c", code) == "False"
