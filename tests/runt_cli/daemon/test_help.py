from __future__ import annotations

import pytest
from click.testing import CliRunner

from runt_cli.root import runt


@pytest.mark.parametrize(
    "command",
    [
        "daemon install",
        "daemon uninstall",
        "daemon start",
        "daemon stop",
        "daemon restart",
        "daemon list-worktrees",
        "dev worktrees",
        "dev clean",
    ],
)
def test_a_command_that_controls_daemons_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(runt, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "\n  Example" in done.output
    assert f"runt {command}" in done.output.partition("Example")[2]
