"""Kernels in environments for what a notebook lists: one that is new, then one that is there."""

from __future__ import annotations

import itertools
import os
import time

from benchmarks.measure import Limit, Measurement, Sample, interleave
from benchmarks.row import Bench, Row, expect
from runtimed import Session

__all__ = ["ROWS"]

#: Seconds between two uses: the daemon makes a copy ahead meanwhile, as between two users' starts.
_PAUSE = 5.0


def inline_environment(bench: Bench) -> list[Measurement]:
    """One small package on a warm uv cache; from the call that starts the kernel to its answer."""
    # Equal packages have one environment: each round asks for them in a way that has another.
    ways = itertools.count(os.getpid() * 1000)

    def new() -> str:
        return f"iniconfig!=7.{next(ways)}"

    def use(package: str) -> float:
        session = Session()
        session.connect()
        session.add_uv_dependency(package)
        start = time.perf_counter()
        session.start_kernel()
        result = session.run("import iniconfig; print('hello')")
        seconds = time.perf_counter() - start
        expect(result.stdout == "hello\n", f"a kernel with {package}: {result}")
        expect(session.env_source == "uv:inline", f"its environment: {session.env_source}")
        session.close()
        time.sleep(_PAUSE)
        return seconds

    known = new()
    use(known)
    firsts, seconds = interleave([lambda: use(new()), lambda: use(known)], bench.rounds(10, 3))
    return [
        _measured("inline-environment: first use", firsts, 1.5),
        _measured("inline-environment: second use", seconds, 0.7),
    ]


def _measured(name: str, sample: Sample, limit: float) -> Measurement:
    return Measurement(name=name, unit="s", ours=sample, limits=(Limit(limit),))


ROWS = (
    Row(
        "inline-environment",
        "start a kernel with one small package, new and known, and run a cell",
        inline_environment,
    ),
)
