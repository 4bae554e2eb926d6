"""Sessions that come and go for a long time: `python -m benchmarks.soak --times 1000`.

Opens a session, runs a cell and closes it, again and again, against one daemon, and prints what the
daemon holds meanwhile: descriptors, threads, tasks' traces (rooms), processes, resident memory. The
first tenth is warm-up; growth is judged from there to the end.
"""

from __future__ import annotations

import statistics
import time

import click
import psutil

import runtimed
from benchmarks.daemon import open_daemon

_SETTLE = 8.0


@click.command()
@click.option("--times", default=1000, show_default=True, help="Sessions to open and close.")
@click.option("--every", default=50, show_default=True, help="Sessions between two looks.")
def main(times: int, every: int) -> None:
    """Look for growth in a daemon that serves many short sessions."""
    with open_daemon() as daemon:
        process = psutil.Process(daemon.pid)
        looks: list[dict[str, float]] = []
        durations: list[float] = []
        for number in range(1, times + 1):
            started = time.perf_counter()
            with runtimed.Session() as session:
                result = session.run(f"print({number})")
                assert result.stdout == f"{number}\n", result
            durations.append(time.perf_counter() - started)
            if number % every == 0 or number == times:
                time.sleep(_SETTLE if number in (every, times) else 2.0)
                looks.append(_look(process, number))
                click.echo(_line(looks[-1], statistics.median(durations[-every:])))
        first = looks[min(len(looks) - 1, max(0, len(looks) // 10))]
        last = looks[-1]
        click.echo(f"client: {psutil.Process().num_fds()} descriptors")
        for name in ("descriptors", "threads", "rooms", "children", "rss_mb"):
            click.echo(f"{name}: {first[name]:g} -> {last[name]:g}")


def _look(process: psutil.Process, number: int) -> dict[str, float]:
    with process.oneshot():
        return {
            "sessions": number,
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
            "children": len(process.children(recursive=True)),
            "rooms": len(runtimed.DaemonClient().list_rooms()),
            "rss_mb": round(process.memory_info().rss / 2**20, 1),
        }


def _line(look: dict[str, float], median: float) -> str:
    fields = "  ".join(f"{name} {value:g}" for name, value in look.items())
    return f"{fields}  median {median:.2f} s"


if __name__ == "__main__":
    main()
