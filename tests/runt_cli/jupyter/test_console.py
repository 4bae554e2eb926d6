"""`runt jupyter console` in a real pseudo terminal and from a pipe, with real kernels."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from daemon_home import DaemonHome
from jupyter_kernels import Stranger
from processes import carrying, wait_none_carrying
from runt_cli.terminal import without_colour
from runtimed import Session
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.real

MARKER = "RUNT_CONSOLE_TEST"


class Terminal:
    """A console at a terminal; waits for what is to be seen there."""

    def __init__(self, child: pexpect.spawn[str]) -> None:
        self.child = child

    def see(self, text: str) -> None:
        """Wait until this is written, colours and cursor movements apart. It must be nothing that
        the terminal echoes while it is typed."""
        words = [re.escape(word) for word in text.split()]
        between = r"(?:\s|\x1b\[[0-9;?]*[a-zA-Z])+"
        self.child.expect(between.join(words), timeout=2 * LIMIT)

    def prompt(self, number: int | str) -> None:
        """Wait until an input is asked for, and everything before has been printed."""
        self.child.expect(rf"In \[{number}\]: ", timeout=2 * LIMIT)
        # Keys that come before the editor has the terminal would be echoed by it.
        self.child.expect(r"\x1b\[\?2004h|\x1b\[[0-9]*[DCK]", timeout=2 * LIMIT)

    def type(self, text: str) -> None:
        self.child.send(text + "\r")

    def answer(self, text: str) -> None:
        """Answer input(), at a terminal in its ordinary mode."""
        self.child.sendline(text)

    def key(self, letter: str) -> None:
        self.child.sendcontrol(letter)

    def ended(self) -> int | None:
        self.child.expect(pexpect.EOF, timeout=2 * LIMIT)
        self.child.close()
        status: int | None = self.child.exitstatus
        return status


@contextmanager
def terminal(*arguments: str, env: Mapping[str, str], cwd: Path) -> Iterator[Terminal]:
    command = ["-m", "runt_cli", "jupyter", "console", *arguments]
    child = pexpect.spawn(
        sys.executable,
        command,
        env={**env, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        cwd=cwd,
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(40, 120),
    )
    try:
        yield Terminal(child)
    finally:
        child.close(force=True)


@pytest.fixture
def env(tmp_path: Path, stranger: Stranger) -> Iterator[dict[str, str]]:
    variables = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("RUNT", "XDG_", "TMUX"))},
        "HOME": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(stranger.folder),
        "RUNTIMED_SOCKET_PATH": str(tmp_path / "none.sock"),
        MARKER: str(tmp_path),
    }
    try:
        yield variables
        assert wait_none_carrying(MARKER, str(tmp_path), LIMIT) == []
    finally:
        for process in carrying(MARKER, str(tmp_path)):
            process.kill()


def _piped(code: str, *arguments: str, env: Mapping[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "runt_cli", "jupyter", "console", *arguments],
        input=code,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_person_at_a_kernel(env: dict[str, str], tmp_path: Path, stranger: Stranger) -> None:
    """One walk through everything, since a kernel and a terminal take their time to come up."""
    env["JUPYTER_RUNTIME_DIR"] = str(tmp_path / "runtime")
    command = f"'{sys.executable}' -m ipykernel_launcher -f '{{connection_file}}'"
    with terminal("--cmd", command, env=env, cwd=tmp_path) as person:
        person.prompt(1)
        person.type("6 * 7")
        person.see("Out[1]: 42")
        person.prompt(2)
        person.type("def twice_of_it(x):")
        person.see("...:")
        person.type("return 2 * x")  # indented by the kernel's advice
        person.see("...:")
        person.type("")
        person.prompt(3)
        person.child.send("twic\t")
        person.see("e_of_it")
        person.type("(21)")
        person.see("Out[3]: 42")
        person.prompt(4)
        person.type("import time; print('a' + 'wake'); time.sleep(600)")
        person.see("awake")
        person.key("c")
        person.see("KeyboardInterrupt")
        person.prompt(5)
        person.type("input('na' + 'me? ') + '!'")
        person.see("name? ")
        person.answer("Ada")
        person.see("Out[5]: 'Ada!'")
        person.prompt(6)
        person.type("import getpass; len(getpass.getpass('wo' + 'rd? '))")
        person.see("word? ")
        person.answer("hidden-word")
        person.see("Out[6]: 11")
        assert "hidden-word" not in person.child.before
        person.prompt(7)
        person.child.send("half")
        person.key("c")  # drops what was typed
        person.prompt(7)
        person.type("import os; os._exit(7)")
        person.see("has ended.")
        person.see("Shutting down kernel... Done.")
        assert person.ended() == 1
    assert list((tmp_path / "runtime").iterdir()) == []
    history = tmp_path / ".cache" / "runt" / "console-history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "twice_of_it(21)" in history.read_text()
    assert "hidden-word" not in history.read_text()


def test_others_are_seen_at_a_kernel_that_goes_on(
    env: dict[str, str], tmp_path: Path, stranger: Stranger
) -> None:
    with terminal("--existing", "0ab1", env=env, cwd=tmp_path) as person:
        person.prompt(r"\d+")
        exec_it = [sys.executable, "-m", "runt_cli", "jupyter", "exec", "0ab1", "print('me too')"]
        subprocess.run(exec_it, env=env, check=True, timeout=60)
        person.see("print('me too')")
        person.see("[other] me too")
        person.key("d")
        assert person.ended() == 0
    assert stranger.wait("idle").pid == stranger.process.pid


def test_a_pipe_is_run_up_to_the_first_error(env: dict[str, str]) -> None:
    code = "x = 6\ndef f():\n    return x * 7\n\nf()\nprint('hi')\n1 / 0\nprint('never')\n"
    returned, out, err = _piped(code, "--existing", "0ab1", env=env)
    assert (returned, out) == (1, "42\nhi\n")
    assert without_colour(err).endswith("ZeroDivisionError: division by zero\n")
    assert _piped("print('fine')", "--existing", "0ab1", env=env) == (0, "fine\n", "")


def test_a_pipe_is_answered_while_it_is_open(env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "runt_cli", "jupyter", "console", "--existing", "0ab1"]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("1 + 1\n")
        process.stdin.flush()
        assert process.stdout.readline() == "2\n"
        process.stdin.write("import time; print('on'); time.sleep(600)\n")
        process.stdin.flush()
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Error: Provide a kernel name or --cmd, or one of --existing and --notebook."),
        (("python3", "--cmd", "x"), "Error: Provide a kernel name or --cmd"),
        (("--cmd", "python"), "Error: --cmd has no {connection_file} in it."),
        (("--cmd", "'"), "Error: --cmd can't be read: No closing quotation."),
        (("nix",), "Error: Kernel 'nix' not found. Available kernels: ["),
        (("--existing", "gone"), "Error: No such kernel: gone"),
        (("--notebook", "gone"), "Notebook not found: gone."),
    ],
)
def test_what_is_not_there_is_said(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from runt_cli import main

    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(tmp_path / "none.sock"))
    monkeypatch.setattr(sys, "argv", ["runt", "jupyter", "console", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (1, 2)
    assert message in capsys.readouterr().err


def test_a_person_in_a_room(
    daemon_home: DaemonHome, session_factory: Callable[..., Session], tmp_path: Path
) -> None:
    """What is typed becomes cells that others see; what others run is shown."""
    peer = session_factory()
    peer.start_kernel()
    peer.run("before = 1")
    env = {**daemon_home.env, "RUNTIMED_SOCKET_PATH": str(daemon_home.socket)}
    with terminal("--notebook", peer.notebook_id, env=env, cwd=tmp_path) as person:
        person.prompt(r"[ \d]+")
        person.type("before + 41")
        person.see("Out[2]: 42")
        person.prompt(3)
        typed = next(cell for cell in peer.get_cells() if cell.source == "before + 41")
        wait_until(lambda: peer.get_cell(typed.id).outputs)
        assert json.dumps(peer.get_cell(typed.id).outputs[0].data) == '{"text/plain": "42"}'
        peer.run("print('from the peer')")
        person.see("[other] In [3]: print('from the peer')")
        person.see("[other] from the peer")
        person.prompt(4)
        person.type("input('wh' + 'ich? ')")
        person.see("which? ")
        person.answer("this")
        person.see("Out[4]: 'this'")
        person.prompt(5)
        person.type("for n in [1]:")
        person.see("...:")
        person.type("import time; print('a' + 'wake'); time.sleep(600)")
        person.see("...:")
        person.type("")
        person.see("awake")
        person.key("c")
        person.see("KeyboardInterrupt")
        person.prompt(6)
        person.key("d")
        assert person.ended() == 0
    assert peer.run("before").success  # the kernel was there before, and is
