"""Running one small cell: the time until its result is in hand."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from benchmarks import stock
from benchmarks.measure import Limit, Measurement, interleave
from benchmarks.row import Bench, Row, expect
from runtimed import Session

BLOCK = 20


def one_plus_one(bench: Bench) -> list[Measurement]:
    """`session.run("1+1")`, which also makes a cell, beside both ways to ask a bare kernel."""
    with contextlib.ExitStack() as stack:
        sides = {}
        if bench.ours:
            session = stack.enter_context(Session())
            session.start_kernel()
            bench.daemon.wait_warm()  # replacing the kernel is a cost of notebook-100

            def ours() -> float:
                start = time.perf_counter()
                result = session.run("1+1")
                seconds = time.perf_counter() - start
                data = [output.data for output in result.outputs]
                expect(data == [{"text/plain": "2"}], f"our 1+1: {data}")
                return seconds

            sides["ours"] = ours
        if bench.theirs:
            client = stack.enter_context(stock.open_kernel())

            def interactive() -> float:
                return _theirs(stock.run_interactive, client)

            def loop() -> float:
                return _theirs(stock.run_message_loop, client)

            sides["interactive"] = interactive
            sides["loop"] = loop
        samples = interleave(list(sides.values()), bench.rounds(15, 3), block=BLOCK, warm_up=10)
        found = {name: sample.scaled(1000) for name, sample in zip(sides, samples, strict=True)}

    mine = found.get("ours")
    return [
        Measurement(
            name="one-plus-one",
            unit="ms",
            ours=mine,
            theirs=found.get("interactive"),
            against="execute_interactive",
            limits=(Limit(1.25, ratio=True), Limit(1.25, "p95", ratio=True)),
            reference="194 / 381 ms",
        ),
        Measurement(
            name="one-plus-one: message loop",
            unit="ms",
            ours=mine,
            theirs=found.get("loop"),
            against="a loop over get_iopub_msg",
            reference="194 / 381 ms",
        ),
    ]


def _theirs(run: Any, client: Any) -> float:
    start = time.perf_counter()
    found = run(client, "1+1")
    seconds = time.perf_counter() - start
    expect(found.displays == [{"text/plain": "2"}], f"their 1+1: {found}")
    return seconds


ROWS = (Row("one-plus-one", "run 1+1, result in hand", one_plus_one),)
