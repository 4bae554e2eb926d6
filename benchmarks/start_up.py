"""Starting: a first result, the daemon itself, the import.

The daemon's resident size and its idle processor time are read from the operating system.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import stock
from benchmarks.daemon import Daemon, environment, private_environment, spawn
from benchmarks.measure import Limit, Measurement, Sample, clocked, interleave
from benchmarks.row import Bench, Row, expect
from runtimed import Session

MIB = 1024 * 1024


def first_result(bench: Bench) -> list[Measurement]:
    """A new notebook, its kernel, one print; leaving it and warming the pool again is not timed."""

    def ours() -> float:
        start = time.perf_counter()
        session = Session()
        session.start_kernel()
        result = session.run("print('hello')")
        seconds = time.perf_counter() - start
        expect(result.stdout == "hello\n", f"our first result: {result}")
        session.close()
        bench.daemon.wait_warm()
        return seconds

    def theirs() -> float:
        start = time.perf_counter()
        with stock.open_kernel() as client:
            found = stock.run_interactive(client, "print('hello')")
            seconds = time.perf_counter() - start
        expect(found.stdout == "hello\n", f"their first result: {found}")
        return seconds

    mine, stocks = bench.compare(ours, theirs, bench.rounds(15, 4))
    return [
        Measurement(
            name="first-result",
            unit="s",
            ours=mine,
            theirs=stocks,
            against="start_new_kernel, cold",
            limits=(Limit(0.10), Limit(0.2, ratio=True)),
            reference="0.65-1.0 s",
        )
    ]


def daemon_start(bench: Bench) -> list[Measurement]:
    """Spawn to first answered ping in an empty home; then what a daemon without work costs."""
    starts: list[float] = []
    sizes: list[float] = []

    def start() -> float:
        with tempfile.TemporaryDirectory(prefix="rtb") as folder:
            home = Path(folder)
            cache = Path(bench.daemon.variables["UV_CACHE_DIR"])
            variables = private_environment(home, cache)
            with environment(variables):
                begin = time.perf_counter()
                daemon = Daemon(spawn(variables, home / "log"), variables, home / "log")
                try:
                    daemon.wait_answering()
                    seconds = time.perf_counter() - begin
                    time.sleep(0.5)  # what it still imports after the first answer counts as well
                    sizes.append(psutil.Process(daemon.pid).memory_info().rss / MIB)
                finally:
                    daemon.stop()
        return seconds

    starts.extend(interleave([start], bench.rounds(10, 3))[0].values)
    in_use = psutil.Process(bench.daemon.pid).memory_info().rss / MIB
    return [
        Measurement(
            name="daemon-start",
            unit="s",
            ours=Sample(starts),
            limits=(Limit(0.35),),
            reference="0.02-0.08 s",
        ),
        Measurement(
            name="daemon-start: resident size",
            unit="MiB",
            ours=Sample(sizes),
            limits=(Limit(70),),
            reference="28 MB (45 MB in use)",
            note=f"the daemon of this run, in use: {in_use:.0f} MiB",
        ),
        _idle(bench),
    ]


def _idle(bench: Bench) -> Measurement:
    """Processor time of the warm daemon while nobody asks for anything."""
    bench.daemon.wait_warm()
    time.sleep(2)
    process = psutil.Process(bench.daemon.pid)
    kernels = process.children(recursive=True)
    window = 4.0
    values: list[float] = []
    before_kernels = _spent(kernels)
    begin = time.perf_counter()
    for _ in range(bench.rounds(5, 2)):
        before, start = _spent([process]), time.perf_counter()
        time.sleep(window)
        values.append(100 * (_spent([process]) - before) / (time.perf_counter() - start))
    share = 100 * (_spent(kernels) - before_kernels) / (time.perf_counter() - begin)
    return Measurement(
        name="daemon-start: idle processor use",
        unit="%",
        ours=Sample(values),
        limits=(Limit(0.5, "mean"),),
        note=f"its {len(kernels)} child processes together: {share:.2f} %",
    )


def _spent(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def import_runtimed(bench: Bench) -> list[Measurement]:
    """What the import adds to a bare interpreter, each in a process of its own."""

    def run(code: str) -> float:
        return clocked(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    bare, imported, used = interleave(
        [
            lambda: run("pass"),
            lambda: run("import runtimed"),
            lambda: run("from runtimed import Session"),
        ],
        bench.rounds(20, 5),
    )
    note = f"bare interpreter: {bare.median:.3f} s, taken off each value"
    return [
        Measurement(
            name="import-runtimed",
            unit="s",
            ours=Sample(value - bare.median for value in imported.values),
            limits=(Limit(0.1),),
            note=note,
        ),
        Measurement(
            name="import-runtimed: and Session",
            unit="s",
            ours=Sample(value - bare.median for value in used.values),
            note=note,
        ),
    ]


ROWS = (
    Row("first-result", "new notebook, start kernel, run print; pool warm", first_result),
    Row(
        "daemon-start", "spawn to first answered ping; size and idle use", daemon_start, alone=True
    ),
    Row(
        "import-runtimed", "import runtimed, beyond a bare interpreter", import_runtimed, alone=True
    ),
)
