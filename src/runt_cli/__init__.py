"""The command `runt`: look at the daemon, run notebooks and code through it.

One group is a folder, one command a file. A command parses, asks the client and prints; whatever
decides something lies in the packages below. This module knows only how a process ends.
"""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _fill_missing_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A letter that the terminal has not is spelt out, as on stderr; it is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = _reader_gone()
    sys.exit(code)


def _fill_missing_streams() -> None:
    """Have nothing come from, and nothing go to, those that the shell has closed (`>&-`).

    Something must take their numbers before the first socket does, which would be written to.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _run() -> int:
    import click

    from runt_cli.failure import INTERRUPTED
    from runt_cli.root import runt

    if "_RUNT_COMPLETE" in os.environ:
        import runt_cli.completing  # noqa: F401  # what click finds is registered there
    try:
        return _exit_code(runt.main(prog_name="runt", standalone_mode=False))
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        # A usage error shows its usage line; everything else is one line.
        error.show()
        return error.exit_code
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit:
        raise
    except BaseException as error:
        return _failed(error)


def _exit_code(value: object) -> int:
    return value if isinstance(value, int) else 0


def _failed(error: BaseException) -> int:
    """Print the leaves of an expected error; anything else is a bug and keeps its traceback."""
    from runt_cli.failure import DAEMON_NOT_RUNNING, FAILED, INTERRUPTED
    from runt_cli.table import printable
    from runtimed.errors import DaemonUnreachable, RuntimedError, leaves

    errors = leaves(error)
    if all(isinstance(leaf, KeyboardInterrupt) for leaf in errors):
        return INTERRUPTED
    if any(isinstance(leaf, BrokenPipeError) for leaf in errors):
        return _reader_gone()
    if not all(isinstance(leaf, RuntimedError | OSError) for leaf in errors):
        raise error
    for leaf in errors:
        print(printable(f"Error: {' '.join(str(leaf).split())}"), file=sys.stderr)
    return DAEMON_NOT_RUNNING if isinstance(errors[0], DaemonUnreachable) else FAILED


def _reader_gone() -> int:
    """Whoever read our output closed it: end without complaint, the interpreter's included."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(null, stream.fileno())
    return 1
