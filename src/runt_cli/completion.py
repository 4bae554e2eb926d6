"""`runt completion`: the script with which a shell completes `runt`."""

from __future__ import annotations

import click

__all__ = ["completion"]


@click.command(short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script with which a shell completes commands, options and notebooks.

    For this shell alone, bash or zsh: eval "$(runt completion bash)"

    \b
    For every one that is started from now on:
      bash   runt completion bash > ~/.local/share/bash-completion/completions/runt
      zsh    runt completion zsh > ~/.zfunc/_runt    with, in .zshrc before compinit:
             fpath+=~/.zfunc
      fish   runt completion fish > ~/.config/fish/completions/runt.fish

    The folders may have to be made first. Where bash has no bash-completion, put the line with
    eval into ~/.bashrc.

    \b
    Examples:
      runt completion bash
      runt completion zsh
      runt completion fish
    """
    from runt_cli.completing import script

    click.echo(script(shell))
