"""Much output from one cell, each time with the check that all of it arrived on our side."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from benchmarks import stock
from benchmarks.measure import Limit, Measurement
from benchmarks.row import Bench, Row, expect
from runtimed import Session

LINES = 100_000
DISPLAYS = 1_000
#: 625,000 numbered lines of 80 characters: 50 MB in which nothing can go missing unseen.
BIG_LINES = 625_000
BIG = f"text = ''.join(f'{{n:079d}}\\n' for n in range({BIG_LINES}))"


def _many(
    bench: Bench,
    name: str,
    code: str,
    check_ours: Callable[[Any], None],
    size: Callable[[stock.Collected], str],
    budget: float,
    reference: str,
    before: str = "pass",
    rounds: tuple[int, int] = (5, 2),
) -> list[Measurement]:
    """Run `code` in turns. `before` runs once on either side, off the clock."""
    notes: set[str] = set()
    with contextlib.ExitStack() as stack:
        session = client = None
        if bench.ours:
            session = stack.enter_context(Session())
            session.start_kernel()
            bench.daemon.wait_warm()
            expect(session.run(before).success, f"our set-up: {before}")
        if bench.theirs:
            client = stack.enter_context(stock.open_kernel())
            stock.run_interactive(client, before)

        def ours() -> float:
            assert session is not None
            start = time.perf_counter()
            result = session.run(code, timeout_secs=300)
            seconds = time.perf_counter() - start
            expect(result.success, f"our {name}: {result}")
            check_ours(result)
            session.delete_cell(result.cell_id)
            return seconds

        def theirs() -> float:
            start = time.perf_counter()
            found = stock.run_interactive(client, code)
            seconds = time.perf_counter() - start
            notes.add(f"theirs received {size(found)}")
            return seconds

        mine, stocks = bench.compare(ours, theirs, bench.rounds(*rounds))
    return [
        Measurement(
            name=name,
            unit="s",
            ours=mine,
            theirs=stocks,
            against="execute_interactive",
            limits=(Limit(budget, ratio=True),),
            reference=reference,
            note="; ".join(["ours checked to the last byte", *sorted(notes)]),
        )
    ]


def _same_text(wanted: str, found: str) -> None:
    if wanted != found:
        at = next((n for n, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), -1)
        expect(False, f"{len(found)} of {len(wanted)} characters, first difference at {at}")


def prints(bench: Bench) -> list[Measurement]:
    wanted = "".join(f"{n}\n" for n in range(LINES))
    return _many(
        bench,
        "prints-100k",
        f"for i in range({LINES}): print(i)",
        lambda result: _same_text(wanted, result.stdout),
        lambda found: f"{len(found.stdout):,} of {len(wanted):,} characters",
        1.5,
        "1.14 s, a tenth kept",
    )


def displays(bench: Bench) -> list[Measurement]:
    wanted = [{"text/plain": str(n)} for n in range(DISPLAYS)]

    def check(result: Any) -> None:
        found = [output.data for output in result.display_data]
        expect(found == wanted, f"{len(found)} displays, the last {found[-1:]}")

    return _many(
        bench,
        "displays-1000",
        f"for i in range({DISPLAYS}): display(i)",
        check,
        lambda found: f"{len(found.displays):,} displays",
        2,
        "3.1 s",
    )


def big_print(bench: Bench) -> list[Measurement]:
    wanted = "".join(f"{n:079d}\n" for n in range(BIG_LINES)) + "\n"
    return _many(
        bench,
        "print-50mb",
        "print(text)",
        lambda result: _same_text(wanted, result.stdout),
        lambda found: f"{len(found.stdout):,} of {len(wanted):,} characters",
        3,
        "6 s, 3 % kept",
        before=BIG,
    )


ROWS = (
    Row("prints-100k", "100,000 prints in one cell", prints),
    Row("displays-1000", "1,000 displays in one cell", displays),
    Row("print-50mb", "one print of 50 MB", big_print),
)
