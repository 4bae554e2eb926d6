"""Environments for what a notebook lists: how long until a kernel can be started in one.

These rows use the cache itself, in a process of its own beside the daemon's, with what the daemon
keeps ready: what they say is the part of a first or second use before the kernel starts.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time

import trio

from benchmarks.daemon import environment
from benchmarks.measure import Limit, Measurement, Sample, interleave
from benchmarks.row import Bench, Row, expect
from runtimed.environments.cache import EnvironmentCache, Maker
from runtimed.environments.inventory import clean
from runtimed.environments.uv_packages import NO_PACKAGES, UvPackagesMaker
from runtimed.environments.wanted import UvPackages
from runtimed.protocol import progress

__all__ = ["ROWS"]

#: What a kernel takes to start and answer; the budget of a whole use is so much more.
_KERNEL = 0.45


def inline_environment(bench: Bench) -> list[Measurement]:
    """One small package on a warm uv cache: an environment that is new, then one that is there."""
    root = bench.scratch / "inline-envs"
    makers: dict[type, Maker] = {
        UvPackages: UvPackagesMaker()
    }  # as in the daemon, it knows uv's version already
    package = "iniconfig"
    # Equal packages have one environment: each round asks for them in a way that has another.
    ways = itertools.count()

    def new() -> UvPackages:
        return UvPackages((f"{package}>=0.{next(ways)}",))

    async def use(wanted: UvPackages) -> tuple[float, list[progress.Phase]]:
        cache = EnvironmentCache(root, makers)
        phases: list[progress.Phase] = []
        begin = time.perf_counter()
        lease = await cache.lease(wanted, phases.append)
        own = await cache.own_copy(lease)
        seconds = time.perf_counter() - begin
        expect(own.python.exists(), f"no interpreter in {own.path}")
        own.release()
        lease.release()
        await trio.to_thread.run_sync(lambda: clean(root, now=time.time()))  # the copy
        return seconds, phases

    def first() -> float:
        seconds, phases = trio.run(use, new())
        expect(not isinstance(phases[1], progress.CacheHit), "a first use found it built")
        return seconds

    def second() -> float:
        seconds, phases = trio.run(use, known)
        expect(isinstance(phases[1], progress.CacheHit), "a second use built it again")
        return seconds

    with environment({**os.environ, **bench.daemon.variables}):
        try:
            trio.run(use, NO_PACKAGES)
            known = new()
            trio.run(use, known)
            firsts, seconds = interleave([first, second], bench.rounds(10, 3))
        finally:
            shutil.rmtree(root, ignore_errors=True)
    note = f"without the kernel's start, for which the budget leaves {_KERNEL} s"
    return [
        _measured("inline-environment: first use", firsts, 1.5 - _KERNEL, note),
        _measured(
            "inline-environment: second use",
            seconds,
            0.7 - _KERNEL,
            f"{note}; the daemon has a copy ready by then, here one is made",
        ),
    ]


def _measured(name: str, sample: Sample, limit: float, note: str) -> Measurement:
    return Measurement(name=name, unit="s", ours=sample, limits=(Limit(limit),), note=note)


ROWS = (
    Row(
        "inline-environment",
        "an environment with one small package, new and known",
        inline_environment,
        alone=True,
    ),
)
