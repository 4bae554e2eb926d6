from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runtimed.environments.environment import Environment
from runtimed.environments.pool_plan import MAX_BUILDS, Build, PoolPlan, Ticket


def environment(name: str) -> Environment:
    path = Path("/root") / name
    return Environment("uv", path, path / "bin" / "python")


def full_pool(target: int, now: float = 0.0) -> PoolPlan:
    pool = PoolPlan(target, max_age=1000)
    for number in range(target):
        pool.adopt(environment(f"adopted-{number}"), 0.0, now)
    return pool


def fail(pool: PoolPlan, build: Build, now: float) -> None:
    pool.failed(build, "no network", None, now)


def test_an_empty_pool_starts_two_builds_and_no_more() -> None:
    pool = PoolPlan(3, max_age=1000)
    assert len(pool.plan(0).start) == 2
    assert not pool.plan(0).start
    assert repr(pool) == "<PoolPlan 0/3 available, 2 warming, 0 waiting, 0 failures>"


def test_builds_in_flight_count_so_the_target_is_never_overshot() -> None:
    pool = full_pool(3)
    assert not pool.plan(0).start
    assert pool.pop(0) is not None
    (build,) = pool.plan(0).start
    assert not pool.plan(0).start
    pool.built(build, environment("new"), 1)
    assert pool.plan(1).start == ()
    assert len(pool.available) == 3


def test_the_environment_that_waited_longest_is_taken_first() -> None:
    pool = full_pool(2)
    first = pool.pop(0)
    assert first is not None
    assert first.environment == environment("adopted-0")


def test_a_target_of_zero_builds_only_on_demand() -> None:
    pool = PoolPlan(0, max_age=1000)
    assert not pool.plan(0).start
    ticket = pool.join()
    (build,) = pool.plan(0).start
    assert build.urgent
    pool.built(build, environment("new"), 0)
    assert pool.plan(0).settled == (ticket,)
    assert not pool.plan(0).start


def test_a_taker_waits_for_the_build_in_flight_and_one_more_fills_the_gap() -> None:
    pool = PoolPlan(1, max_age=1000)
    (build,) = pool.plan(0).start
    ticket = pool.join()
    (second,) = pool.plan(0).start
    pool.built(build, environment("new"), 1)
    assert pool.plan(1).settled == (ticket,)
    assert ticket.entry is not None
    pool.built(second, environment("second"), 2)
    assert not pool.plan(2).start
    assert len(pool.available) == 1


def test_takers_are_served_in_their_order_and_each_gets_its_own() -> None:
    pool = PoolPlan(0, max_age=1000)
    tickets = [pool.join() for _ in range(3)]
    first, second = pool.plan(0).start
    pool.built(second, environment("second"), 1)
    assert pool.plan(1).settled == (tickets[0],)
    pool.built(first, environment("first"), 2)
    assert pool.plan(2).settled == (tickets[1],)
    got = [ticket.entry for ticket in tickets]
    assert got[0] is not None
    assert got[1] is not None
    assert got[0].environment != got[1].environment
    assert len(pool.builds) == 1  # for the third


def test_a_ready_environment_is_not_taken_past_those_who_wait() -> None:
    pool = PoolPlan(0, max_age=1000)
    pool.join()
    (build,) = pool.plan(0).start
    pool.built(build, environment("new"), 0)
    assert pool.pop(0) is None


def test_failures_back_off_longer_each_time_and_at_most_five_minutes() -> None:
    pool, now, waits = PoolPlan(1, max_age=1000), 0.0, []
    for _ in range(7):
        (build,) = pool.plan(now).start
        fail(pool, build, now)
        due = pool.plan(now).due
        assert pool.plan(due - 0.001).start == ()
        waits.append(due - now)
        now = due
    assert waits == [30, 60, 120, 240, 300, 300, 300]


def test_builds_that_fail_together_count_once() -> None:
    pool = PoolPlan(3, max_age=1000)
    first, second = pool.plan(0).start
    fail(pool, first, 1)
    fail(pool, second, 2)
    assert pool.failure is not None
    assert (pool.failure.count, pool.failure.retry_at) == (1, 31)


def test_after_a_failure_one_build_probes_for_all() -> None:
    pool = PoolPlan(3, max_age=1000)
    for build in pool.plan(0).start:
        fail(pool, build, 0)
    (probe,) = pool.plan(30).start
    assert not pool.plan(31).start
    pool.built(probe, environment("new"), 32)
    assert pool.failure is None
    assert len(pool.plan(32).start) == 2


def test_a_demand_ignores_the_backoff_once() -> None:
    pool = PoolPlan(1, max_age=1000)
    (build,) = pool.plan(0).start
    fail(pool, build, 0)
    ticket = pool.join()
    (urgent,) = pool.plan(1).start
    assert urgent.urgent
    fail(pool, urgent, 2)
    plan = pool.plan(2)
    assert plan.settled == (ticket,)
    assert ticket.failure is not None
    assert ticket.failure.message == "no network"
    assert plan.start == ()


def test_a_taker_who_joined_a_build_that_fails_gets_an_attempt_of_its_own() -> None:
    pool = PoolPlan(1, max_age=1000)
    (build,) = pool.plan(0).start
    ticket = pool.join()
    fail(pool, build, 1)
    plan = pool.plan(1)
    assert plan.settled == ()
    (own,) = plan.start
    pool.built(own, environment("new"), 2)
    assert pool.plan(2).settled == (ticket,)
    assert ticket.entry is not None


def test_no_taker_is_refused_while_another_build_may_still_succeed() -> None:
    pool = PoolPlan(0, max_age=1000)
    tickets = [pool.join(), pool.join()]
    first, second = pool.plan(0).start
    fail(pool, first, 1)
    assert pool.plan(1).settled == ()
    pool.built(second, environment("new"), 2)
    plan = pool.plan(2)
    assert plan.settled == (tickets[0],)
    assert len(plan.start) == 1


def test_environments_past_their_age_are_removed_when_that_is_due() -> None:
    pool = full_pool(2)
    assert pool.plan(0).due == 1000
    plan = pool.plan(1000)
    assert len(plan.remove) == 2
    assert len(plan.start) == 2


def test_an_environment_past_its_age_is_not_given_out() -> None:
    assert full_pool(1).pop(1000) is None


def test_adopted_environments_keep_their_age() -> None:
    pool = PoolPlan(2, max_age=1000)
    pool.adopt(environment("old"), 900, now=50)
    pool.adopt(environment("too-old"), 1000, now=50)
    plan = pool.plan(50)
    assert plan.remove == (environment("too-old"),)
    assert plan.due == 150


def test_adoption_stops_at_the_target_and_removes_the_surplus() -> None:
    pool = PoolPlan(1, max_age=1000)
    pool.adopt(environment("one"), 0, now=0)
    pool.adopt(environment("two"), 0, now=0)
    assert pool.plan(0).remove == (environment("two"),)


def test_a_taker_who_leaves_with_an_environment_already_theirs_gives_it_back() -> None:
    pool = PoolPlan(0, max_age=1000)
    ticket = pool.join()
    (build,) = pool.plan(0).start
    pool.built(build, environment("new"), 0)
    pool.plan(0)
    pool.leave(ticket)
    assert [entry.environment for entry in pool.available] == [environment("new")]


def test_a_taker_who_leaves_after_a_flush_does_not_bring_an_old_environment_back() -> None:
    pool = PoolPlan(0, max_age=1000)
    ticket = pool.join()
    (build,) = pool.plan(0).start
    pool.built(build, environment("new"), 0)
    pool.plan(0)
    pool.flush()
    pool.leave(ticket)
    assert not pool.available
    assert pool.plan(0).remove == (environment("new"),)


def test_a_flush_empties_the_pool_restarts_builds_and_forgets_failures() -> None:
    pool = full_pool(1)
    pool.target = 3
    first, second = pool.plan(0).start
    fail(pool, first, 0)
    drained, cancelled = pool.flush()
    assert drained == (environment("adopted-0"),)
    assert cancelled == (second,)
    assert pool.failure is None
    assert len(pool.plan(0).start) == 2
    pool.built(second, environment("late"), 1)
    assert pool.plan(1).remove == (environment("late"),)
    assert not pool.available


def test_a_late_failure_of_a_flushed_build_is_not_recorded() -> None:
    pool = PoolPlan(1, max_age=1000)
    (build,) = pool.plan(0).start
    pool.flush()
    fail(pool, build, 0)
    assert pool.failure is None


def test_takers_keep_waiting_through_a_flush() -> None:
    pool = PoolPlan(0, max_age=1000)
    ticket = pool.join()
    pool.plan(0)
    pool.flush()
    (build,) = pool.plan(0).start
    pool.built(build, environment("new"), 0)
    assert pool.plan(0).settled == (ticket,)


def test_a_pool_that_is_full_waits_for_nothing_but_age() -> None:
    pool = PoolPlan(0, max_age=1000)
    assert pool.plan(0).due == math.inf


@given(
    st.integers(0, 4),
    st.lists(
        st.sampled_from(["join", "leave", "pop", "built", "failed", "flush", "wait", "discard"]),
        max_size=60,
    ),
)
def test_whatever_happens_no_environment_is_lost_or_given_twice(
    target: int, steps: list[str]
) -> None:
    pool, now, made = PoolPlan(target, max_age=100), 0.0, 0
    known: set[str] = set()
    removed: set[str] = set()
    waiting: list[Ticket] = []
    taken: list[str] = []
    builds: list[Build] = []
    for step in steps:
        if step == "join":
            waiting.append(pool.join())
        elif step == "leave" and waiting:
            pool.leave(waiting.pop())
        elif step == "pop" and (entry := pool.pop(now)) is not None:
            taken.append(entry.environment.path.name)
        elif step == "built" and builds:
            made += 1
            known.add(str(made))
            pool.built(builds.pop(0), environment(str(made)), now)
        elif step == "failed" and builds:
            fail(pool, builds.pop(0), now)
        elif step == "flush":
            removed |= {one.path.name for one in pool.flush()[0]}
        elif step == "wait":
            now += 40
        elif step == "discard" and taken:
            pool.discard(environment(taken.pop()))
        plan = pool.plan(now)
        builds += plan.start
        gone = [one.path.name for one in plan.remove]
        assert len(set(gone)) == len(gone)
        assert not removed & set(gone)
        removed |= set(gone)
        assert len(pool.builds) <= MAX_BUILDS
        assert plan.due > now
        held = [one.entry.environment.path.name for one in waiting if one.entry is not None]
        stored = [entry.environment.path.name for entry in pool.available]
        everything = [*held, *stored, *taken, *removed]
        assert sorted(everything) == sorted(known)
        waits = [one for one in waiting if not one.settled]
        assert not (waits and pool.available)
        assert not waits or pool.builds, "somebody waits and nothing is on its way"


def test_a_dormant_pool_builds_nothing_until_somebody_takes_from_it() -> None:
    pool = PoolPlan(2, max_age=1000, dormant=True)
    assert not pool.plan(0).start
    assert pool.plan(0).due == math.inf
    assert pool.wanted == 0
    ticket = pool.join()
    urgent, spare = pool.plan(0).start
    assert urgent.urgent
    pool.built(urgent, environment("new"), 1)
    pool.built(spare, environment("spare"), 1)
    plan = pool.plan(1)
    assert plan.settled == (ticket,)
    assert len(plan.start) == 1, "and is kept filled from then on"
    assert pool.wanted == 2


def test_a_dormant_pool_keeps_what_an_earlier_daemon_left_and_wakes_when_that_is_taken() -> None:
    pool = PoolPlan(2, max_age=1000, dormant=True)
    for name in ("a", "b", "c"):
        pool.adopt(environment(name), 0.0, 0.0)
    plan = pool.plan(0)
    assert plan.remove == (environment("c"),)
    assert not plan.start
    assert pool.pop(1) is not None
    assert len(pool.plan(1).start) == 1


def test_a_dormant_pool_does_not_replace_what_grows_too_old() -> None:
    pool = PoolPlan(1, max_age=1000, dormant=True)
    pool.adopt(environment("a"), 0.0, 0.0)
    plan = pool.plan(2000)
    assert plan.remove == (environment("a"),)
    assert not plan.start


def test_a_setting_can_wake_a_dormant_pool() -> None:
    pool = PoolPlan(1, max_age=1000, dormant=True)
    pool.wake()
    assert len(pool.plan(0).start) == 1
