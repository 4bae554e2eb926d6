"""What `runt` answers a shell that completes a command line; click does the parsing.

A shell runs `runt` with a variable set, at each press of the key. So whatever is asked for has to
be there in a moment, and nothing may be printed but candidates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, get_args

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
)

__all__ = ["VARIABLE", "give_candidates", "script"]

#: Set by the scripts; click's name for it.
VARIABLE = "_RUNT_COMPLETE"

#: Seconds for the daemon to name its notebooks.
_PATIENCE = 0.3

#: Commands for which only an open notebook makes sense.
_OF_OPEN = frozenset({"stop", "shutdown", "interrupt"})

_SPECIAL = re.compile(r"([^\w@%+=:,./~-])")


def script(shell: str) -> str:
    """The script for a shell."""
    from runt_cli.root import runt

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    return shell_class(runt, {}, "runt", VARIABLE).source().strip()


class _Bash(BashComplete):
    """Bash, also the one that macOS has. Names with blanks are quoted, folders get no blank."""

    source_template: ClassVar[str] = """\
%(complete_func)s() {
    local IFS=$'\\n' type value response
    COMPREPLY=()
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done <<< "$response"
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

    def source(self) -> str:
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one, put together again at colons.

        Bash parts words at them, and replaces only what is behind the last.
        """
        args, last = super().get_completion_args()
        words = _joined_at_colons([*args, last])
        self._kept = words[-1][: words[-1].rfind(":") + 1] if ":" in (last, *args[-1:]) else ""
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[str]) -> str:
        words = os.environ["COMP_WORDS"].split("\n")
        word = int(os.environ["COMP_CWORD"])
        quoted = word < len(words) and words[word][:1] in ("'", '"')
        value = item.value if quoted else _SPECIAL.sub(r"\\\1", item.value)
        return f"{item.type},{value.removeprefix(self._kept)}"


def _joined_at_colons(pieces: Sequence[str]) -> list[str]:
    words: list[str] = []
    for piece in pieces:
        if words and (piece == ":" or words[-1].endswith(":")):
            words[-1] += piece
        else:
            words.append(piece)
    return words


add_completion_class(_Bash)


class _Candidates(click.types.StringParamType):
    """A parameter's text, as it is; a function gives what it may be."""

    def __init__(self, find: Callable[[str], Iterator[CompletionItem[str]]]) -> None:
        self._find = find

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        given = ctx.params.get(param.name or "")
        if not isinstance(given, tuple):  # what can be given once has a default at most
            given = ()
        found: dict[str, CompletionItem[str]] = {}
        for item in self._find(incomplete):
            # What can't be part of a line is no use to a shell; what was given needs not be twice.
            if item.value.isprintable() and item.value not in given:
                found.setdefault(item.value, item)
        return list(found.values())


def give_candidates(command: click.Command) -> None:
    """Have those parameters of a command completed that say what they take by their metavar."""
    for parameter in command.params:
        word = (parameter.metavar or "").strip("[].")
        if word == "NOTEBOOK":
            only_open = command.name in _OF_OPEN
            parameter.type = _Candidates(_open_notebooks if only_open else _notebooks)
        elif word == "ID":
            parameter.type = _Candidates(_jupyter_kernels)
        elif word == "SOURCE":
            parameter.type = _Candidates(_env_sources)
        elif word == "TYPE":
            parameter.type = _Candidates(_kernel_types)


def _notebooks(text: str) -> Iterator[CompletionItem[str]]:
    yield from _open_notebooks(text)
    yield from _files(text)


def _open_notebooks(text: str) -> Iterator[CompletionItem[str]]:
    """Those that the daemon has open: paths as seen from here, ids where there is no path."""
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import RuntimedError

    try:
        rooms = DaemonClient(timeout=_PATIENCE).list_rooms()
    except (RuntimedError, OSError):
        return
    here = f"{os.path.realpath('.')}/"
    for room in rooms:
        name = str(room["path"] or room["notebook_id"])
        names = [name.removeprefix(here), name] if name.startswith(here) else [name]
        for each in names:
            if each.startswith(text):
                status = room["kernel_status"] or "no kernel"
                yield CompletionItem(each, help=f"{room['kernel_type'] or ''} {status}".strip())
                break


def _files(text: str) -> Iterator[CompletionItem[str]]:
    """Notebook files, and folders in which there may be some."""
    folder, slash, beginning = text.rpartition("/")
    place = Path(os.path.expanduser(folder + slash) or ".")  # noqa: PTH111 - stays without a home
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not beginning.startswith(".")
        if hidden or not entry.name.startswith(beginning):
            continue
        if entry.is_dir():
            yield CompletionItem(f"{folder}{slash}{entry.name}/")
        elif entry.name.endswith(".ipynb"):
            yield CompletionItem(f"{folder}{slash}{entry.name}")


def _jupyter_kernels(text: str) -> Iterator[CompletionItem[str]]:
    """Kernels that have a connection file in Jupyter's folder, running or not."""
    from runtimed.jupyter.connection_files import connection_files, kernel_id_of
    from runtimed.jupyter.folders import runtime_folder

    files, _ = connection_files(runtime_folder())
    for file in files:
        if (kernel_id := kernel_id_of(file)).startswith(text):
            yield CompletionItem(kernel_id)


def _env_sources(text: str) -> Iterator[CompletionItem[str]]:
    from runtimed.environments.wanted import EnvSource

    for source in ("auto", *get_args(EnvSource)):
        if source.startswith(text):
            yield CompletionItem(source)


def _kernel_types(text: str) -> Iterator[CompletionItem[str]]:
    for kernel in ("python", "deno", "auto"):
        if kernel.startswith(text):
            yield CompletionItem(kernel)
