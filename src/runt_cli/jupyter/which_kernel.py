"""Which kernel of a connection file a user means; who means a notebook is told its command."""

from __future__ import annotations

import shlex
from contextlib import suppress

from runt_cli.failure import Fail
from runtimed.errors import ConnectionFileUnusable, KernelNotFound, RuntimedError
from runtimed.jupyter.connection_files import ConnectionInfo
from runtimed.jupyter.naming import connection_of

__all__ = ["meant_kernel"]


def meant_kernel(text: str, instead: str) -> ConnectionInfo:
    """The connection of the kernel that is meant; `instead` is the command that does to notebooks
    what was wanted.

    Raises: KernelNotFound, ConnectionFileUnusable; Fail for a notebook, or for a kernel of one.
    """
    try:
        return connection_of(text)
    except (KernelNotFound, ConnectionFileUnusable):
        if not _means_notebook(text):
            raise
    raise Fail(f"{text} is a notebook's: use '{instead} {shlex.quote(text)}'")


def _means_notebook(text: str) -> bool:
    if text.endswith(".ipynb"):
        return True
    from runt_cli.asking import daemon_client
    from runt_cli.which_notebook import find_room

    with suppress(RuntimedError, Fail):  # without a daemon there is none; several are no kernel's
        return find_room(text, daemon_client().list_rooms()) is not None
    return False
