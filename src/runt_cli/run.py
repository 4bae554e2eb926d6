"""`runt run`: run a notebook from its first cell to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runt_cli.options import kernel_options, timeout_option

if TYPE_CHECKING:
    from runt_cli.running import CellReport
    from runt_cli.saving import Saved
    from runt_cli.watching import QuietWatcher

__all__ = ["run"]


@click.command
@click.argument("notebook", metavar="NOTEBOOK")
@click.option("--save", is_flag=True, help="Write the outputs into the notebook's file.")
@click.option("--output", metavar="PATH", help="Write the notebook with its outputs to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of outputs.")
@timeout_option("Give up on a cell that runs longer.")
@click.option("--allow-errors", is_flag=True, help="Go on after cells that raise an exception.")
@kernel_options(default="auto")
def run(
    notebook: str,
    save: bool,
    output: str | None,
    as_json: bool,
    timeout: float,
    allow_errors: bool,
    kernel: str,
    env: str,
) -> int:
    """Run a notebook, printing outputs as they come.

    Its code cells run in order. The run ends at the first cell that raises an exception; cells
    tagged raises-exception may. The file changes only with --save. A daemon is started if need be.
    What cells ask with input() is asked at the terminal, if there is one.

    Exit code: 0 when all cells ran, 1 when one failed, 130 after Ctrl-C.

    \b
    Examples:
      runt run analysis.ipynb
      runt run analysis.ipynb --save --timeout 600
      runt run template.ipynb --output report.ipynb
      runt run analysis.ipynb --json > result.json
    """
    import shlex
    from pathlib import Path

    from runt_cli.asking import refuse_silent_daemon
    from runt_cli.failure import Fail
    from runt_cli.interruptible import run_interruptible
    from runt_cli.running import told_when_stopped
    from runt_cli.saving import check_target
    from runt_cli.starting import check_kernel
    from runt_cli.terminal import show_json
    from runt_cli.watching import PrintingWatcher, QuietWatcher, standard_screen

    path = Path(notebook)
    if not path.exists():
        raise Fail(f"Notebook not found: {notebook}")
    check_kernel(kernel, env)
    refuse_silent_daemon()
    if save:
        check_target("--save", path)
    if output is not None:
        check_target("--output", Path(output))
    name = shlex.quote(notebook)
    screen = standard_screen()
    watcher = QuietWatcher(screen) if as_json else PrintingWatcher(screen)

    async def run_it() -> tuple[dict[str, Any], list[CellReport], Saved]:
        with told_when_stopped():
            return await _run(
                path,
                watcher,
                name=name,
                kernel=kernel,
                env=env,
                timeout=timeout,
                allow_errors=allow_errors,
                save=save,
                output=output,
            )

    document, reports, saved = run_interruptible(run_it)
    failed = next((report for report in reports if report.failed), None)
    if as_json:
        # The document has it all: a program reads one thing.
        show_json(document)
        return 1 if failed or saved.error else 0
    for written in saved.paths:
        watcher.say(f"Saved {written}")
    if saved.error is not None:
        watcher.say(
            f"Error: {saved.error}. The outputs are in the open notebook: runt inspect {name}"
        )
    if failed is not None:
        not_run = sum(report.outcome == "not_run" for report in reports)
        rest = f" ({not_run} not run)" if not_run else ""
        raise Fail(f"Error: cell {failed.number} of {len(reports)} failed: {failed.reason}{rest}")
    return 1 if saved.error is not None else 0


async def _run(
    path: Any,
    watcher: QuietWatcher,
    *,
    name: str,
    kernel: str,
    env: str,
    timeout: float,
    allow_errors: bool,
    save: bool,
    output: str | None,
) -> tuple[dict[str, Any], list[CellReport], Saved]:
    import time

    from runt_cli import run_report
    from runt_cli.running import run_cells
    from runt_cli.saving import save_results
    from runt_cli.starting import start_kernel
    from runtimed.client.async_session import open_without_autosave

    began = time.monotonic()
    async with await open_without_autosave(str(path), peer_label="runt") as session:
        watcher.note("Starting the kernel")
        before_start = time.monotonic()
        await start_kernel(session, kernel, env, name)
        kernel_start = time.monotonic() - before_start
        await watcher.answer_questions(session)
        reports = await run_cells(
            session,
            await session.get_cells(),
            watcher,
            timeout=timeout,
            allow_errors=allow_errors,
        )
        # A failed run is saved too: its outputs and traceback are what one wants to look at.
        saved = await save_results(session, save=save, output=output)
        document = run_report.as_json(
            notebook=str(path.resolve()),
            notebook_id=session.notebook_id,
            kernel_type=await session.kernel_type(),
            env_source=await session.env_source(),
            kernel_start=kernel_start,
            duration=time.monotonic() - began,
            saved=saved.paths[-1] if saved.paths else None,
            save_error=saved.error,
            cells=reports,
        )
    return document, reports, saved
