"""Starts the kernel that a command line asks for, or says what keeps it from that.

The daemon decides; here its texts, which are for programs, are put as one types them. Runs on
Trio; knows nothing of click.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtimed.errors import RuntimedError

if TYPE_CHECKING:
    from runtimed import AsyncSession

__all__ = ["as_typed", "check_kernel", "close_notebook", "start_kernel"]

#: What a text for programs says, and what a command line has for it.
_SPELLINGS = (
    (re.compile(r"Session\.approve_trust\(\) or "), ""),
    (re.compile(r"start the kernel with (?=env_source)"), "use "),
    (re.compile(r'\benv_source="([^"]*)"'), r"--env \1"),
    (re.compile(r'\bkernel_type="([^"]*)"'), r"--kernel \1"),
    (re.compile(r'\benv_source "([^"]*)"'), r"--env \1"),
)


def as_typed(text: str) -> str:
    """A text of the daemon's with options of commands in place of arguments of functions."""
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text


def check_kernel(kernel: str, env: str) -> None:
    """Look at what was asked for, before anything is opened.

    Raises: RuntimedError.
    """
    from runtimed.environments.resolution import RESOLVE, check_request

    check_request(kernel, env)
    if kernel == "deno" and env not in (*RESOLVE, "deno"):
        raise RuntimedError(f"A Deno kernel needs no Python environment: leave --env {env} out")


async def start_kernel(session: AsyncSession, kernel: str, env: str, notebook: str) -> None:
    """Start the kernel, or find it running as it was asked for.

    `notebook` is what a command calls it. Raises: RuntimedError that names the remedy.
    """
    from runt_cli.environment_bar import EnvironmentBar
    from runtimed.client.async_session import leave_running
    from runtimed.errors import RequestFailed

    with EnvironmentBar() as bar:
        await session.set_progress_handler(bar.show)
        try:
            await session.start_kernel(kernel_type=kernel, env_source=env)
        except RequestFailed as error:
            raise RequestFailed(as_typed(str(error))) from error
        runs, source = await session.kernel_type(), await session.env_source()
        wrong = _not_as_asked(kernel, env, str(runs), str(source))
        if wrong is not None:
            await leave_running(session)
            raise RuntimedError(
                f"{wrong}. To have another one, stop it first: runt stop {notebook}"
            )


def close_notebook(notebook_id: str) -> None:
    """Close a notebook that this command has made, and its kernel; what fails keeps nobody."""
    from runt_cli.asking import WORK_LIMIT, daemon_client

    try:
        daemon_client(WORK_LIMIT).shutdown_notebook(notebook_id)
    except (RuntimedError, OSError):
        pass  # the daemon closes it itself, in a while


def _not_as_asked(kernel: str, env: str, runs: str, source: str) -> str | None:
    from runtimed.environments.resolution import RESOLVE

    if kernel in ("python", "deno") and runs != kernel:
        return f"--kernel {kernel}: the notebook's kernel is running already, and is {runs}"
    if env not in RESOLVE and source != env:
        return f"--env {env}: the notebook's kernel is running already, from {source}"
    return None
