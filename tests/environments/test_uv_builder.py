"""The builder's bookkeeping, with a uv that is a small script and needs no network."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from runtimed.environments.directories import (
    MARKER,
    environments_in,
    new_environment_path,
    new_template_path,
    read_marker,
    templates_in,
    write_marker,
)
from runtimed.environments.environment import Environment
from runtimed.environments.pool import Pool
from runtimed.environments.uv_builder import UvBuilder
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress
from waiting import wait_until_async

pytestmark = pytest.mark.real

FAKE_UV = """#!/bin/sh
set -e
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1" in
--version) echo "uv $(cat "$here/version")" ;;
venv)
    mkdir -p "$5/bin" "$5/lib/python3/site-packages/demo"
    ln -s "$3" "$5/bin/python"
    echo "home = $3" > "$5/pyvenv.cfg" ;;
pip)
    [ ! -e "$here/slow" ] || sleep 60
    [ ! -e "$here/broken" ] || { cat "$here/broken" >&2; exit 1; }
    env=$(dirname "$(dirname "$4")")
    echo "x = 1" > "$env/lib/python3/site-packages/demo/__init__.py"
    printf '#!%s\\n' "$4" > "$env/bin/demo"; chmod +x "$env/bin/demo" ;;
esac
"""


@attrs.frozen
class FakeUv:
    folder: Path

    def locate(self) -> Path:
        return self.folder / "uv"

    def installs(self) -> int:
        return self.calls().count("pip")

    def calls(self) -> list[str]:
        return [line.split()[0] for line in (self.folder / "calls").read_text().splitlines()]

    @contextmanager
    def having(self, name: str, text: str = "") -> Iterator[None]:
        (self.folder / name).write_text(text)
        yield
        (self.folder / name).unlink()


@pytest.fixture
def uv(tmp_path: Path) -> FakeUv:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "version").write_text("1.0")
    (folder / "calls").touch()
    (folder / "uv").write_text(FAKE_UV)
    (folder / "uv").chmod(0o755)
    return FakeUv(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "envs"


def nothing(phase: progress.Phase) -> None:
    pass


@asynccontextmanager
async def opened(builder: UvBuilder) -> AsyncIterator[UvBuilder]:
    with trio.fail_after(30):
        await builder.open(())
        try:
            yield builder
        finally:
            builder.close()


async def test_packages_are_installed_once_and_then_cloned(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        phases: list[progress.Phase] = []
        first = await builder.build((), phases.append, urgent=True)
        assert [type(phase).__name__ for phase in phases] == [
            "Starting",
            "CreatingVenv",
            "InstallingPackages",
        ]
        phases.clear()
        second = await builder.build((), phases.append, urgent=False)
        assert [type(phase).__name__ for phase in phases] == ["Starting", "CacheHit"]
        assert uv.installs() == 1
        assert first.path != second.path
        for made in (first, second):
            marker = read_marker(made.path)
            assert marker is not None
            assert marker.state == "ready"
            assert (made.path / "bin" / "demo").read_text() == f"#!{made.python}\n"


async def test_builds_at_the_same_time_share_one_installation(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        made: list[Environment] = []

        async def build() -> None:
            made.append(await builder.build((), nothing, urgent=False))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(build)
        assert len({one.path for one in made}) == 3
        assert uv.installs() == 1


async def test_other_packages_and_another_uv_get_another_template(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        await builder.build(("b", "a"), nothing, urgent=False)
        await builder.build(("a", " b "), nothing, urgent=False)
        assert uv.installs() == 1
        await builder.build(("a",), nothing, urgent=False)
        assert uv.installs() == 2
    (uv.folder / "version").write_text("1.1")
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        await builder.build(("a",), nothing, urgent=False)
    assert uv.installs() == 3
    assert len(templates_in(root, "uv")) == 1, "unused templates are removed"


async def test_an_old_template_is_renewed_unless_somebody_waits(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, max_age=100, locate_uv=uv.locate)) as builder:
        await builder.build((), nothing, urgent=False)
        (template,) = templates_in(root, "uv")
        marker = read_marker(template)
        assert marker is not None
        write_marker(template, attrs.evolve(marker, created=time.time() - 200))
        await builder.build((), nothing, urgent=True)
        assert uv.installs() == 1
        with uv.having("broken", "error: no network"):
            await builder.build((), nothing, urgent=False)
        assert uv.installs() == 2, "tried, and the old one used"
        builder.renew()
        await builder.build((), nothing, urgent=False)
        assert uv.installs() == 3
        assert templates_in(root, "uv") != [template]


async def test_renewing_concerns_those_who_wait_too(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        await builder.build((), nothing, urgent=True)
        builder.renew()
        await builder.build((), nothing, urgent=True)
        await builder.build((), nothing, urgent=True)
        assert uv.installs() == 2


async def test_a_failed_installation_leaves_nothing_and_names_the_package(
    root: Path, uv: FakeUv
) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        with (
            uv.having("broken", "Because nump was not found in the package registry"),
            pytest.raises(EnvironmentBuildFailed, match="Failed to install") as caught,
        ):
            await builder.build(("nump",), nothing, urgent=False)
        assert caught.value.failed_package == "nump"
        assert not templates_in(root, "uv")
        assert not environments_in(root, "uv")


async def test_an_option_is_not_taken_for_a_requirement(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        for bad in ("--index-url=http://evil", " -r/etc/passwd", ""):
            with pytest.raises(EnvironmentBuildFailed, match="Not a package requirement"):
                await builder.build((bad,), nothing, urgent=False)
    assert uv.installs() == 0


async def test_a_missing_uv_is_a_failure_that_a_later_build_gets_over(
    root: Path, uv: FakeUv
) -> None:
    def locate() -> Path:
        if (uv.folder / "gone").exists():
            raise EnvironmentBuildFailed("Failed to get uv path: gone")
        return uv.locate()

    with uv.having("gone"):
        async with opened(UvBuilder(root, locate_uv=locate)) as builder:
            with pytest.raises(EnvironmentBuildFailed, match="Failed to get uv path"):
                await builder.build((), nothing, urgent=False)
            (uv.folder / "gone").rename(uv.folder / "back")
            await builder.build((), nothing, urgent=False)
            (uv.folder / "gone").touch()


async def test_a_root_that_cannot_be_made_is_a_failure(tmp_path: Path, uv: FakeUv) -> None:
    (tmp_path / "file").touch()
    builder = UvBuilder(tmp_path / "file" / "envs", locate_uv=uv.locate)
    with trio.fail_after(30), pytest.raises(EnvironmentBuildFailed, match="create cache dir"):
        await builder.build((), nothing, urgent=False)


async def test_a_cancelled_build_leaves_nothing(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        with uv.having("slow"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(builder.build, (), nothing, urgent=False))
                await wait_until_async(lambda: uv.installs() == 1)
                nursery.cancel_scope.cancel()
        assert uv.installs() == 1
        assert not templates_in(root, "uv")
        await builder.build((), nothing, urgent=False)


async def test_a_damaged_template_is_replaced_at_the_next_build(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        await builder.build((), nothing, urgent=False)
        (template,) = templates_in(root, "uv")
        (template / "bin" / "python").unlink()
        await builder.build((), nothing, urgent=False)
        assert uv.installs() == 2


async def test_a_restart_adopts_what_is_finished_and_unclaimed_and_condemns_the_rest(
    root: Path, uv: FakeUv
) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        made = [await builder.build((), nothing, urgent=False) for _ in range(4)]
        builder.claim(made[1])
        claimed = read_marker(made[1].path)
        assert claimed is not None
        assert claimed.state == "claimed"
        marker = read_marker(made[2].path)
        assert marker is not None
        write_marker(made[2].path, attrs.evolve(marker, fingerprint="other"))
        made[3].python.unlink()
        half_built = new_environment_path(root, "uv")
        half_built.mkdir()
        (root / "runtimed-uv-of-somebody").mkdir()
    again = UvBuilder(root, locate_uv=uv.locate)
    leftovers = await again.open(())
    again.close()
    assert [found.environment for found in leftovers.usable] == [made[0]]
    assert 0 <= leftovers.usable[0].age < 30
    assert {one.path for one in leftovers.rubbish} == {
        made[1].path,
        made[2].path,
        made[3].path,
        half_built,
    }


async def test_templates_of_other_settings_go_when_they_are_old_or_half_built(
    root: Path, uv: FakeUv
) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        await builder.build(("a",), nothing, urgent=False)
    (template,) = templates_in(root, "uv")
    half_built = new_template_path(root, "uv", "f" * 64)
    half_built.mkdir()
    async with opened(UvBuilder(root, locate_uv=uv.locate)):
        assert templates_in(root, "uv") == [template]
    async with opened(UvBuilder(root, max_age=0, locate_uv=uv.locate)):
        assert templates_in(root, "uv") == []


async def test_another_living_daemons_environments_are_left_alone(root: Path, uv: FakeUv) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        first, second = [await builder.build((), nothing, urgent=False) for _ in range(2)]
        builder.claim(first)
        async with opened(UvBuilder(root, locate_uv=uv.locate)) as other:
            leftovers = await other.open(())
            assert not leftovers.usable
            assert not leftovers.rubbish
    again = UvBuilder(root, locate_uv=uv.locate)
    leftovers = await again.open(())
    again.close()
    assert [found.environment for found in leftovers.usable] == [second]
    assert [one.path for one in leftovers.rubbish] == [first.path]


async def test_packages_from_another_index_are_another_template(
    root: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        await builder.build((), nothing, urgent=False)
        monkeypatch.setenv("UV_INDEX", "https://user:secret@a/simple")
        await builder.build((), nothing, urgent=False)
        monkeypatch.setenv("UV_INDEX", "https://user:other@a/simple")
        await builder.build((), nothing, urgent=False)
    assert uv.installs() == 2


async def test_a_daemon_killed_during_a_build_leaves_nothing_that_looks_ready(
    root: Path, uv: FakeUv
) -> None:
    script = f"""
import os, signal, trio
from pathlib import Path
from runtimed.environments.uv_builder import UvBuilder
from runtimed.protocol import progress
builder = UvBuilder(Path({str(root)!r}), locate_uv=lambda: Path({str(uv.locate())!r}))
def report(phase):
    if isinstance(phase, progress.InstallingPackages):
        os.kill(os.getpid(), signal.SIGKILL)
async def main():
    await builder.open(())
    await builder.build((), report, urgent=False)
trio.run(main)
"""
    with trio.fail_after(30):
        killed = await trio.run_process([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    (half_built,) = templates_in(root, "uv")
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        made = await builder.build((), nothing, urgent=False)
        assert uv.installs() == 1
        assert half_built not in templates_in(root, "uv")
        assert (made.path / "lib/python3/site-packages/demo/__init__.py").exists()


async def test_a_full_disk_cannot_make_a_used_environment_look_unused(
    root: Path, uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        made = await builder.build((), nothing, urgent=False)
        monkeypatch.setattr("runtimed.environments.templates.write_marker", no_space)
        builder.claim(made)
        assert not (made.path / MARKER).exists()


async def test_only_folders_of_ours_are_removed(root: Path, uv: FakeUv, tmp_path: Path) -> None:
    async with opened(UvBuilder(root, locate_uv=uv.locate)) as builder:
        made = await builder.build((), nothing, urgent=False)
        await builder.remove(made)
        assert not made.path.exists()
        with pytest.raises(ValueError, match="not one of our environments"):
            await builder.remove(Environment("uv", tmp_path, tmp_path / "bin/python"))
    assert (uv.folder / "uv").is_file()


async def test_a_whole_pool_on_disk_survives_a_restart(root: Path, uv: FakeUv) -> None:
    async def fill() -> Pool:
        pool = Pool("uv", root, 2, UvBuilder(root, locate_uv=uv.locate))
        await nursery.start(pool.run)
        seen = 0
        while pool.status().available < 2:
            seen = await pool.wait_changed(seen)
        return pool

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            taken = await (await fill()).take()
            nursery.cancel_scope.cancel()
        kept = set(environments_in(root, "uv")) - {taken.path}
        assert kept
        async with trio.open_nursery() as nursery:
            pool = await fill()
            assert {(await pool.take()).path, (await pool.take()).path} >= kept
            while taken.path.exists():  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert uv.installs() == 1


def test_the_fake_uv_is_a_shell_script_that_works(uv: FakeUv, tmp_path: Path) -> None:
    target = tmp_path / "env"
    command = [str(uv.locate()), "venv", "--python", sys.executable, "--", str(target)]
    subprocess.run(command, check=True, env=dict(os.environ))
    assert (target / "bin" / "python").exists()
