"""What the help of `runt` and of its groups looks like, as a whole."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from runt_cli.other_words import _WORDS
from runt_cli.root import runt

GROUPS = ("daemon", "jupyter", "env", "dev", "agent")


def help_of(*names: str) -> str:
    result = CliRunner().invoke(runt, [*names, "--help"], prog_name="runt", terminal_width=80)
    assert result.exit_code == 0
    return result.output


def test_the_top_lists_commands_by_what_they_are_about() -> None:
    listed = help_of().partition("Show this message and exit.\n")[2]
    assert (
        listed
        == """
Notebooks:
  run        Run a notebook, printing outputs as they come.
  exec       Run a piece of code in a new session.
  open       Open a notebook in its viewer.
  notebooks  List the open notebooks.
  inspect    Show a notebook's cells and outputs.
  interrupt  Interrupt what a notebook runs.
  stop       Stop notebooks and their kernels.
  trust      Show what a notebook would have installed, and approve it.
  env        Look at the environments that kernels run in.

Kernels:
  ps       List the running kernels.
  jupyter  Kernels outside of the daemon, with a connection file.

Daemon:
  status  Show the daemon, its pools and where its files are.
  logs    Show the end of the daemon's log, or follow it.
  doctor  Look for what is wrong with the daemon and its files.
  daemon  Start, stop and look at the daemon.

More:
  agent       Serve agents to clients outside a sandbox.
  completion  Print the script that completes commands in a shell.
"""
    )


@pytest.mark.parametrize("group", GROUPS)
def test_summaries_are_whole_lines(group: str) -> None:
    commands = help_of(group).partition("Commands:\n")[2].splitlines()
    assert commands
    for line in commands:
        name, _, summary = line.strip().partition("  ")
        assert summary.strip().endswith("."), f"{group} {name} is cut or wrapped"
        assert not summary.endswith("..."), f"{group} {name} is cut"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("notebok", "'notebooks'"),
        ("intrrupt", "'interrupt'"),
        ("daemon stauts", "'status' or 'start'"),
        ("jupyter consol", "'console'"),
        ("env claen", "'clean'"),
    ],
)
def test_a_command_that_is_nearly_spelt_is_named(typed: str, meant: str) -> None:
    result = CliRunner().invoke(runt, typed.split(), prog_name="runt")
    assert result.exit_code == 2
    assert f"Did you mean {meant}?" in result.output


def test_a_command_that_is_like_none_is_unknown() -> None:
    result = CliRunner().invoke(runt, ["xyz"], prog_name="runt")
    assert result.exit_code == 2
    assert result.output.endswith("Error: No such command 'xyz'.\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("version", "runt --version"),
        ("kill x", "runt stop"),
        ("rm", "runt stop"),
        ("attach", "runt jupyter console --notebook"),
        ("top", "runt ps"),
        ("daemon enable", "runt daemon install"),
        ("daemon disable", "runt daemon uninstall"),
    ],
)
def test_words_of_other_programs_are_understood(typed: str, meant: str) -> None:
    result = CliRunner().invoke(runt, typed.split(), prog_name="runt")
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.output


def test_every_such_word_leads_to_a_command_and_is_none_itself() -> None:
    for typed, meant in _WORDS.items():
        assert CliRunner().invoke(runt, [*typed.split()[1:], "--help"]).exit_code == 2
        words = [word for word in meant.split()[1:] if not word.startswith("-")]
        assert CliRunner().invoke(runt, [*words, "--help"]).exit_code == 0


@pytest.mark.parametrize("names", ["", "ps", "daemon", "daemon start", "jupyter console"])
def test_help_is_a_command_too(names: str) -> None:
    words = names.split()
    for typed in (["help", *words], [*words[:1], "help", *words[1:]]):
        if typed[0] == "ps":
            continue
        result = CliRunner().invoke(runt, typed, prog_name="runt", terminal_width=80)
        assert (result.exit_code, result.output) == (0, help_of(*words))


@pytest.mark.parametrize(
    ("typed", "told"),
    [("help xyz", "No such command 'xyz'."), ("help ps x", "'runt ps' has no commands.")],
)
def test_help_for_what_there_is_not_is_a_usage_error(typed: str, told: str) -> None:
    result = CliRunner().invoke(runt, typed.split(), prog_name="runt")
    assert result.exit_code == 2
    assert told in result.output


def test_the_version_has_a_short_option() -> None:
    long, short = (CliRunner().invoke(runt, [option]).output for option in ("--version", "-V"))
    assert long == short
    assert short.startswith("runt ")


def test_an_old_name_says_that_it_is_one() -> None:
    assert "Deprecated: use 'runt jupyter start'.\n" in help_of("start")
    result = CliRunner().invoke(runt, ["start"], prog_name="runt")
    assert result.exit_code == 2
    assert "Error: Name a kernel to start" in result.output
    assert result.output.endswith(" 'runt daemon start' starts the daemon.\n")
