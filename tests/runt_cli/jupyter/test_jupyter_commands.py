"""`runt jupyter ...` with real kernels: whole outputs, as a user sees them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_kernels import Stranger, write
from pool_server import pool_server
from processes import carrying, wait_none_carrying
from runt_cli import main
from runtimed.protocol import pool

pytestmark = pytest.mark.real

MARKER = "RUNT_JUPYTER_TEST"


class Home:
    """An environment without a daemon, with a runtime folder of its own."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.runtime = runtime
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("RUNT", "XDG_"))},
            "HOME": str(folder),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "RUNTIMED_SOCKET_PATH": str(folder / "none.sock"),
            MARKER: str(folder),
        }
        self.folder = folder

    def popen(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [sys.executable, "-m", "runt_cli", "jupyter", *arguments],
            **{
                "env": self.env,
                "cwd": self.folder,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
            }
            | options,
        )

    def runt(self, *arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command."""
        with self.popen(*arguments, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(stdin, timeout=120)
        return process.returncode, out, err


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path, tmp_path / "runtime")
    try:
        yield made
        assert wait_none_carrying(MARKER, str(tmp_path), 30) == []
    finally:
        for process in carrying(MARKER, str(tmp_path)):
            process.kill()


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs `runt` in this process, for what starts no kernel: `here("jupyter", "ps")`."""
    for name in ("HOME", "JUPYTER_RUNTIME_DIR", "RUNTIMED_SOCKET_PATH"):
        monkeypatch.setenv(name, home.env[name])

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["runt", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def visitor(tmp_path: Path, stranger: Stranger) -> Home:
    """Sees the kernel that somebody else started."""
    return Home(tmp_path, stranger.folder)


def test_a_kernel_lives_from_start_to_stop(home: Home) -> None:
    code, out, err = home.runt("start", "python3")
    assert (code, err) == (0, "")
    found = re.fullmatch(r"Kernel started with ID: (\w+-\w+)\nConnection file: (.+)\n", out)
    assert found is not None
    name, file = found.groups()
    assert file == str(home.runtime / f"runt-kernel-{name}.json")
    (kernel,) = json.loads(home.runt("ps", "--json")[1])
    assert kernel == {
        "name": name,
        "language": "python",
        "status": "alive",
        "source": "jupyter",
        "notebook": None,
        "connection_file": file,
        "pid": kernel["pid"],
        "state": kernel["state"],
        "kernel_name": "python3",
        "notebook_id": None,
        "kernel_id": name,
        "kernel_pid": kernel["pid"],
        "kernel_type": "python",
        "kernel_status": kernel["state"],
    }
    assert psutil.Process(kernel["pid"]).terminal() is None
    assert home.runt("exec", name, "import os; print(os.getcwd())")[1] == f"{home.folder}\n"
    code, out, err = home.runt("interrupt", name, "--json")
    assert (code, json.loads(out), err) == (0, {"kernel_id": name, "interrupted": True}, "")
    code, out, err = home.runt("stop", name[:-1])
    assert (code, out, err) == (0, f"Kernel with ID {name} stopped\n", "")
    assert carrying(MARKER, str(home.folder)) == []
    assert list(home.runtime.iterdir()) == []


def test_an_interrupt_ends_a_kernel_that_starts(
    home: Home, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = home.folder / "kernels/deaf/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text('{"argv": ["sleep", "1000"], "display_name": "Deaf"}')
    monkeypatch.setenv("JUPYTER_PATH", str(home.folder))
    monkeypatch.setenv(MARKER, str(home.folder))
    monkeypatch.chdir(home.folder)
    popen = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> Any:
        """At the worst moment: it runs, and nobody knows yet."""
        process = popen(*arguments, **options)
        if arguments[0][0] == "sleep":
            os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr("runtimed.jupyter.starting.subprocess.Popen", interrupted)
    assert here("jupyter", "start", "deaf") == (130, "", "\n")
    assert carrying(MARKER, str(home.folder)) == []
    assert list(home.runtime.iterdir()) == []


def test_without_kernels_every_command_says_so(home: Home, here: Here) -> None:
    assert here("jupyter", "ps") == (0, "No running kernels found.\n", "")
    assert here("jupyter", "ps", "--json") == (0, "[]\n", "")
    assert here("jupyter", "stop", "--all") == (0, "No running kernels found.\n", "")
    assert here("jupyter", "stop", "--all", "--json") == (0, "[]\n", "")
    for arguments in (("stop",), ("stop", "--all", "x"), ("start",), ("start", "--list", "x")):
        code, out, err = here("jupyter", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith(f"Usage: runt jupyter {arguments[0]} ")
    for command in (("stop", "x"), ("interrupt", "x"), ("exec", "x", "1")):
        assert here("jupyter", *command) == (1, "", "Error: No such kernel: x\n")
    code, out, err = here("jupyter", "start", "nix")
    assert (code, out) == (1, "")
    assert err.startswith("Error: Kernel 'nix' not found. Available kernels: [")
    assert not home.runtime.exists()


def test_files_of_the_dead_are_counted_and_cleaned(home: Home, here: Here) -> None:
    home.runtime.mkdir()
    path = write(home.runtime, "runt-kernel-old-oak.json")
    note = "1 connection file of dead kernels; 'runt jupyter clean' removes them.\n"
    assert here("jupyter", "ps") == (0, "No running kernels found.\n", note)
    os.utime(path, (1000, 1000))
    code, out, err = here("jupyter", "clean", "--dry-run", "--json")
    told = {"removed": [str(path)], "alive": 0, "errors": [], "dry_run": True}
    assert (code, json.loads(out), err) == (0, told, "")
    dry = f"Would remove: {path}\nDry run complete: 1 stale, 0 alive, 0 errors\n"
    assert here("jupyter", "clean", "--dry-run") == (0, dry, "")
    done = f"Removed: {path}\nCleaned 1 stale connection file (0 alive, 0 errors)\n"
    assert here("jupyter", "clean") == (0, done, "")


def test_a_kernel_that_is_not_there_is_stopped_as_json(home: Home, here: Here) -> None:
    home.runtime.mkdir()
    write(home.runtime, "runt-kernel-old-oak.json")
    code, out, err = here("jupyter", "stop", "old", "--json")
    told = [{"kernel_id": "old-oak", "stopped": False, "error": None}]
    assert (code, json.loads(out), err) == (0, told, "")


def test_the_installed_kernels_are_listed(
    home: Home, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = here("jupyter", "start", "--list", "--json")
    assert (code, err) == (0, "")
    (python,) = [spec for spec in json.loads(out) if spec["name"] == "python3"]
    assert python.keys() == {"name", "language", "display_name", "folder"}
    header, *rows = here("jupyter", "start", "--list")[1].splitlines()
    assert header.split() == ["NAME", "LANGUAGE", "DISPLAY", "NAME", "FOLDER"]
    assert any(row.split()[:2] == ["python3", "python"] for row in rows)

    monkeypatch.setattr("runtimed.jupyter.kernelspecs.data_folders", lambda environ: [])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    hint = "'pip install ipykernel' installs python3\n"
    assert here("jupyter", "start", "--list") == (0, f"No kernel is installed. {hint}", "")
    assert here("jupyter", "start", "python3") == (
        1,
        "",
        f"Error: Kernel 'python3' not found. Available kernels: [none]. {hint}",
    )


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("interrupt",), "interrupt"),
        (("stop",), "stop"),
        (("exec",), "jupyter console --notebook"),
    ],
)
def test_who_means_a_notebook_is_told_its_command(
    home: Home, here: Here, tmp_path: Path, command: tuple[str, ...], instead: str
) -> None:
    (tmp_path / "neu.ipynb").write_text("{}")
    path = str(tmp_path / "neu.ipynb")
    for name in (path, "~/neu.ipynb", "neu.ipynb"):
        line = f"{name} is a notebook's: use 'runt {instead} {shlex.quote(name)}'\n"
        assert here("jupyter", *command, name) == (1, "", line)
    room = pool.RoomInfo("0b2f-untitled", 1, True, kernel_id="cafe0001", kernel_status="idle")
    with pool_server(tmp_path / "none.sock", lambda request: pool.RoomsList([room])):
        for name in ("0b2f-untitled", "cafe"):
            line = f"{name} is a notebook's: use 'runt {instead} {name}'\n"
            assert here("jupyter", *command, name) == (1, "", line)
        (told,) = json.loads(here("jupyter", "ps", "--json")[1])
    assert told == {
        "name": "0b2f-untitled",
        "language": None,
        "status": "idle",
        "source": "runtimed",
        "notebook": "0b2f-untitled",
        "pid": None,
        "state": "idle",
        "kernel_name": None,
        "notebook_id": "0b2f-untitled",
        "kernel_id": "cafe0001",
        "kernel_pid": None,
        "kernel_type": None,
        "kernel_status": "idle",
    }


def test_exec_prints_all_that_comes(visitor: Home) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7"
    assert visitor.runt("exec", "0ab", stdin=code) == (0, "out\n42\n", "err\n")
    returned, out, err = visitor.runt("exec", "0ab", "print('first'); 1 / 0")
    assert (returned, out) == (1, "first\n")
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_exec_ends_at_an_interrupt_from_elsewhere_and_from_here(visitor: Home) -> None:
    for end in ("elsewhere", "here"):
        code = "print('on', flush=True)\nimport time; time.sleep(600)"
        with visitor.popen("exec", "0ab1", code) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "on\n"
            if end == "here":
                process.send_signal(signal.SIGINT)
            else:
                sent = "Interrupt sent to kernel 0ab1\n"
                assert visitor.runt("interrupt", "0ab1") == (0, sent, "")
            _, err = process.communicate(timeout=60)
            assert process.returncode == (130 if end == "here" else 1), err
            assert ("KeyboardInterrupt" in err) == (end == "elsewhere")
    assert visitor.runt("exec", "0ab1", "print('fine')") == (0, "fine\n", "")


def test_old_names_warn_first(here: Here) -> None:
    for old, new, arguments in (
        ("stop-kernel", "stop", ("--all",)),
        ("clean", "clean", ()),
        ("start", "start", ("nix",)),
        ("console", "console", ("nix",)),
    ):
        _, _, err = here(old, *arguments)
        warning = f"Warning: 'runt {old}' is deprecated. Use 'runt jupyter {new}' instead.\n"
        assert err.startswith(warning)
