"""`runt run` and `runt exec` end to end: a real daemon, real kernels, what a user sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat as untyped_nbformat
import pytest

from daemon_home import DaemonHome

pytestmark = pytest.mark.real

nbformat: Any = untyped_nbformat
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


def _notebook(path: Path, *sources: str, tags: dict[int, list[str]] | None = None) -> Path:
    cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": (tags or {}).get(number, [])})
        for number, source in enumerate(sources)
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def _read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_the_quickstart_prints_its_outputs(daemon_home: DaemonHome) -> None:
    before = QUICKSTART.read_bytes()
    done = daemon_home.runt("run", "--env", "uv:prewarmed", str(QUICKSTART))
    assert done.returncode == 0, done.stderr
    assert done.stderr == "that was stdout, this is stderr\n"
    lines = done.stdout.splitlines()
    assert lines[1:6] == [
        "step 1 of 3",
        "step 2 of 3",
        "step 3 of 3",
        "78,498 primes, the largest is 999,983",
        "[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]",
    ]
    assert lines[-2:] == ["Grüße, 世界, 🎈", "24133"]
    assert QUICKSTART.read_bytes() == before


def test_streams_arrive_byte_for_byte_where_they_were_written(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    notebook = _notebook(
        tmp_path / "n.ipynb",
        "import sys\nprint('a\\tb  ', end='')\n_ = sys.stdout.write('\\x1b[31mred\\x1b[0m\\n\\n')",
        "print('to stderr', file=sys.stderr)",
        "for n in range(2000): print('line', n)",
        "print('no newline at the end', end='')",
    )
    done = daemon_home.runt("run", str(notebook))
    expected = "a\tb  \x1b[31mred\x1b[0m\n\n" + "".join(f"line {n}\n" for n in range(2000))
    assert (done.returncode, done.stderr) == (0, "to stderr\n")
    assert done.stdout == expected + "no newline at the end"


def test_rich_results_are_text_and_images_are_notes(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    pixel = (
        "import base64\nfrom IPython.display import Image\nImage(base64.b64decode('"
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
        "AAAADUlEQVR42mNk"
        "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='))"
    )
    notebook = _notebook(tmp_path / "n.ipynb", "{'a': 1}", pixel)
    done = daemon_home.runt("run", str(notebook))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{'a': 1}\n[image/png 1x1, 70 bytes]\n"


def test_a_failing_cell_ends_the_run_with_its_traceback(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "print('one')", "1 / 0", "print('three')")
    done = daemon_home.runt("run", str(notebook))
    assert (done.returncode, done.stdout) == (1, "one\n")
    assert "----> 1 1 / 0" in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines()[-2:] == [
        "ZeroDivisionError: division by zero",
        "Error: cell 2 of 3 failed: ZeroDivisionError: division by zero (1 not run)",
    ]


def test_a_tagged_cell_may_fail_and_allow_errors_forgives_all(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    sources = ("1 / 0", "print('after')")
    tagged = _notebook(tmp_path / "t.ipynb", *sources, tags={0: ["raises-exception"]})
    done = daemon_home.runt("run", str(tagged))
    assert (done.returncode, done.stdout) == (0, "after\n")
    assert "ZeroDivisionError" in done.stderr
    plain = _notebook(tmp_path / "p.ipynb", *sources)
    done = daemon_home.runt("run", str(plain), "--allow-errors")
    assert (done.returncode, done.stdout) == (0, "after\n")


def test_save_keeps_the_outputs_in_the_file(daemon_home: DaemonHome, tmp_path: Path) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "print('hi')\n6 * 7", "raise ValueError('x')")
    assert daemon_home.runt("run", str(notebook), "--save").returncode == 1
    first, second = _read(notebook).cells
    assert first.execution_count == 1
    assert [output.output_type for output in first.outputs] == ["stream", "execute_result"]
    assert first.outputs[0].text == "hi\n"
    assert second.outputs[0].ename == "ValueError"


def test_output_leaves_the_original_alone(daemon_home: DaemonHome, tmp_path: Path) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "print('hi')")
    before = notebook.read_bytes()
    done = daemon_home.runt("run", "n.ipynb", "--output", "out.ipynb", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"Saved {tmp_path / 'out.ipynb'}\n")
    assert notebook.read_bytes() == before
    assert _read(tmp_path / "out.ipynb").cells[0].outputs[0].text == "hi\n"


def test_json_is_one_document(daemon_home: DaemonHome, tmp_path: Path) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "print('hi')\n6 * 7", "1 / 0", "2")
    done = daemon_home.runt("run", str(notebook), "--json")
    assert done.returncode == 1
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["notebook"] == str(notebook)
    assert report["outcome"] == "error"
    assert report["env_source"] == "uv:prewarmed"
    assert report["saved"] is None
    assert 0 <= report["kernel_start"] <= report["duration"]
    first, second, third = report["cells"]
    assert first["outcome"] == "ok"
    assert first["duration"] > 0
    assert first["outputs"] == [
        {"output_type": "stream", "name": "stdout", "text": "hi\n"},
        {
            "output_type": "execute_result",
            "data": {"text/plain": "42"},
            "metadata": {},
            "execution_count": 1,
        },
    ]
    assert (second["outcome"], second["reason"]) == (
        "error",
        "ZeroDivisionError: division by zero",
    )
    assert (third["outcome"], third["duration"], third["outputs"]) == ("not_run", None, [])


def test_a_cell_that_runs_too_long_is_given_up(daemon_home: DaemonHome, tmp_path: Path) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "import time; time.sleep(60)", "print('never')")
    done = daemon_home.runt("run", str(notebook), "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "Error: cell 1 of 2 failed: still running after 0.5 seconds (1 not run)"
    )


def test_a_kernel_that_dies_ends_the_run(daemon_home: DaemonHome, tmp_path: Path) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "import os; os._exit(7)", "print('never')")
    done = daemon_home.runt("run", str(notebook), "--allow-errors")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("Error: cell 1 of 2 failed: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "content", ["", "not json {", "[1, 2]", '{"nbformat": 9, "cells": []}', None]
)
def test_what_is_no_notebook_is_one_clear_line(
    daemon_home: DaemonHome, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "bad.ipynb"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    done = daemon_home.runt("run", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_a_run_quietly_and_stops_the_kernel(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    notebook = _notebook(
        tmp_path / "n.ipynb", "print('begun', flush=True)\nimport time; time.sleep(60)"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "runt_cli", "run", str(notebook)],
        env=daemon_home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == ""
    assert err.strip() in ("", "KeyboardInterrupt:")
    kernels = json.loads(daemon_home.runt("ps", "--json").stdout)
    assert str(notebook) not in [kernel["notebook_id"] for kernel in kernels]


def test_a_reader_that_leaves_ends_the_command_quietly(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    notebook = _notebook(tmp_path / "n.ipynb", "for n in range(100_000): print(n)")
    command = f"{sys.executable} -m runt_cli run {notebook} | head -n 1"
    done = daemon_home.run("bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}")
    assert done.stdout == "0\n"
    assert done.stderr == ""
    assert done.returncode != 0


def test_exec_runs_code_from_the_command_line_and_from_stdin(daemon_home: DaemonHome) -> None:
    done = daemon_home.runt("exec", "print('a')\n6 * 7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\n42\n", "")
    done = daemon_home.runt("exec", "-", input="print('grüße')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "grüße\n", "")


def test_exec_runs_in_the_current_folder(daemon_home: DaemonHome, tmp_path: Path) -> None:
    done = daemon_home.runt("exec", "import os\nprint(os.getcwd())", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}\n", "")


def test_exec_fails_when_the_code_does(daemon_home: DaemonHome) -> None:
    done = daemon_home.runt("exec", "nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "NameError: name 'nonsense' is not defined"


def test_exec_of_a_file_s_name_says_how_a_file_is_run_and_leaves_nothing_open(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    (tmp_path / "nofile.py").write_text("1")
    done = daemon_home.runt("exec", "nofile.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "nofile.py is a file. To run what is in it: runt exec - < nofile.py"
    )
    open_ones = json.loads(daemon_home.runt("notebooks", "--json").stdout)
    assert not [room for room in open_ones if room["path"] is None]


@pytest.mark.parametrize("command", ["ps", "exec 'print(1)'", "ps --json"])
def test_a_closed_stdout_is_one_that_nobody_reads(daemon_home: DaemonHome, command: str) -> None:
    done = daemon_home.run("bash", "-c", f"{sys.executable} -m runt_cli {command} >&- <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_in_a_notebook_that_is_stopped_says_so(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    notebook = _notebook(
        tmp_path / "n.ipynb", "import time\nprint('begun', flush=True)\ntime.sleep(600)"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "runt_cli", "run", str(notebook)],
        env=daemon_home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    daemon_home.runt("stop", str(notebook))
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (
        1,
        "Error: The notebook was stopped by somebody while it was run\n",
    )


def test_output_comes_while_the_cell_runs(daemon_home: DaemonHome, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = (
        "import pathlib, time\nprint('now', flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\nprint('later')"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "runt_cli", "exec", code],
        env=daemon_home.env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    assert running.stdout is not None
    first = os.read(running.stdout.fileno(), 100)
    go.touch()
    rest, _ = running.communicate(timeout=60)
    assert (first, rest) == (b"now\n", b"later\n")
