"""`runt trust`: what would be installed, shown to the last letter, and approved."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from daemon_home import DaemonHome
from runt_cli.root import runt
from runt_cli.trust_report import harmless

BLOCK = '# /// script\n# dependencies = ["six"]\n# ///\n'


def write(path: Path, runt_metadata: dict[str, Any] | None = None, *sources: str) -> Path:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources or ("x = 1",))
    ]
    metadata = {} if runt_metadata is None else {"runt": {"schema_version": "1", **runt_metadata}}
    value = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_bytes(orjson.dumps(value))
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a daemon."""
    for name in list(os.environ):
        if name.startswith(("RUNTIMED_", "CONDUCTOR_", "XDG_", "RUNT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(tmp_path / "no.sock"))
    return tmp_path


def trust(*arguments: object) -> Result:
    return CliRunner().invoke(runt, ["trust", *map(str, arguments)])


def test_it_shows_everything_and_refuses_to_approve_unasked(home: Path) -> None:
    metadata = {
        "uv": {"dependencies": ["reqeusts>=2", "numpy"], "requires-python": ">=3.10"},
        "conda": {"dependencies": ["scipy"], "channels": ["bioconda", "conda-forge"]},
    }
    path = write(home / "n.ipynb", metadata, BLOCK)
    before = path.read_bytes()
    done = trust(path)
    assert done.exit_code == 1
    assert done.stdout == (
        "~/n.ipynb\n"
        "  not trusted: nobody has approved it on this machine\n"
        "With uv:\n"
        "  reqeusts>=2   LOOKS LIKE requests, but is not\n"
        "  numpy\n"
        "With conda, from bioconda, conda-forge:\n"
        "  scipy\n"
        "With uv, from its script block:\n"
        "  six\n"
        "Constraints: requires-python >=3.10\n"
    )
    assert done.stderr == "Not approved: pass --yes to approve it without being asked\n"
    assert path.read_bytes() == before


def test_what_is_approved_stays_so_until_it_changes(home: Path) -> None:
    path = write(home / "n.ipynb", {"uv": {"dependencies": ["numpy"]}}, BLOCK)
    done = trust(path, "--yes")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "Approved.")
    assert "  trusted: approved on this machine\n" in trust(path).stdout
    file = json.loads(path.read_bytes())
    assert file["metadata"]["runt"]["trust_signature"].startswith("hmac-sha256:")
    assert "".join(file["cells"][0]["source"]) == BLOCK
    file["metadata"]["runt"]["uv"]["dependencies"].append("evil")
    path.write_text(json.dumps(file))
    done = trust(path)
    assert done.exit_code == 1
    assert "its dependencies were changed since they were approved" in done.stdout


def test_nothing_but_the_signature_is_changed_in_the_file(home: Path) -> None:
    path = write(home / "n.ipynb", {"uv": {"dependencies": ["numpy"], "x": 1.50}, "y": [2]})
    trust(path, "--yes")
    first = path.read_bytes()
    file = json.loads(first)
    runt_metadata = file["metadata"]["runt"]
    assert runt_metadata.pop("trust_timestamp")
    assert runt_metadata.pop("trust_signature")
    assert runt_metadata == {
        "schema_version": "1",
        "uv": {"dependencies": ["numpy"], "x": 1.50},
        "y": [2],
    }
    trust(path, "--yes")
    assert path.read_bytes() == first


def test_lists_at_the_top_of_the_metadata_are_shown_and_signed(home: Path) -> None:
    path = write(home / "n.ipynb")
    file = json.loads(path.read_bytes())
    file["metadata"] = {"uv": {"dependencies": ["evil"]}, "runt": {"uv": {"dependencies": []}}}
    path.write_text(json.dumps(file))
    assert "  evil\n" in trust(path).stdout
    assert trust(path, "--yes").exit_code == 0
    assert json.loads(trust(path, "--json").stdout)["status"] == "trusted"
    runt_metadata = json.loads(path.read_bytes())["metadata"]["runt"]
    assert runt_metadata["uv"] == {"dependencies": ["evil"]}


def test_json_looks_and_asks_nothing(home: Path) -> None:
    path = write(home / "n.ipynb", {"uv": {"dependencies": ["reqeusts"]}})
    done = trust(path, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "notebook": str(path),
        "open": False,
        "status": "untrusted",
        "needs_approval": True,
        "uv_dependencies": ["reqeusts"],
        "conda_dependencies": [],
        "conda_channels": [],
        "script_dependencies": [],
        "constraints": [],
        "similar_names": [{"package": "reqeusts", "similar_to": "requests", "distance": 2}],
        "project_file": None,
    }
    done = trust(path, "--json", "--yes")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "trusted")


def test_a_notebook_that_asks_for_nothing_needs_nothing(home: Path) -> None:
    done = trust(write(home / "n.ipynb"))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "~/n.ipynb\n  asks for no packages of its own\n"
    assert not (home / "config" / "runt").exists()


def test_a_project_file_is_shown_and_approved_as_it_is(home: Path) -> None:
    folder = home / "project"
    folder.mkdir()
    project = folder / "environment.yml"
    project.write_text("channels: [bioconda]\ndependencies: [nunpy, pip, pip: [six]]\n")
    path = write(folder / "n.ipynb")
    done = trust(path)
    assert done.exit_code == 1
    assert "Project file ~/project/environment.yml (not approved as it is now)\n" in done.stdout
    assert "With conda, from bioconda:\n  nunpy   LOOKS LIKE numpy, but is not\n" in done.stdout
    assert "With uv:\n  six\n" in done.stdout
    assert trust(path, "--yes").exit_code == 0
    assert json.loads(trust(path, "--json").stdout)["project_file"]["approved"]
    project.write_text("channels: [bioconda]\ndependencies: [evil]\n")
    assert not json.loads(trust(path, "--json").stdout)["project_file"]["approved"]


def test_where_a_project_file_has_packages_fetched_from_is_shown(home: Path) -> None:
    write(home / "n.ipynb")
    (home / "environment.yml").write_text(
        "channels: [c]\ndependencies: [{pip: [a, --index-url https://elsewhere.example]}]\n"
    )
    done = trust(home / "n.ipynb")
    assert "Options for uv: --index-url=https://elsewhere.example\n" in done.stdout


def test_a_project_file_that_is_not_used_is_not_shown(home: Path) -> None:
    (home / "pixi.toml").write_text("[workspace]\nchannels = []\n[dependencies]\nnumpy = '*'\n")
    done = trust(write(home / "n.ipynb", {"uv": {"dependencies": ["six"]}}))
    assert "Project file" not in done.stdout


def test_a_broken_project_file_is_named_with_its_line(home: Path) -> None:
    (home / "pixi.toml").write_text("[workspace]\nchannels = [\n")
    done = trust(write(home / "n.ipynb"))
    assert (done.exit_code, "pixi.toml" in done.stdout) == (0, True)
    assert "can't be used" in done.stdout


def test_a_hostile_text_moves_no_cursor_and_hides_nothing(home: Path) -> None:
    hostile = "numpy\x1b[2K\rnice\u202e\n  pandas"
    path = write(home / "n.ipynb", {"uv": {"dependencies": [hostile]}})
    done = trust(path)
    assert "  numpy\\x1b[2K\\rnice\\u202e\\n  pandas" in done.stdout
    assert harmless("é ✓") == "é ✓"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "Invalid notebook JSON"), (b"[]", "not a JSON object")],
)
def test_what_is_no_notebook_is_said_in_one_line(home: Path, content: bytes, message: str) -> None:
    path = home / "n.ipynb"
    path.write_bytes(content)
    done = trust(path, "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_notebook_that_is_not_there_is_said_in_one_line(home: Path) -> None:
    done = trust(home / "n.ipynb")
    assert (done.exit_code, done.stderr) == (1, f"Notebook not found: {home / 'n.ipynb'}\n")


def test_a_key_that_can_not_be_used_is_named(home: Path) -> None:
    key = home / "config" / "runt" / "trust-key"
    if sys.platform == "darwin":
        key = home / "Library" / "Application Support" / "runt" / "trust-key"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"short")
    key.chmod(0o600)
    done = trust(write(home / "n.ipynb", {"uv": {"dependencies": ["six"]}}), "--yes")
    assert done.exit_code == 1
    assert "corrupted (wrong size)" in done.stderr


def test_help_has_examples(home: Path) -> None:
    done = trust("--help")
    assert "runt trust analysis.ipynb --yes" in done.stdout


@pytest.mark.real
@pytest.mark.parametrize(("said", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_at_a_terminal_it_asks(home: Path, said: str, code: int) -> None:
    path = write(home / "n.ipynb", {"uv": {"dependencies": ["six"]}})
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{said}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "runt_cli", "trust", str(path)],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code
    assert "Approve this? [y/N]" in shown + done.stderr.decode()
    assert (b"trust_signature" in path.read_bytes()) is (code == 0)


@pytest.mark.real
def test_an_open_notebook_is_approved_in_the_daemon_and_in_its_file(
    bare_daemon: Callable[..., DaemonHome], open_session: Callable[..., Any]
) -> None:
    home = bare_daemon()
    path = write(home.home / "n.ipynb", {"uv": {"dependencies": ["six"]}})
    session = open_session(home, path)
    assert session.connection_info.needs_trust_approval
    looked = home.runt("trust", str(path), "--json")
    assert json.loads(looked.stdout)["open"]
    done = home.runt("trust", str(path), "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "(open in the daemon)" in done.stdout
    assert session.trust_info().status == "trusted"
    assert b"trust_signature" in path.read_bytes()
    session.close()
    home.restart()
    assert open_session(home, path).trust_info().status == "trusted"
