"""Every example in the help of `runt jupyter ...`, run as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon_home import DaemonHome
from jupyter_kernels import Stranger, write
from runt_cli.root import runt

pytestmark = pytest.mark.real

#: In an order in which each finds what it needs: `stop --all` ends what `start` has started.
COMMANDS = ("ps", "start", "exec", "interrupt", "console", "stop", "clean")


def _examples(command: str) -> list[str]:
    lines = CliRunner().invoke(runt, ["jupyter", command, "--help"]).output.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.strip() == "Examples:")
    return [line.strip() for line in lines[begin + 1 :] if "runt jupyter" in line]


def test_every_example_works_as_it_stands(
    tmp_path: Path, stranger: Stranger, daemon_home: DaemonHome
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    # The kernel of the examples answers under this name, too.
    otter = runtime / "kernel-brave-otter.json"
    otter.write_bytes(stranger.path.read_bytes())
    (tmp_path / "script.py").write_text("print(6 * 7)")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {
        **daemon_home.env,
        "PATH": programs,
        "RUNTIMED_SOCKET_PATH": str(daemon_home.socket),
        "JUPYTER_RUNTIME_DIR": str(runtime),
    }
    for command in COMMANDS:
        if command == "stop":
            write(runtime, otter.name)  # it is not ours to stop
        examples = _examples(command)
        assert examples
        for example in examples:
            done = subprocess.run(
                ["bash", "-c", example],
                env=env,
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, (example, done.stderr)
            if "6 * 7" in example or "script.py" in example:
                assert done.stdout == "42\n"
    assert list(runtime.iterdir()) == []
