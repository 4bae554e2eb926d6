"""The command lines of this package's own programs, whatever lies in the folder they start in.

`python -m` looks for modules in the current folder first: a `queue.py` beside a notebook, or one
that somebody else put into a shared folder, would be run as part of the program.
"""

from __future__ import annotations

import sys

__all__ = ["own_program"]

#: What `-P` does, for Python 3.10. Nothing but what is built in is imported before the path is set.
_RUN = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0); "
    "import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


def own_program(
    module: str, *arguments: str, version: tuple[int, ...] = sys.version_info[:2]
) -> list[str]:
    """How to run a module of this package as a program, importing nothing from the current
    folder."""
    if version >= (3, 11):
        return [sys.executable, "-P", "-m", module, *arguments]
    return [sys.executable, "-c", _RUN.format(module=module), *arguments]
