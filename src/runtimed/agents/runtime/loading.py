"""Finding the handler that a command line names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import attrs

from runtimed.agents.handler import Handler, Invocation, Sender
from runtimed.errors import RuntimedError

__all__ = ["AGENTS", "HandlerUnusable", "as_handler", "load_agent", "load_handler"]

#: The agents that come with the runtime.
AGENTS = ("command", "echo")


class HandlerUnusable(RuntimedError):
    """A handler cannot be loaded, or is none."""


@attrs.frozen
class _Function:
    """A handler that is a function."""

    run: Callable[[Invocation, Sender], Awaitable[Any]]


def as_handler(found: Any, name: str = "handler") -> Handler:
    """A handler of an object, a class or an async function.

    Raises: HandlerUnusable.
    """
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as error:
            raise HandlerUnusable(f"{name} cannot be made: {error}") from error
    run = getattr(found, "run", None)
    if run is not None:
        if not _is_async(run):
            raise HandlerUnusable(f"{name}.run must be an async function")
        return found  # type: ignore[no-any-return]
    if callable(found):
        if not _is_async(found):
            raise HandlerUnusable(f"{name} must be an async function")
        return _Function(found)
    raise HandlerUnusable(f"{name} has no run")


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object that is called
    )


def load_agent(
    name: str, *, command: str | None = None, output: Literal["text", "jsonl"] = "text"
) -> Handler:
    """An agent that comes with the runtime; `command` is the program that `command` runs.

    Raises: HandlerUnusable.
    """
    if name == "echo":
        from runtimed.agents.handlers.echo import Echo

        return Echo()
    if name == "command":
        from runtimed.agents.handlers.command import CommandAgent

        try:
            argv = shlex.split(command or "")
        except ValueError as error:
            raise HandlerUnusable(f"the command cannot be read: {error}") from None
        if not argv:
            raise HandlerUnusable("the agent `command` needs a command")
        return CommandAgent(argv, output)
    raise HandlerUnusable(f'unknown agent "{name}"')


def load_handler(place: str) -> Handler:
    """A handler of one's own.

    Shape: `file.py`, `file.py:name`, `package.module` or `package.module:name`. Without a name it
    is `handler`, or the function `run`.
    Raises: HandlerUnusable, with the handler's own error as its cause.
    """
    where, _, name = place.rpartition(":")
    if not where or "/" in name:
        where, name = place, ""
    module = _module(where)
    for candidate in [name] if name else ["handler", "run"]:
        if hasattr(module, candidate):
            return as_handler(getattr(module, candidate), f"{place}: {candidate}")
    wanted = name or "handler or run"
    raise HandlerUnusable(f"{where} has no {wanted}")


def _module(where: str) -> Any:
    try:
        if not where.endswith(".py"):
            if "" not in sys.path:
                sys.path.insert(0, "")  # a module beside which the command was given
            return importlib.import_module(where)
        path = Path(where).resolve()
        if not path.is_file():
            raise HandlerUnusable(f"no such file: {where}")
        spec = importlib.util.spec_from_file_location(f"_agent_handler_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(path.parent))  # what lies beside it can be imported by it
        spec.loader.exec_module(module)
        return module
    except HandlerUnusable:
        raise
    except Exception as error:
        raise HandlerUnusable(
            f"{where} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
