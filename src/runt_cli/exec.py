"""`runt exec`: run a piece of code in a new session."""

from __future__ import annotations

import click

from runt_cli.options import kernel_options, timeout_option

__all__ = ["exec_"]


@click.command("exec")
@click.argument("code")
@timeout_option("Give up when it runs longer.")
@kernel_options(default="python", kernels="python or deno")
def exec_(code: str, timeout: float, kernel: str, env: str) -> None:
    """Run a piece of code in a new session.

    Prints its outputs as they come. The code runs in the current folder. With `-` for CODE it is
    read from stdin. What it asks with input() is asked at the terminal, if there is one.

    Exit code: 0, or 1 when the code raised an exception, 130 after Ctrl-C.

    \b
    Examples:
      runt exec 'import sys; print(sys.version)'
      runt exec - < script.py
    """
    import shlex
    from pathlib import Path

    from runt_cli.asking import refuse_silent_daemon
    from runt_cli.code_input import given_code
    from runt_cli.failure import Fail
    from runt_cli.interruptible import run_interruptible
    from runt_cli.running import CellReport, run_cell, told_when_stopped
    from runt_cli.starting import check_kernel, close_notebook, start_kernel
    from runt_cli.watching import PrintingWatcher, standard_screen
    from runtimed import AsyncSession

    kernel = "python" if kernel in ("", "auto") and env != "deno" else kernel
    check_kernel(kernel, env)
    refuse_silent_daemon()
    source = given_code(code)
    watcher = PrintingWatcher(standard_screen())
    opened: list[str] = []

    async def run_it() -> CellReport:
        session = await AsyncSession.create_notebook(kernel, Path.cwd(), peer_label="runt exec")
        opened.append(session.notebook_id)
        with told_when_stopped():
            async with session:
                await start_kernel(session, kernel, env, session.notebook_id)
                await watcher.answer_questions(session)
                cell_id = await session.create_cell(source)
                return await run_cell(session, cell_id, watcher, timeout=timeout)

    try:
        report = run_interruptible(run_it)
    finally:
        for notebook_id in opened:  # nobody else knows it
            close_notebook(notebook_id)
    watcher.cell_ended(report)
    if report.failed:
        if _is_file(code):
            name = shlex.quote(code)
            click.echo(f"{name} is a file. To run what is in it: runt exec - < {name}", err=True)
        if report.outcome == "error":
            raise click.exceptions.Exit(1)  # the traceback has said it all
        raise Fail(f"Error: {report.reason}")


def _is_file(text: str) -> bool:
    from pathlib import Path

    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no name of a file at all
        return False
