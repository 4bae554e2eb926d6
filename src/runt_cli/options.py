"""Options that several commands take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["kernel_options", "timeout_option"]

F = TypeVar("F", bound=Callable[..., Any])


def _seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise click.BadParameter(f"{text!r} is not a positive number of seconds.")
    return seconds


def timeout_option(help: str) -> Callable[[F], F]:  # noqa: A002  # click's name for it
    """`--timeout SECONDS`, infinite unless given."""
    return click.option(
        "--timeout",
        type=_seconds,
        default=math.inf,
        metavar="SECONDS",
        help=f"{help}  [default: no limit]",
    )


def kernel_options(
    *, default: str, kernels: str = "python, deno, or auto for what the notebook says"
) -> Callable[[F], F]:
    """`--kernel TYPE` and `--env SOURCE`: what to start, and out of which environment."""

    def decorate(function: F) -> F:
        env = click.option(
            "--env",
            default="auto",
            show_default=True,
            metavar="SOURCE",
            help="Where the environment comes from, such as uv:prewarmed.",
        )
        kernel = click.option(
            "--kernel",
            default=default,
            show_default=True,
            metavar="TYPE",
            help=f"Type of kernel: {kernels}.",
        )
        return kernel(env(function))

    return decorate
