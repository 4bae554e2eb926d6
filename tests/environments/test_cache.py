"""The cache's logic, with a maker that writes a few files instead of installing packages."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import trio
from fake_maker import FakeMaker, add_package, has
from trio.testing import MockClock, wait_all_tasks_blocked

from runtimed.environments.cache import EnvironmentCache, Lease, Limits
from runtimed.environments.cache_folders import (
    FolderName,
    Known,
    Record,
    build_lock,
    choose_removals,
    folders_in,
    hold,
    known_in,
    new_folder,
    read_record,
    remove_unused,
)
from runtimed.environments.locks import try_lock
from runtimed.environments.wanted import UvPackages
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress
from waiting import LIMIT, wait_until_async


@pytest.fixture
def maker() -> FakeMaker:
    return FakeMaker()


@pytest.fixture
def cache(tmp_path: Path, maker: FakeMaker) -> EnvironmentCache:
    return another(tmp_path, maker)


def another(tmp_path: Path, maker: FakeMaker, limits: Limits | None = None) -> EnvironmentCache:
    """The cache of another daemon over the same folder."""
    return EnvironmentCache(tmp_path / "envs", {UvPackages: lambda: maker}, limits)


def nothing(phase: progress.Phase) -> None:
    pass


def tags(phases: list[progress.Phase]) -> list[str]:
    return [type(phase).__name__ for phase in phases]


def elsewhere(phases: list[progress.Phase]) -> list[bool | None]:
    return [phase.elsewhere for phase in phases if isinstance(phase, progress.Starting)]


NUMPY = UvPackages(("numpy",))
BUILT = ["Starting", "CreatingVenv", "InstallingPackages", "Ready"]


async def test_the_first_use_builds_and_the_second_finds_it(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    phases: list[progress.Phase] = []
    first = await cache.lease(NUMPY, phases.append)
    assert tags(phases) == BUILT
    phases.clear()
    second = await cache.lease(NUMPY, phases.append)
    assert tags(phases) == ["Starting", "CacheHit", "Ready"]
    assert first.environment == second.environment
    assert first.python == first.path / "bin" / "python"
    assert maker.built == [NUMPY]
    assert has(first.environment, "numpy")


def wanting(cache: EnvironmentCache) -> int:
    """How many build something or wait until somebody has."""
    return sum(len(build.reports) for build in cache._builds.values())


async def test_ten_rooms_and_two_daemons_build_it_once(tmp_path: Path, maker: FakeMaker) -> None:
    caches = [another(tmp_path, maker) for _ in range(2)]
    maker.gate = trio.Event()
    leases: list[Lease] = []
    told: list[list[progress.Phase]] = [[] for _ in range(10)]

    async def want(number: int) -> None:
        leases.append(await caches[number % 2].lease(NUMPY, told[number].append))

    def all_wait() -> bool:
        """One builds, those of its daemon wait for it, and the others have been told to."""
        others = [elsewhere(phases) == [None, True] for phases in told]
        return [wanting(c) for c in caches] == [5, 5] and (all(others[::2]) or all(others[1::2]))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(want, number)
            await wait_until_async(lambda: maker.built and all_wait())
            maker.gate.set()
    assert maker.built == [NUMPY]
    assert len({lease.path for lease in leases}) == 1
    builder = next(number for number in range(10) if tags(told[number]) == BUILT) % 2
    assert all(tags(told[number]) == BUILT for number in range(builder, 10, 2))
    for number in range(1 - builder, 10, 2):
        assert tags(told[number]) == ["Starting", "Starting", "CacheHit", "Ready"]
        assert elsewhere(told[number]) == [None, True], "who waits hears whom for"


async def test_a_failure_is_told_to_everybody_who_waits_and_tried_once(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    maker.gate = trio.Event()
    maker.failure = EnvironmentBuildFailed("no such package", "numpyy")
    failures: list[EnvironmentBuildFailed] = []
    phases: list[progress.Phase] = []

    async def want() -> None:
        with pytest.raises(EnvironmentBuildFailed, match="no such package") as caught:
            await cache.lease(NUMPY, phases.append)
        failures.append(caught.value)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(want)
            await wait_until_async(lambda: maker.built and wanting(cache) == 3)
            maker.gate.set()
    assert [failure.failed_package for failure in failures] == ["numpyy"] * 3
    assert maker.built == [NUMPY]
    assert tags(phases).count("Error") == 3
    assert not folders_in(cache.root), "nothing half-built stays"
    maker.failure = None
    assert (await cache.lease(NUMPY, nothing)).path.exists()


async def test_whoever_waits_builds_it_when_the_builder_is_cancelled(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    maker.gate = trio.Event()
    leases: list[Lease] = []
    scope = trio.CancelScope()

    async def first() -> None:
        with scope:
            await cache.lease(NUMPY, nothing)

    async def second() -> None:
        leases.append(await cache.lease(NUMPY, nothing))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await wait_until_async(lambda: maker.built)
            nursery.start_soon(second)
            await wait_until_async(lambda: wanting(cache) == 2)
            scope.cancel()
            await wait_until_async(lambda: len(maker.built) == 2)
            maker.gate.set()
    assert scope.cancelled_caught
    assert [path for path, _ in folders_in(cache.root)] == [leases[0].path]


@pytest.mark.parametrize("what", ["environment", "base"])
async def test_who_waits_for_another_daemon_is_told_so_and_builds_it_when_that_one_fails(
    tmp_path: Path, cache: EnvironmentCache, maker: FakeMaker, what: str
) -> None:
    elsewhere_built = NUMPY if what == "environment" else UvPackages(())
    maker.gate = trio.Event()
    maker.failure = EnvironmentBuildFailed("no such package")
    other = FakeMaker()
    other.with_base = what == "base"
    told: list[progress.Phase] = []
    late: list[progress.Phase] = []
    second = another(tmp_path, other)

    async def fail() -> None:
        with pytest.raises(EnvironmentBuildFailed):
            await cache.lease(elsewhere_built, nothing)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            while not maker.built:  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.start_soon(second.lease, NUMPY, told.append)
            while True not in elsewhere(told):  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.start_soon(second.lease, NUMPY, late.append)
            while True not in elsewhere(late):  # noqa: ASYNC110
                await trio.sleep(0.01)
            maker.gate.set()
    assert tags(told) == tags(late) == ["Starting", *BUILT]
    assert elsewhere(told) == elsewhere(late) == [None, True]
    assert isinstance(told[1], progress.Starting)
    assert told[1].env_hash == (await other.fingerprint(elsewhere_built))[:16]
    assert other.built == [elsewhere_built]


@pytest.mark.real
async def test_a_kill_in_the_middle_of_a_build_leaves_nothing_that_looks_ready(
    tmp_path: Path, cache: EnvironmentCache, maker: FakeMaker
) -> None:
    script = f"""
import os, signal, sys, trio
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from test_cache import FakeMaker, NUMPY, another
class Killed(FakeMaker):
    async def build(self, path, wanted, report):
        await super().build(path, wanted, report)
        os.kill(os.getpid(), signal.SIGKILL)
trio.run(another(Path({str(tmp_path)!r}), Killed()).lease, NUMPY, lambda phase: None)
"""
    killed = await trio.run_process([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    ((half_built, _),) = folders_in(cache.root)
    assert read_record(half_built) is None
    lease = await cache.lease(NUMPY, nothing)
    assert maker.built == [NUMPY]
    assert [path for path, _ in folders_in(cache.root)] == [lease.path] != [half_built]


@pytest.mark.parametrize("harm", ["interpreter", "package", "record"])
async def test_what_was_damaged_or_changed_is_built_anew(
    cache: EnvironmentCache, maker: FakeMaker, harm: str
) -> None:
    first = await cache.lease(NUMPY, nothing)
    if harm == "interpreter":
        first.python.unlink()
    elif harm == "package":  # somebody ran `uv pip install` in a kernel
        add_package(first.path, "other")
    else:
        (first.path / ".runtimed-environment.json").write_text("{")
    second = await cache.lease(NUMPY, nothing)
    assert second.path != first.path
    assert not has(second.environment, "other")
    assert maker.built == [NUMPY, NUMPY]
    assert first.path.exists(), "a kernel runs in it"
    first.release()
    await cache.tidy()
    assert not first.path.exists()
    assert second.path.exists()


async def test_an_environment_is_made_out_of_a_copy_of_its_base(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    maker.with_base = True
    phases: list[progress.Phase] = []
    lease = await cache.lease(NUMPY, phases.append)
    assert maker.built == [UvPackages(())]
    assert maker.extended == [NUMPY]
    assert tags(phases) == BUILT
    assert has(lease.environment, "numpy")
    base = await cache.lease(UvPackages(()), nothing)
    assert not has(base.environment, "numpy")
    phases.clear()
    await cache.lease(UvPackages(("pandas",)), phases.append)
    assert tags(phases) == ["Starting", "Ready"], "the base was there"


async def test_where_the_base_does_not_do_it_is_built_from_nothing(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    maker.with_base, maker.can_extend = True, False
    lease = await cache.lease(NUMPY, nothing)
    assert maker.built == [UvPackages(()), NUMPY]
    assert has(lease.environment, "numpy")


async def test_a_full_disk_names_the_remedy_and_leaves_nothing(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    maker.failure = OSError(errno.ENOSPC, "No space left on device")
    phases: list[progress.Phase] = []
    with pytest.raises(EnvironmentBuildFailed, match="runt env clean"):
        await cache.lease(NUMPY, phases.append)
    assert tags(phases)[-1] == "Error"
    assert not folders_in(cache.root)


async def test_a_cache_that_cannot_be_made_is_an_error(tmp_path: Path, maker: FakeMaker) -> None:
    (tmp_path / "envs").touch()
    with pytest.raises(EnvironmentBuildFailed, match="Failed to create environment in"):
        await another(tmp_path, maker).lease(NUMPY, nothing)


async def test_a_rooms_own_copy_can_change_and_goes_with_its_lease(
    cache: EnvironmentCache, maker: FakeMaker
) -> None:
    shared = await cache.lease(NUMPY, nothing)
    own = await cache.own_copy(shared)
    assert own.own
    assert not shared.own
    assert has(own.environment, "numpy")
    add_package(own.path, "pandas")
    assert not has(shared.environment, "pandas")
    assert (await cache.lease(NUMPY, nothing)).path == shared.path
    await cache.tidy()
    assert own.path.exists()
    own.release()
    await cache.tidy(prune=False)
    assert not own.path.exists()
    assert maker.built == [NUMPY]


async def test_what_a_killed_daemon_held_is_free_again(
    tmp_path: Path, cache: EnvironmentCache
) -> None:
    lease = await cache.lease(NUMPY, nothing)
    own = await cache.own_copy(lease)
    other = another(tmp_path, FakeMaker(), Limits(max_age=-1))
    await other.tidy()
    assert lease.path.exists()
    assert own.path.exists(), "its daemon lives"
    lease.release()
    lease.release()
    own._held.release()  # type: ignore[union-attr]  # as the kernel does when a process is gone
    await other.tidy()
    assert not folders_in(cache.root)
    assert not list(cache.root.glob(".*.use"))


def known(
    letter: str, *, used: float = 0, size: int = 1, in_use: bool = False, **more: object
) -> Known:
    own, complete = more.get("own", False), more.get("complete", True)
    name = FolderName(bool(own), "uv", letter * 16)
    record = Record("", (), 0, (), size) if complete else None
    return Known(Path(letter), name, record, used, in_use)


def test_pruning_takes_leftovers_what_is_old_and_then_the_least_recently_used() -> None:
    found = [
        known("a", used=10),
        known("b", used=60, size=4),
        known("c", used=50, size=4),
        known("d", used=99, complete=False),
        known("e", used=99, own=True),
        known("f", used=0, in_use=True, size=3),
        known("g", used=0, in_use=True, complete=False),
    ]
    going = choose_removals(found, 100, max_age=80, max_size=8)
    assert [str(path) for path in going] == ["a", "d", "e", "c"]
    assert choose_removals(found[1:3], 100, max_age=80, max_size=8) == []
    assert len(choose_removals(found, 100, max_age=80, max_size=0)) == 5, "what is in use stays"


async def test_sizes_are_measured_and_the_largest_allowed_total_is_kept(
    tmp_path: Path, maker: FakeMaker
) -> None:
    cache = another(tmp_path, maker, Limits(max_size=2500))
    for number, name in enumerate(("a", "b", "c")):
        lease = await cache.lease(UvPackages((name,)), nothing)
        lease.release()
        used = time.time() - 100 + number
        os.utime(cache.root / f".{lease.path.name}.use", (used, used))
    await cache.tidy(prune=False)
    os.utime(cache.root / f".{lease.path.name}.use")
    await cache.tidy()
    left = known_in(cache.root)
    assert sum(one.size for one in left) <= 2500
    assert lease.path in [one.path for one in left]
    assert len(left) == 2
    assert len(maker.finished) == 3


async def test_what_is_being_built_or_is_not_ours_is_not_removed(tmp_path: Path) -> None:
    root = tmp_path / "envs"
    root.mkdir()
    path = new_folder(root, "uv", "a" * 64)
    path.mkdir()
    with try_lock(build_lock(root, "a" * 64)) as held:
        assert held
        assert not remove_unused(root, path)
    held_folder = hold(path)
    assert held_folder is not None
    assert not remove_unused(root, path)
    held_folder.release()
    assert remove_unused(root, path)
    for foreign in (tmp_path, root / "env-uv-1", tmp_path / path.name):
        with pytest.raises(ValueError, match="not one of our environments"):
            remove_unused(root, foreign)


async def test_a_link_in_the_place_of_an_environment_is_not_followed(tmp_path: Path) -> None:
    root, precious = tmp_path / "envs", tmp_path / "precious"
    root.mkdir()
    precious.mkdir()
    (precious / "file").touch()
    path = new_folder(root, "uv", "a" * 64)
    path.symlink_to(precious)
    assert remove_unused(root, path)
    assert (precious / "file").exists()
    assert not path.is_symlink()


def test_limits_are_taken_from_variables_unless_they_are_no_numbers() -> None:
    given = {"RUNTIMED_ENVS_MAX_DAYS": "2.5", "RUNTIMED_ENVS_MAX_GIB": "1"}
    assert Limits.of(given) == Limits(max_age=216000, max_size=2**30)
    for wrong in ("-1", "much", "nan", " "):
        assert Limits.of(dict.fromkeys(given, wrong)) == Limits()


async def test_an_hour_of_takes_and_returns_leaks_nothing(
    tmp_path: Path, maker: FakeMaker, mock_clock: MockClock
) -> None:
    limits = Limits(max_age=-1, look_every=600)
    cache = another(tmp_path, maker, limits)
    descriptors = open_files()
    held: list[Lease] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        for minute in range(60):
            lease = await cache.lease(UvPackages((f"p{minute % 7}",)), nothing)
            held += [lease, await cache.own_copy(lease)]
            if len(held) > 6:
                for _ in range(2):
                    held.pop(0).release()
            mock_clock.jump(60)
            await wait_all_tasks_blocked()
        while held:
            held.pop().release()
        for _ in range(6000):
            mock_clock.jump(60)
            await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            if not folders_in(cache.root):
                break
            time.sleep(0.01)  # noqa: ASYNC251  # a thread removes files, whatever the clock says
        nursery.cancel_scope.cancel()
    assert not folders_in(cache.root)
    assert not list(cache.root.glob(".*.use"))
    assert repr(cache) == "<EnvironmentCache 0 leases, 0 builds>"
    assert open_files() == descriptors


def open_files() -> int:
    gc.collect()  # what earlier tests left to it may hold some, and let them go while we count
    return len(list(Path("/dev/fd").iterdir()))


async def test_what_others_have_spoilt_does_not_end_the_cache(
    tmp_path: Path, maker: FakeMaker, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = another(tmp_path, maker, Limits(max_age=-1, look_every=600))
    (await cache.lease(UvPackages(("p",)), nothing)).release()
    for lock in cache.root.glob(".build-*.lock"):
        lock.unlink()
        lock.mkdir()
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        for _ in range(3):
            caplog.clear()
            give_up = time.monotonic() + LIMIT
            while "not tidied" not in caplog.text:  # threads tidy, whatever the clock says
                assert time.monotonic() < give_up
                mock_clock.jump(700)
                await wait_all_tasks_blocked()
                await trio.to_thread.run_sync(time.sleep, 0.01)
        nursery.cancel_scope.cancel()
