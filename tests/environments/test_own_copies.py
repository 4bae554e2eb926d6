"""Copies for kernels, and those that are made ahead of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from fake_maker import FakeMaker, add_package, has
from trio.testing import MockClock, wait_all_tasks_blocked

from runtimed.environments.cache import EnvironmentCache, Lease
from runtimed.environments.cache_folders import folders_in
from runtimed.environments.own_copies import OwnCopies
from runtimed.environments.wanted import UvPackages
from runtimed.protocol import progress

NUMPY, NOTHING = UvPackages(("numpy",)), UvPackages(())


@pytest.fixture
def maker() -> FakeMaker:
    return FakeMaker()


@pytest.fixture
def cache(tmp_path: Path, maker: FakeMaker) -> EnvironmentCache:
    return EnvironmentCache(tmp_path / "envs", {UvPackages: lambda: maker})


def nothing(phase: progress.Phase) -> None:
    pass


def copies_in(cache: EnvironmentCache) -> set[Path]:
    return {path for path, name in folders_in(cache.root) if name.own}


async def until(clock: MockClock, condition: Callable[[], bool]) -> None:
    """Let the time of the tasks pass until it holds; threads take real time."""
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        clock.jump(1)
        await wait_all_tasks_blocked()
        time.sleep(0.002)  # noqa: ASYNC251  # for the threads


async def test_the_next_kernel_gets_a_copy_that_was_made_ahead(
    cache: EnvironmentCache, maker: FakeMaker, mock_clock: MockClock
) -> None:
    copies = OwnCopies(cache)
    async with trio.open_nursery() as nursery:
        await nursery.start(copies.run)
        first = await copies.take(NUMPY, nothing)
        assert copies_in(cache) == {first.path}
        await until(mock_clock, lambda: len(copies_in(cache)) == 2)
        (ahead,) = copies_in(cache) - {first.path}
        add_package(first.path, "pandas")
        second = await copies.take(NUMPY, nothing)
        assert second.path == ahead
        assert has(second.environment, "numpy")
        assert not has(second.environment, "pandas")
        nursery.cancel_scope.cancel()
    assert maker.built == [NUMPY]


async def test_a_copy_that_somebody_deleted_is_not_given_out(
    cache: EnvironmentCache, mock_clock: MockClock
) -> None:
    copies = OwnCopies(cache)
    async with trio.open_nursery() as nursery:
        await nursery.start(copies.run)
        first = await copies.take(NUMPY, nothing)
        await until(mock_clock, lambda: len(copies_in(cache)) == 2)
        (ahead,) = copies_in(cache) - {first.path}
        (ahead / "bin/python").unlink()
        second = await copies.take(NUMPY, nothing)
        assert second.path != ahead
        assert second.python.exists()
        nursery.cancel_scope.cancel()


async def test_builds_begin_with_a_copy_made_ahead_that_takes_their_name(
    cache: EnvironmentCache, maker: FakeMaker, mock_clock: MockClock
) -> None:
    maker.with_base = True
    maker.script = True
    copies = OwnCopies(cache, spares=0, beginnings=(NOTHING,))
    async with trio.open_nursery() as nursery:
        await nursery.start(copies.run)
        await until(mock_clock, lambda: len(copies_in(cache)) == 1)
        (ahead,) = copies_in(cache)
        identity = (ahead / "bin/python").stat().st_ino
        lease = await cache.lease(NUMPY, nothing)
        assert not ahead.exists()
        assert (lease.path / "bin/python").stat().st_ino == identity
        assert (lease.path / "bin/script").read_text() == f"#!{lease.path}/bin/python\n"
        assert maker.built == [NOTHING]
        assert maker.extended == [NUMPY]
        own = await copies.take(NUMPY, nothing)
        assert (own.path / "bin/script").read_text() == f"#!{own.path}/bin/python\n"
        # ... and after a use there is another one.
        await until(mock_clock, lambda: bool(copies_in(cache) - {own.path}))
        nursery.cancel_scope.cancel()


async def test_few_are_kept_and_all_are_given_up_at_the_end(
    cache: EnvironmentCache, mock_clock: MockClock
) -> None:
    copies = OwnCopies(cache, spares=2, beginnings=(NOTHING,))
    held: list[Lease] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(copies.run)
        for number in range(4):
            held.append(await copies.take(UvPackages((f"p{number}",)), nothing))
            await until(mock_clock, lambda: len(copies_in(cache)) == 2 * len(held) + 1)
        await until(mock_clock, lambda: repr(cache) == "<EnvironmentCache 7 leases, 0 builds>")
        await cache.tidy(prune=False)
        assert len(copies_in(cache)) == len(held) + 2 + 1
        for own in held:
            own.release()
        nursery.cancel_scope.cancel()
    await cache.tidy()
    assert not copies_in(cache)


async def test_an_orderly_end_leaves_no_copies(
    cache: EnvironmentCache, mock_clock: MockClock
) -> None:
    copies = OwnCopies(cache, beginnings=(NOTHING,))
    async with trio.open_nursery() as outer:
        await outer.start(cache.run)
        async with trio.open_nursery() as nursery:
            await nursery.start(copies.run)
            own = await copies.take(UvPackages(("p",)), nothing)
            await until(mock_clock, lambda: len(copies_in(cache)) == 3)
            own.release()
            nursery.cancel_scope.cancel()
        outer.cancel_scope.cancel()
    assert not copies_in(cache)


async def test_a_beginning_that_cannot_be_built_stops_nobody(
    cache: EnvironmentCache, maker: FakeMaker, mock_clock: MockClock
) -> None:
    copies = OwnCopies(cache, beginnings=(NOTHING,))
    async with trio.open_nursery() as nursery:
        await nursery.start(copies.run)
        maker.failure = OSError("no")
        await until(mock_clock, lambda: maker.built == [NOTHING])
        maker.failure = None
        first = await copies.take(NUMPY, nothing)
        assert has(first.environment, "numpy")
        await until(mock_clock, lambda: len(copies_in(cache)) == 3)
        nursery.cancel_scope.cancel()
    assert maker.built == [NOTHING, NUMPY, NOTHING]


async def test_a_beginning_that_was_built_anew_leaves_no_copy_of_the_old_one(
    cache: EnvironmentCache, maker: FakeMaker, mock_clock: MockClock
) -> None:
    copies = OwnCopies(cache, spares=0, beginnings=(NOTHING,))
    async with trio.open_nursery() as nursery:
        await nursery.start(copies.run)
        await until(mock_clock, lambda: len(copies_in(cache)) == 1)
        (old,) = copies_in(cache)
        (await cache.lease(NOTHING, nothing)).python.unlink()
        own = await copies.take(NUMPY, nothing)
        await until(mock_clock, lambda: len(copies_in(cache)) == 3)
        await cache.tidy(prune=False)
        assert not old.exists()
        assert len(copies_in(cache) - {own.path}) == 1
        nursery.cancel_scope.cancel()
    assert maker.built == [NOTHING, NUMPY, NOTHING]
