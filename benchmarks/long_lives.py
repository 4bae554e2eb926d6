"""What a long life leaves behind: `python -m benchmarks.long_lives`.

100,000 edits by one client and by two who take turns, then cells that show 50,000 updates, against
a real daemon. At 1,000, 10,000, 50,000 and the end it prints what has grown: the document's file,
the daemon's memory, the times of saving, of joining and of an exchange of edits between two
clients.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import click
import psutil

from benchmarks.daemon import Daemon, open_daemon
from runtimed import Session

_CELLS = 20
_LOOKS = (1_000, 10_000, 50_000, 100_000)
_EXCHANGES = 20

#: What a cell may do for an hour, `N` times. The pause lets the kernel's messages go out singly.
_STREAMS = {
    "progress bar": "for i in range(N):\n    print(f'\\r{i} of N', end='', flush=True)",
    "growing text": "for i in range(N):\n    print(i, flush=True)",
    "display updates": "h = display(0, display_id=True)\nfor i in range(N):\n    h.update(i)",
    "clear and display": (
        "from IPython.display import clear_output\n"
        "for i in range(N):\n    clear_output(wait=True)\n    display(i)"
    ),
}


@click.command()
@click.option("--edits", default=100_000, show_default=True, help="Edits of each kind.")
@click.option("--updates", default=50_000, show_default=True, help="Updates that a cell shows.")
def main(edits: int, updates: int) -> None:
    """Look for growth in notebooks that live long."""
    with open_daemon() as daemon:
        _edited(daemon, "one client", edits, 1)
        _edited(daemon, "two clients in turns", edits, 2)
        for what, code in _STREAMS.items():
            _streamed(daemon, what, code.replace("N", str(updates)))


def _edited(daemon: Daemon, title: str, edits: int, count: int) -> None:
    click.echo(f"\n{edits} edits, {title}")
    with _sessions(title, count) as sessions:
        cells = [sessions[0].create_cell(f"x = {number}") for number in range(_CELLS)]
        _wait(lambda: all(len(session.get_cells()) == _CELLS for session in sessions))
        started, done = time.perf_counter(), 0
        turns = itertools.cycle(sessions)
        for number in range(1, edits + 1):
            next(turns).set_source(cells[number % _CELLS], f"x = {number // _CELLS % 10}")
            if number in _LOOKS or number == edits:
                seconds = time.perf_counter() - started
                each = f"{(number - done) / seconds:,.0f} edits/s"
                _look(daemon, f"{number:>7}", sessions[0], title, each)
                started, done = time.perf_counter(), number


def _streamed(daemon: Daemon, title: str, code: str) -> None:
    click.echo(f"\n{title}")
    with _sessions(title, 1) as [session]:
        session.start_kernel()
        started = time.perf_counter()
        result = session.run(code, timeout_secs=3600)
        seconds = time.perf_counter() - started
        assert result.success, result
        _look(daemon, "     end", session, title, f"{seconds:.1f} s")


def _look(daemon: Daemon, label: str, session: Session, notebook: str, note: str) -> None:
    documents = (daemon.home / "d").glob("*/*.automerge")
    file = max(documents, key=lambda path: path.stat().st_mtime)
    memory = psutil.Process(daemon.pid).memory_info().rss / 2**20
    save = _timed(lambda: session.save(str(daemon.home / "saved.ipynb")))
    other = Session(notebook_id=notebook)
    join = _timed(other.connect)
    cell = session.get_cells()[0].id
    exchanges = [
        _timed(partial(_exchange, session, other, cell, number)) for number in range(_EXCHANGES)
    ]
    other.close()
    time.sleep(0.5)
    click.echo(
        f"{label}  file {file.stat().st_size / 1024:8.1f} KiB  daemon {memory:6.1f} MiB  "
        f"save {save * 1e3:6.1f} ms  join {join * 1e3:6.1f} ms  "
        f"exchange {statistics.median(exchanges) * 1e3:5.2f} ms  {note}"
    )


def _exchange(one: Session, other: Session, cell: str, number: int) -> None:
    """An edit that the other sees and answers, and the answer seen."""
    one.append_source(cell, f" #{number}")
    _wait(lambda: other.get_cell(cell).source.endswith(f"#{number}"))
    other.append_source(cell, "!")
    _wait(lambda: one.get_cell(cell).source.endswith(f"#{number}!"))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("an edit has not arrived within a minute")
        time.sleep(0.0005)


@contextlib.contextmanager
def _sessions(notebook: str, count: int) -> Iterator[list[Session]]:
    with contextlib.ExitStack() as stack:
        sessions = [Session(notebook_id=notebook) for _ in range(count)]
        for session in sessions:
            stack.enter_context(session)
            session.connect()
        yield sessions


if __name__ == "__main__":
    main()
