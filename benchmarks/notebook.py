"""A whole notebook from opening to the saved file, beside nbclient."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from benchmarks.measure import Limit, Measurement, interleave
from benchmarks.row import Bench, Row, expect
from runtimed import Session

CELLS = 100


def _write_notebook(path: Path) -> None:
    """100 cells, every second with printed text, the others with a value."""
    sources = [
        f"a{n} = {n} * {n}\nprint('cell', {n})" if n % 2 else f"b{n} = {n}\nb{n}"
        for n in range(CELLS)
    ]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{n}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for n, source in enumerate(sources)
    ]
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": spec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def _check(path: Path, whose: str) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    expect(len(cells) == CELLS, f"{whose} file has {len(cells)} cells")
    for n, cell in enumerate(cells):
        # One print can arrive in several messages, and nbclient saves each as an output.
        text = "".join(map(_text, cell["outputs"]))
        wanted = f"cell {n}\n" if n % 2 else str(n)
        expect(text == wanted, f"{whose} cell {n} was saved with {cell['outputs']}")
        expect(cell["execution_count"] == n + 1, f"{whose} cell {n}: {cell['execution_count']}")


def _text(output: dict[str, Any]) -> str:
    text = output["text"] if "text" in output else output["data"]["text/plain"]
    return "".join(text)


def notebook_100(bench: Bench) -> list[Measurement]:
    """Open, start the kernel, run, save: the daemon replaces the warm kernel in the meantime.

    nbclient ends its kernel inside `execute`, so the time with `close` is noted too; the budget is
    for the saved file.
    """
    closing: list[float] = []
    count = 0

    def ours(way: str) -> float:
        nonlocal count
        count += 1
        path = bench.scratch / f"ours-{count}.ipynb"
        _write_notebook(path)
        start = time.perf_counter()
        session = Session.open_notebook(str(path))
        session.start_kernel()
        if way == "run_all":
            _run_all(session)
        else:
            for cell in session.get_cells():
                session.execute_cell(cell.id)
        session.save()
        seconds = time.perf_counter() - start
        session.close()
        if way == "run_all":
            closing.append(time.perf_counter() - start)
        _check(path, "our")
        bench.daemon.wait_warm()
        return seconds

    def theirs() -> float:
        path = bench.scratch / "theirs.ipynb"
        _write_notebook(path)
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, kernel_name="python3").execute(stderr=subprocess.DEVNULL)
        nbformat.write(notebook, path)
        seconds = time.perf_counter() - start
        _check(path, "their")
        return seconds

    sides = {}
    if bench.ours:
        sides["run_all"] = lambda: ours("run_all")
        sides["each"] = lambda: ours("each")
    if bench.theirs:
        sides["theirs"] = theirs
    samples = interleave(list(sides.values()), bench.rounds(7, 2))
    found = dict(zip(sides, samples, strict=True))
    note = ""
    if len(closing) > 1:  # the first was the warm-up
        note = f"with close(): {sorted(closing[1:])[(len(closing) - 1) // 2]:.3f} s"
    return [
        Measurement(
            name=name,
            unit="s",
            ours=found.get(way),
            theirs=found.get("theirs"),
            against="NotebookClient.execute",
            limits=(Limit(0.7, ratio=True),),
            note=note if way == "run_all" else "",
        )
        for name, way in (("notebook-100", "run_all"), ("notebook-100: cell by cell", "each"))
    ]


def _run_all(session: Any) -> None:
    """Queue every cell and wait for the last end; events are subscribed to before."""
    events = session.subscribe(event_types=["done", "error"])
    left = session.run_all_cells()
    expect(left == CELLS, f"{left} cells queued")
    for event in events:
        expect(event.event_type == "done", f"event {event}")
        left -= 1
        if not left:
            break
    events.close()


ROWS = (Row("notebook-100", "100 small cells, from opening to the saved file", notebook_100),)
