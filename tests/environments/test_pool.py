from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtimed.environments.builder import Builder, Found, Leftovers, Report
from runtimed.environments.environment import Environment
from runtimed.environments.pool import Pool
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

ROOT = Path("/pool")


@attrs.define
class MemoryBuilder:
    """Environments that are names. `outcomes`: what the next builds raise, None for success."""

    seconds: float = 10.0
    downloads: int = 0
    removing: float = 1.0
    leftovers: Leftovers = attrs.field(factory=Leftovers)
    outcomes: list[Exception | None] = attrs.field(factory=list)
    there: set[Path] = attrs.field(factory=set)
    claimed: list[Path] = attrs.field(factory=list)
    removed: list[Path] = attrs.field(factory=list)
    built_with: list[tuple[tuple[str, ...], bool]] = attrs.field(factory=list)
    log: list[str] = attrs.field(factory=list)
    running: int = 0
    most_running: int = 0

    async def open(self, packages: Sequence[str]) -> Leftovers:
        self.log.append("open")
        self.there |= {found.environment.path for found in self.leftovers.usable}
        return self.leftovers

    def close(self) -> None:
        self.log.append("close")

    async def build(self, packages: Sequence[str], report: Report, *, urgent: bool) -> Environment:
        self.built_with.append((tuple(packages), urgent))
        number = len(self.built_with)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            report(progress.Starting(env_hash="h"))
            report(progress.CreatingVenv())
            for number in range(self.downloads):
                report(progress.DownloadProgress(number, self.downloads, "p", number, None, 1.0))
                await trio.sleep(0.1)
            await trio.sleep(self.seconds)
            outcome = self.outcomes.pop(0) if self.outcomes else None
            if outcome is not None:
                raise outcome
            report(progress.InstallingPackages(packages=tuple(packages)))
        finally:
            self.running -= 1
        made = environment(f"built-{number}")
        self.there.add(made.path)
        return made

    def renew(self) -> None:
        self.log.append("renew")

    def usable(self, environment: Environment) -> bool:
        return environment.path in self.there

    def claim(self, environment: Environment) -> None:
        self.claimed.append(environment.path)

    async def remove(self, environment: Environment) -> None:
        await trio.sleep(self.removing)
        self.there.discard(environment.path)
        self.removed.append(environment.path)

    async def finish(self, packages: Sequence[str]) -> None:
        self.log.append("finish")


def environment(name: str) -> Environment:
    return Environment("uv", ROOT / name, ROOT / name / "bin" / "python")


@asynccontextmanager
async def running_pool(
    builder: Builder, target: int = 3, packages: Sequence[str] = (), *, dormant: bool = False
) -> AsyncIterator[Pool]:
    async with trio.open_nursery() as nursery:
        made = Pool("uv", ROOT, target, builder, packages, dormant=dormant)
        pool: Pool = await nursery.start(made.run)
        yield pool
        nursery.cancel_scope.cancel()


async def full(pool: Pool) -> None:
    seen = 0
    while pool.status().available < pool.status().target:
        seen = await pool.wait_changed(seen)


async def test_a_pool_fills_to_its_target_two_builds_at_a_time(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder) as pool:
        await full(pool)
        assert trio.current_time() == pytest.approx(20, abs=0.1)
        assert builder.most_running == 2
        status = pool.status()
        assert (status.available, status.warming, status.target) == (3, 0, 3)
        assert status.error is None
        await trio.sleep(3600)
        assert len(builder.built_with) == 3


async def test_taking_a_ready_environment_waits_for_nothing_and_starts_its_replacement(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder) as pool:
        await full(pool)
        before = trio.current_time()
        phases: list[progress.Phase] = []
        taken = await pool.take(phases.append)
        assert trio.current_time() == before
        assert builder.claimed == [taken.path]
        assert phases == [
            progress.Ready(env_path=str(taken.path), python_path=str(taken.python)),
        ]
        await wait_all_tasks_blocked()
        assert (pool.status().available, pool.status().warming) == (2, 1)
        await full(pool)
        assert len(builder.built_with) == 4


async def test_a_taker_who_comes_to_an_empty_pool_gets_progress_and_then_an_environment(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder, target=0, packages=["polars"]) as pool:
        phases: list[progress.Phase] = []
        taken = await pool.take(phases.append)
        assert phases == [
            progress.Starting(env_hash="h"),
            progress.CreatingVenv(),
            progress.InstallingPackages(packages=("polars",)),
            progress.Ready(env_path=str(taken.path), python_path=str(taken.python)),
        ]
        assert builder.built_with == [(("polars",), True)]


async def test_who_joins_a_build_in_flight_is_told_the_phases_so_far(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=1) as pool:
        await trio.sleep(6)
        phases: list[progress.Phase] = []
        before = trio.current_time()
        await pool.take(phases.append)
        assert trio.current_time() - before == pytest.approx(4)
        assert [type(phase).__name__ for phase in phases] == [
            "Starting",
            "CreatingVenv",
            "InstallingPackages",
            "Ready",
        ]


async def test_several_takers_at_once_each_get_their_own(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder()
    taken: list[Environment] = []

    async def take(pool: Pool) -> None:
        taken.append(await pool.take())

    async with running_pool(builder, target=1) as pool, trio.open_nursery() as takers:
        for _ in range(5):
            takers.start_soon(take, pool)
    assert len({one.path for one in taken}) == 5
    assert builder.most_running == 2


async def test_a_cancelled_taker_loses_nothing(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=0) as pool:
        with trio.move_on_after(5) as scope:
            await pool.take()
        assert scope.cancelled_caught
        await trio.sleep(10)
        assert pool.status().available == 1
        assert (await pool.take()).path == ROOT / "built-1"
        assert not builder.removed


async def test_a_taker_cancelled_at_the_moment_of_delivery_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=0) as pool:

        def cancel_at_the_end(phase: progress.Phase) -> None:
            if isinstance(phase, progress.InstallingPackages):
                scope.cancel()

        with trio.CancelScope() as scope:
            await pool.take(cancel_at_the_end)
        await wait_all_tasks_blocked()
        assert scope.cancelled_caught
        assert pool.status().available == 1
        assert not builder.claimed


async def test_a_failed_build_reaches_the_taker_and_the_status(autojump_clock: MockClock) -> None:
    failure = EnvironmentBuildFailed("no such package", "nump")
    builder = MemoryBuilder(outcomes=[failure])
    async with running_pool(builder, target=0) as pool:
        phases: list[progress.Phase] = []
        with pytest.raises(EnvironmentBuildFailed, match="no such package") as caught:
            await pool.take(phases.append)
        assert caught.value.failed_package == "nump"
        assert phases[-1] == progress.Error(message="no such package")
        error = pool.status().error
        assert error is not None
        assert (error.message, error.failed_package) == ("no such package", "nump")
        assert (error.consecutive_failures, error.retry_in_secs) == (1, 30)


async def test_the_backoff_grows_and_a_success_resets_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    builder = MemoryBuilder(seconds=0, outcomes=[EnvironmentBuildFailed("no", "bad")] * 3)
    async with running_pool(builder, target=1) as pool:
        await trio.sleep(29)
        assert len(builder.built_with) == 1
        await trio.sleep(2)
        assert len(builder.built_with) == 2
        await trio.sleep(60)
        assert len(builder.built_with) == 3
        await full(pool)
        assert pool.status().error is None
        assert trio.current_time() == pytest.approx(30 + 60 + 120, abs=1)
    assert "package=bad setting=uv.default_packages failures=3 retry_in=120" in caplog.text


async def test_a_crash_in_a_build_is_a_failure_like_others(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=0, outcomes=[ZeroDivisionError("oops")])
    async with running_pool(builder, target=1) as pool:
        await trio.sleep(1)
        error = pool.status().error
        assert error is not None
        assert error.message == "ZeroDivisionError: oops"
        await full(pool)


async def test_finished_environments_of_an_earlier_daemon_are_adopted(
    autojump_clock: MockClock,
) -> None:
    found = tuple(Found(environment(f"old-{n}"), age=100.0) for n in range(3))
    builder = MemoryBuilder(leftovers=Leftovers(found, (environment("half-built"),)))
    async with running_pool(builder, target=2) as pool:
        assert (await pool.take()).path == ROOT / "old-0"
        await trio.sleep(15)
        assert sorted(builder.removed) == [ROOT / "half-built", ROOT / "old-2"]


async def test_environments_nobody_took_are_replaced_when_they_are_old(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder, target=1) as pool:
        await full(pool)
        await trio.sleep(172800 + 20)
        assert builder.removed == [ROOT / "built-1"]
        assert (await pool.take()).path == ROOT / "built-2"


async def test_an_environment_that_vanished_is_passed_over(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder, target=2) as pool:
        await full(pool)
        builder.there.discard(ROOT / "built-1")
        assert (await pool.take()).path == ROOT / "built-2"


async def test_taking_without_waiting_finds_an_environment_or_none(
    autojump_clock: MockClock,
) -> None:
    async with running_pool(MemoryBuilder(), target=1) as pool:
        assert pool.take_nowait() is None
        await full(pool)
        assert pool.take_nowait() is not None
        assert pool.take_nowait() is None


async def test_a_flush_removes_what_is_there_and_refills_at_once(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=2) as pool:
        await full(pool)
        await pool.flush(["polars"])
        assert sorted(builder.removed) == [ROOT / "built-1", ROOT / "built-2"]
        assert pool.status().warming == 2
        await full(pool)
        assert builder.built_with[2:] == [(("polars",), False)] * 2
        assert "renew" in builder.log


async def test_a_flush_does_not_wait_for_ever_on_a_slow_disk(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=1, removing=100)
    async with running_pool(builder, target=2) as pool:
        await full(pool)
        before = trio.current_time()
        await pool.flush()
        assert trio.current_time() - before == pytest.approx(10)
        await full(pool)
        taken = pool.take_nowait()
        assert taken is not None
        assert taken.path not in (ROOT / "built-1", ROOT / "built-2")
        await trio.sleep(300)
        assert sorted(builder.removed)[:2] == [ROOT / "built-1", ROOT / "built-2"]


async def test_a_flush_restarts_builds_in_flight_and_forgets_failures(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder(seconds=10, outcomes=[EnvironmentBuildFailed("no")])
    async with running_pool(builder, target=1) as pool:
        await trio.sleep(11)
        assert pool.status().error is not None
        await pool.flush()
        await trio.sleep(5)
        await pool.flush()
        assert pool.status().error is None
        before = trio.current_time()
        await full(pool)
        assert trio.current_time() - before == pytest.approx(10)
        assert builder.running == 0
        assert not builder.removed


async def test_a_discarded_environment_is_removed_in_the_background(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder, target=1) as pool:
        await full(pool)
        taken = await pool.take()
        assert pool.discard(taken)
        await trio.sleep(5)
        assert not builder.removed, "builds have the disk first"
        await trio.sleep(7)
        assert builder.removed == [taken.path]
        assert not pool.discard(taken)


async def test_only_environments_that_were_given_out_can_be_discarded(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder, target=1) as pool:
        await full(pool)
        assert not pool.discard(environment("built-1"))
        assert not pool.discard(Environment("uv", Path("/home"), Path("/home/bin/python")))
        await trio.sleep(10)
        assert not builder.removed
        assert pool.status().available == 1


async def test_a_listener_that_raises_hurts_only_its_own_take(autojump_clock: MockClock) -> None:
    def fail(phase: progress.Phase) -> None:
        raise ZeroDivisionError

    builder = MemoryBuilder()
    async with running_pool(builder, target=1) as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.take(fail)
        await full(pool)
        with pytest.raises(ZeroDivisionError):
            await pool.take(fail)
        await full(pool)
        assert pool.status().error is None


async def test_what_could_wait_is_done_once_the_pool_is_full(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder()
    async with running_pool(builder, target=2) as pool:
        await trio.sleep(5)
        assert "finish" not in builder.log
        await full(pool)
        await trio.sleep(100)
        assert builder.log.count("finish") == 1


async def test_who_still_waits_when_the_pool_ends_is_told(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=100)
    with pytest.RaisesGroup(EnvironmentBuildFailed):
        async with trio.open_nursery() as takers, running_pool(builder) as pool:
            takers.start_soon(pool.take)
            await trio.sleep(1)
    assert builder.log[-1] == "close"
    assert builder.running == 0


async def test_what_was_given_back_is_removed_at_the_end_within_a_bound(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder(removing=2)
    async with running_pool(builder, target=2) as pool:
        await full(pool)
        early, late, later = [await pool.take() for _ in range(3)]
        pool.discard(early)
        await trio.sleep(0.1)  # its removal waits for the builds
        pool.discard(late)
        pool.discard(later)
    assert builder.removed == [early.path]
    assert builder.log[-1] == "close"


async def test_a_pool_that_is_off_is_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_pool(MemoryBuilder(), target=0):
        await trio.sleep(100)
    assert caplog.messages == ["UV pool: 0/0 available, 0 warming"]


async def test_each_change_and_each_half_minute_has_its_line_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_pool(MemoryBuilder(seconds=1), target=1) as pool:
        await full(pool)
        await trio.sleep(61)
    messages = [record.getMessage() for record in caplog.records]
    assert (
        messages
        == ["UV pool: 0/1 available, 1 warming"] + ["UV pool: 1/1 available, 0 warming"] * 3
    )


async def test_a_dormant_pool_is_filled_on_first_demand(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=2, dormant=True) as pool:
        await trio.sleep(3600)
        assert builder.built_with == []
        assert (pool.status().available, pool.status().target) == (0, 0)
        seen = await pool.wait_changed(0)
        await pool.take()
        assert await pool.wait_changed(seen) > seen, "those who watch hear of the new target"
        await full(pool)
        assert (pool.status().available, pool.status().target) == (2, 2)
        assert len(builder.built_with) == 3


async def test_asking_without_waiting_wakes_a_dormant_pool_too(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=1, dormant=True) as pool:
        await wait_all_tasks_blocked()
        assert pool.take_nowait() is None
        pool_was_told = pool.status().target
        await trio.sleep(15)
        assert (pool_was_told, pool.status().available) == (1, 1)


async def test_a_dormant_pool_can_be_woken(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=10)
    async with running_pool(builder, target=1, dormant=True) as pool:
        pool.wake()
        await full(pool)
        assert len(builder.built_with) == 1


async def test_a_dormant_pool_gives_out_what_an_earlier_daemon_left(
    autojump_clock: MockClock,
) -> None:
    left = Leftovers(usable=(Found(environment("left"), 10.0),))
    builder = MemoryBuilder(leftovers=left)
    async with running_pool(builder, target=1, dormant=True) as pool:
        await wait_all_tasks_blocked()
        assert pool.take_nowait() == environment("left")
        await full(pool)
        assert len(builder.built_with) == 1


async def test_who_joins_a_build_is_told_how_far_it_is_and_not_all_the_way_there(
    autojump_clock: MockClock,
) -> None:
    builder = MemoryBuilder(downloads=1000)
    async with running_pool(builder, target=1) as pool:
        await trio.sleep(50.05)
        phases: list[progress.Phase] = []
        await pool.take(phases.append)
        moving = [phase for phase in phases if isinstance(phase, progress.DownloadProgress)]
        assert [phase.completed for phase in moving[:3]] == [500, 501, 502]
        assert moving[-1].completed == 999
        assert [type(phase).__name__ for phase in phases if phase not in moving] == [
            "Starting",
            "CreatingVenv",
            "InstallingPackages",
            "Ready",
        ]


async def test_an_hour_of_takes_and_returns_leaks_nothing(autojump_clock: MockClock) -> None:
    builder = MemoryBuilder(seconds=7, removing=3)
    async with running_pool(builder, target=3) as pool:
        taken: list[Environment] = []
        for minute in range(60):
            for _ in range(1 + minute % 5):
                taken.append(await pool.take())
            with trio.move_on_after(minute % 9):  # some give up, at any moment
                taken.append(await pool.take())
            while len(taken) > 4:
                assert pool.discard(taken.pop(0))
            if minute % 20 == 19:
                await pool.flush()
            await trio.sleep(60)
        for environment in taken:
            assert pool.discard(environment)
        await trio.sleep(600)
        status = pool.status()
        assert (status.available, status.warming) == (3, 0)
        assert len(builder.there) == 3
        assert builder.running == 0
        assert len(builder.removed) == len(set(builder.removed))
        assert not pool._given
        assert not pool._listeners
        assert not pool._scopes
    assert repr(pool._nursery) == "None"
