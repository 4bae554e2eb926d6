"""A click group that imports a command's module only when that command is asked for.

A listing such as `runt ps` must not pay for what `runt run` needs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = ["LazyGroup"]


#: Longer than any summary: none is cut, the terminal wraps it.
_SUMMARY = 200


class LazyGroup(click.Group):
    """A group whose commands are named as `module:attribute`.

    sections: what its help lists, by headings, and in this order; other names are known and not
    listed. Without sections all are listed that are not hidden.
    """

    def __init__(
        self,
        *args: Any,
        commands_in: Mapping[str, str],
        sections: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._commands_in = commands_in
        self._sections = sections or {"Commands": list(commands_in)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._commands_in)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in self._sections.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(_SUMMARY))
                        for name, command in commands
                        if command is not None and not command.hidden
                    ]
                )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant. Raises: click.UsageError that names what may have been."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from runt_cli.other_words import help_command, meant_by

            if args[0] == "help":
                return "help", help_command(self), args[1:]
            listed = [name for names in self._sections.values() for name in names]
            meant = meant_by(f"{ctx.command_path} {args[0]}", args[0], listed)
            if not meant:
                raise
            question = f"Did you mean {' or '.join(map(repr, meant))}?"
            raise click.UsageError(f"{error.message} {question}", ctx) from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._commands_in.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        if "_RUNT_COMPLETE" in os.environ:
            from runt_cli.completing import give_candidates

            give_candidates(command)
        return command
