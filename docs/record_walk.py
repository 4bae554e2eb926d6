"""Types the commands of the walk into a real terminal (tmux), and keeps what it showed as text.

    python docs/record_walk.py > docs/terminal-walk.md

Works on a copy of the tree, with a home folder of its own, and leaves nothing running. Where no
service manager runs, the tests' stand-in for systemd's does what the unit file says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
PROMPT = "ada$ "
SIZE = (96, 30)

INTRODUCTION = """\
# A walk in the terminal

From installing to uninstalling, as a terminal of 96 columns showed it. `docs/record_walk.py` types
the commands and keeps what comes; nothing here is written by hand. It was recorded where no service
manager runs: `systemctl` is the tests' stand-in, which starts, restarts and stops what the unit
file says.
"""

#: Its second cell counts for a minute.
CELLS = ("import time", "for second in range(60):\n    time.sleep(1)\nsecond")


#: The daemon's process, out of what `runt status --json` prints.
PID = """python -c 'import json, sys; print(json.load(sys.stdin)["daemon_info"]["pid"])'"""


class Terminal:
    """A shell in a tmux of its own."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._socket = folder / "tmux"
        self._environ = environ
        rc = folder / "rc"
        rc.write_text(f"PS1='{PROMPT}'\nunset PROMPT_COMMAND\nset +o histexpand\n")
        self._tmux("-f", "/dev/null", "start-server", ";", "set", "-g", "history-limit", "50000",
                   ";", "new-session", "-d", "-x", str(SIZE[0]), "-y", str(SIZE[1]),
                   f"cd ~ && exec bash --noprofile --rcfile {rc} -i")  # fmt: skip
        self._wait(PROMPT)

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            env=self._environ, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def text(self) -> str:
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def _last(self) -> str:
        lines = self.text().rstrip("\n").split("\n")
        return lines[-1] if lines else ""

    def _wait(self, end: str, limit: float = 180.0) -> None:
        """Until the last line that has something on it ends so."""
        give_up = time.monotonic() + limit
        while not self._last().rstrip().endswith(end.rstrip()):
            if time.monotonic() > give_up:
                raise SystemExit(f"waited for {end!r}:\n{self.text()}")
            time.sleep(0.1)
        time.sleep(0.2)

    def type(self, line: str, *, until: str = PROMPT, pause: float = 0.0) -> None:
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")
        time.sleep(0.4)
        self._wait(until)
        time.sleep(pause)

    def key(self, name: str, *, until: str = PROMPT) -> None:
        self._tmux("send-keys", name)
        time.sleep(0.4)
        self._wait(until)

    def close(self) -> None:
        self._tmux("kill-server")


def stand_in(home: Path) -> None:
    tools = home / ".tools"
    tools.mkdir()
    program = tools / "systemctl"
    script = ROOT / "tests" / "stand_in_systemctl.py"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    program.chmod(0o755)


def walk(terminal: Terminal) -> None:
    say = terminal.type
    say("# Install")
    say("python3 -m venv venv && venv/bin/pip install -q ./runtimed && . venv/bin/activate")
    say("runt daemon install")
    say("runt daemon status")
    say("# Run")
    say("runt run runtimed/examples/quickstart.ipynb --env uv:prewarmed")
    say("runt exec 'print(6 * 7)'")
    say("# Look: a notebook that takes its time, in the background")
    say("runt run long.ipynb --env uv:prewarmed > long.txt 2>&1 &", pause=4)
    say("runt ps")
    say("runt notebooks")
    say("runt inspect long.ipynb")
    say("# Interrupt")
    say("runt interrupt long.ipynb", pause=1)
    say("cat long.txt")
    say("# Work with the others in it, from a terminal")
    say("runt jupyter console --notebook long.ipynb", until="]:")
    say("total = sum(range(10)); total", until="]:")
    terminal.key("C-d")
    say("runt inspect long.ipynb")
    say("# Debug")
    say("runt logs -n 4")
    say(f"kill -9 $(runt status --json | {PID})", pause=2)
    say("runt daemon ping || sleep 8; runt daemon ping")
    say("runt notebooks")
    say("runt doctor; echo $?")
    say("# Leave")
    say("runt stop --all")
    say("runt env list")
    say("runt daemon uninstall")
    say("runt daemon ping; echo $?")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="walk") as folder:
        home = Path(folder) / "ada"
        home.mkdir()
        left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*cache")
        shutil.copytree(ROOT, home / "runtimed", ignore=left_out)
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), home / "long.ipynb")
        stand_in(home)
        environ = {
            "HOME": str(home),
            "PATH": f"{home}/.tools:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "STAND_IN_STATE": str(Path(folder) / "manager"),
            "NO_COLOR": "1",
            "VIRTUAL_ENV_DISABLE_PROMPT": "1",
        }
        network = ("PIP_", "UV_", "SSL_")
        environ |= {name: os.environ[name] for name in os.environ if name.startswith(network)}
        terminal = Terminal(Path(folder), environ)
        try:
            walk(terminal)
            text = terminal.text()
        finally:
            terminal.close()
    text = text.replace(str(home), "/home/ada")
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    print(INTRODUCTION)
    print("```console")
    print(re.sub(r"\n{3,}", "\n\n", text).strip())
    print("```")


if __name__ == "__main__":
    main()
