"""`python -m benchmarks`: choose rows, run them, write the report."""

from __future__ import annotations

import sys
import traceback
from datetime import datetime
from pathlib import Path

import click

from benchmarks.daemon import DaemonTrouble, open_daemon
from benchmarks.measure import Measurement
from benchmarks.profiling import profile_row
from benchmarks.report import Failure, Report, surroundings, table, write
from benchmarks.row import Bench, Row
from benchmarks.rows import ROWS


@click.command()
@click.option("--row", "names", multiple=True, type=click.Choice(list(ROWS)), help="Only this row.")
@click.option("--list", "list_rows", is_flag=True, help="Name the rows and stop.")
@click.option("--quick", is_flag=True, help="Fewer repetitions.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the report.  [default: benchmarks/results/<time>]",
)
@click.option("--profile", "profiled", type=click.Choice(list(ROWS)), help="Where its time goes.")
@click.option("--only", type=click.Choice(["ours", "theirs"]), help="Leave the other half out.")
@click.option("--fresh", is_flag=True, help="Begin with an empty uv cache.")
def main(
    names: tuple[str, ...],
    list_rows: bool,
    quick: bool,
    output: Path | None,
    profiled: str | None,
    only: str | None,
    fresh: bool,
) -> None:
    """Measure runtimed beside jupyter_client and nbclient, in one run and in turns.

    Starts a daemon of its own in a temporary folder and ends it. Exit status 1 if a row could not
    be measured; a missed budget is a result, not an error.
    """
    if list_rows:
        width = max(map(len, ROWS))
        for row in ROWS.values():
            click.echo(f"{row.name:{width}}  {row.title}")
        return
    folder = output or Path(__file__).parent / "results" / f"{datetime.now():%Y%m%d-%H%M%S}"
    try:
        if profiled is not None:
            click.echo(profile_row(ROWS[profiled], folder, quick=quick, fresh=fresh))
            click.echo(f"profiles for pstats: {folder}")
            return
        chosen = [ROWS[name] for name in ROWS if not names or name in names]
        report = run_rows(chosen, quick=quick, only=only, fresh=fresh)
    except DaemonTrouble as trouble:
        raise click.ClickException(str(trouble)) from trouble
    paths = write(report, folder)
    click.echo(table(report))
    for path in paths:
        click.echo(str(path))
    if report.failures:
        sys.exit(1)


def run_rows(rows: list[Row], *, quick: bool, only: str | None, fresh: bool) -> Report:
    """Run the rows one after the other beside one daemon; a row that fails is noted and left."""
    about = surroundings(quick=quick)
    measurements: list[Measurement] = []
    failures: list[Failure] = []
    with open_daemon(fresh=fresh, start=only != "theirs") as daemon:
        scratch = daemon.home / "work"
        scratch.mkdir()
        bench = Bench(daemon, scratch, quick=quick, only=only)
        for row in rows:
            if row.alone and not bench.ours:
                continue
            click.echo(f"{row.name}: {row.title} ...", err=True)
            try:
                if bench.ours:
                    daemon.wait_warm()
                measurements.extend(row.run(bench))
            except Exception as error:
                traceback.print_exc()
                reason = " ".join(str(error).split())[:200]
                failures.append(Failure(row.name, f"{type(error).__name__}: {reason}"))
                click.echo(f"the daemon's last words:\n{daemon.tail()}", err=True)
            if bench.ours and (status := daemon.process.poll()) is not None:
                failures.append(Failure("daemon", f"ended with status {status} in {row.name}"))
                break
    return Report(tuple(measurements), tuple(failures), about)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
