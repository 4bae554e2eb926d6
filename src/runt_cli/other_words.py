"""Words that people come with, for what has another name here."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import click

__all__ = ["help_command", "meant_by"]

#: What is typed elsewhere, and what does that here.
_WORDS = {
    "runt version": "runt --version",
    "runt kill": "runt stop",
    "runt rm": "runt stop",
    "runt attach": "runt jupyter console --notebook",
    "runt top": "runt ps",
    "runt ls": "runt notebooks",
    "runt list": "runt notebooks",
    "runt restart": "runt daemon restart",
    "runt install": "runt daemon install",
    "runt uninstall": "runt daemon uninstall",
    "runt ping": "runt daemon ping",
    "runt daemon enable": "runt daemon install",
    "runt daemon disable": "runt daemon uninstall",
    "runt daemon kill": "runt daemon stop",
    "runt daemon log": "runt daemon logs",
}


def meant_by(typed: str, word: str, listed: Sequence[str]) -> list[str]:
    """What may have been meant by a command that there is not: by its name, else by its spelling.

    typed: the command with its groups, such as `runt daemon enable`; word: its last one.
    """
    if (command := _WORDS.get(typed)) is not None:
        return [command]
    return get_close_matches(word, listed, n=3, cutoff=0.7)


def help_command(group: click.Group) -> click.Command:
    """`help` in a group: `help CMD` prints what `CMD --help` does."""

    @click.command("help", add_help_option=False)
    @click.argument("names", nargs=-1)
    @click.pass_context
    def show_help(ctx: click.Context, names: tuple[str, ...]) -> None:
        above = ctx.parent
        command: click.Command = group
        assert above is not None
        for name in names:
            if not isinstance(command, click.Group):
                raise click.UsageError(f"{above.command_path!r} has no commands.", above)
            _, found, _ = command.resolve_command(above, [name])
            assert found is not None
            command = found
            above = click.Context(
                command, above, info_name=name, max_content_width=above.max_content_width
            )
        click.echo(command.get_help(above))

    return show_help
