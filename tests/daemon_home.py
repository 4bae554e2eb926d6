"""A daemon as a user starts it: a process of its own, in a home folder of its own.

The folder lies directly under /tmp and has a short name, since socket paths must stay short.
Packages come from the user's ordinary uv cache, so that a run does not download them again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from processes import carrying, wait_none_carrying
from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import CellSnapshot, NotebookDocument
from runtimed.document.storage import split_chunks
from runtimed.paths import Paths, default_paths

__all__ = ["MARKER", "DaemonHome"]

#: The environment variable that marks all that a test daemon starts; its value is the home folder.
MARKER = "RUNTIMED_TEST_HOME"

#: Seconds for a daemon to come up, and to go.
_START_LIMIT = 30.0
_STOP_LIMIT = 30.0

#: Variables that would lead a test to somebody's real daemon or settings.
_FOREIGN = ("RUNTIMED_", "CONDUCTOR_", "XDG_", "RUNT_", "JUPYTER_", "IPYTHON")


class DaemonHome:
    """A home folder, the daemon in it, and the environment in which programs find that daemon."""

    def __init__(self, *flags: str, environ: Mapping[str, str] | None = None) -> None:
        """Make the folder; nothing runs before `start`. `flags` are those of `runtimed run`."""
        self.home = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
        self.flags = flags
        self.env = _environment(self.home) | dict(environ or {})
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def paths(self) -> Paths:
        return default_paths(self.env)

    @property
    def socket(self) -> Path:
        return self.paths.socket

    @property
    def pid(self) -> int:
        """The process id of the running daemon."""
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def _output_file(self) -> Path:
        return self.home / "output"

    @property
    def log(self) -> str:
        """The daemon's log so far."""
        return self.paths.log.read_text() if self.paths.log.exists() else ""

    def saved_cells(self) -> dict[str, CellSnapshot]:
        """The cells of all documents as they are on the disk at this moment, by id."""
        found: dict[str, CellSnapshot] = {}
        for file in self.paths.documents.glob("*.automerge"):
            whole, _ = split_chunks(file.read_bytes())
            if whole:
                document = NotebookDocument.load(whole, daemon_actor())
                found |= {cell.id: cell for cell in document.cells()}
        return found

    def start(self) -> None:
        """Start the daemon and wait until it takes connections."""
        with self._output_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtimed", "run", *self.flags],
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_LIMIT
        while not self.paths.info.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the daemon did not come up:\n{self._output()}")
            time.sleep(0.01)

    def stop(self) -> int:
        """End the daemon with SIGTERM; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon with SIGKILL: what it started stays for the next one to find."""
        self._end(signal.SIGKILL)

    def start_after_kill(self) -> None:
        """Start the daemon that finds what a killed one has left."""
        self.paths.info.unlink()  # by which `start` sees that the new one is up
        self.start()

    def restart(self) -> None:
        """Stop the daemon and start another in the same home."""
        self.stop()
        self.start()

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command with this environment, such as `python -m runt_cli ps`, to its end."""
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command,
            **{
                "env": self.env,
                "cwd": self.home,
                "capture_output": True,
                "text": True,
                "timeout": 120,
            }
            | options,
        )

    def runt(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run `runt` with this environment, to its end."""
        return self.run(sys.executable, "-m", "runt_cli", *arguments, **options)

    def close(self) -> None:
        """End everything and remove the folder.

        Raises: AssertionError when the daemon did not end in order, or left a process running.
        """
        code = self.stop() if self.process is not None and self.process.poll() is None else 0
        output = self._output()
        left = wait_none_carrying(MARKER, str(self.home), _STOP_LIMIT)
        for process in carrying(MARKER, str(self.home)):
            process.kill()
        shutil.rmtree(self.home, ignore_errors=True)
        assert not left, f"left running: {left}"
        assert code == 0, f"the daemon ended with {code}:\n{output}"

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None, "not started"
        self.process.send_signal(number)
        try:
            return self.process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end:\n{self._output()}") from None

    def _output(self) -> str:
        return (self._output_file.read_text() if self._output_file.exists() else "")[-4000:]


def _environment(home: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return env | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "c"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or f"{cache}/uv",
        MARKER: str(home),
    }
