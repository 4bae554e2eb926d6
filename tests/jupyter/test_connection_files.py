"""Connection files that anybody may have left."""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernels import content, write
from runtimed.errors import ConnectionFileUnusable
from runtimed.jupyter.connection_files import (
    connection_files,
    kernel_id_of,
    read_connection_file,
)
from runtimed.jupyter.folders import data_folders, runtime_folder
from runtimed.jupyter.own_files import note_process, noted_process
from runtimed.kernels.registry import KernelRecord


def test_a_file_says_where_its_kernel_listens(tmp_path: Path) -> None:
    info = read_connection_file(write(tmp_path, "kernel-a.json", 11, 12, 13, 14, 15))
    assert info.address("shell") == "tcp://127.0.0.1:11"
    assert info.address("hb") == "tcp://127.0.0.1:15"
    assert (info.key, info.kernel_name, info.ours) == (b"secret", "python3", False)
    assert "secret" not in repr(info)


def test_sockets_are_files_with_the_transport_ipc(tmp_path: Path) -> None:
    info = read_connection_file(write(tmp_path, "kernel-a.json", transport="ipc", ip="/tmp/k"))
    assert info.address("iopub") == "ipc:///tmp/k-2"


@pytest.mark.parametrize(
    ("ip", "address"),
    [
        ("0.0.0.0", "tcp://127.0.0.1:1"),
        ("*", "tcp://127.0.0.1:1"),
        ("localhost", "tcp://127.0.0.1:1"),
        ("::1", "tcp://[::1]:1"),
    ],
)
def test_addresses_are_made_such_that_they_can_be_connected_to(
    tmp_path: Path, ip: str, address: str
) -> None:
    assert read_connection_file(write(tmp_path, "k.json", ip=ip)).address("shell") == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 60_000, "it is not JSON"),
        ("7", "it is no connection file"),
        ("{}", "its shell_port is missing"),
        (" " * 65_537, "it is too large (65537 bytes)"),
        ({"shell_port": "11"}, "its shell_port is '11'"),
        ({"hb_port": 65_536}, "its hb_port is 65536"),
        ({"hb_port": -1}, "its hb_port is -1"),
        ({"ip": "kernel.example"}, "its ip is 'kernel.example'"),
        ({"ip": ["127.0.0.1"]}, "its ip is no text"),
        ({"transport": "udp"}, "its transport is 'udp'"),
        ({"transport": "ipc", "ip": "a\0b"}, "its ip is no text"),
        ({"key": 7}, "its key is no text"),
        ({"signature_scheme": "hmac-md5"}, "its signature_scheme is 'hmac-md5'"),
    ],
)
def test_what_is_no_connection_file_is_refused_with_a_reason(
    tmp_path: Path, text: str | dict[str, Any], reason: str
) -> None:
    path = tmp_path / "kernel-a.json"
    path.write_text(text if isinstance(text, str) else json.dumps(content() | text))
    with pytest.raises(ConnectionFileUnusable) as caught:
        read_connection_file(path)
    assert str(caught.value) == reason


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    good = write(tmp_path, "kernel-a.json")
    link = tmp_path / "kernel-link.json"
    link.symlink_to(good)
    pipe = tmp_path / "kernel-pipe.json"
    os.mkfifo(pipe)
    folder = tmp_path / "kernel-folder.json"
    folder.mkdir()
    for path, reason in (
        (link, "it is a symbolic link"),
        (pipe, "it is no plain file"),
        (folder, "it is no plain file"),
        (tmp_path / "kernel-gone.json", "it can't be read: No such file or directory"),
    ):
        with pytest.raises(ConnectionFileUnusable) as caught:
            read_connection_file(path)
        assert str(caught.value) == reason


def test_a_folder_gives_its_connection_files_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(
        ("kernel-new.json", "runt-kernel-ours.json", "kernel-old.json", "nbserver-1.json", "x.json")
    ):
        write(tmp_path, name)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    found, skipped = connection_files(tmp_path)
    assert [kernel_id_of(path) for path in found] == ["new", "ours", "old"]
    assert skipped == []
    assert connection_files(tmp_path / "missing") == ([], [])


def test_the_runtime_folder_is_jupyters(tmp_path: Path) -> None:
    assert runtime_folder({"JUPYTER_RUNTIME_DIR": "/r", "HOME": "/h"}) == Path("/r")
    assert runtime_folder({"JUPYTER_DATA_DIR": "/d", "HOME": "/h"}) == Path("/d/runtime")
    # Without a home of its own a variable can't be what the user's folder is found by.
    home = pwd.getpwuid(os.getuid()).pw_dir
    data = "Library/Jupyter" if sys.platform == "darwin" else ".local/share/jupyter"
    for environ in ({}, {"HOME": ""}, {"HOME": "h"}, {"XDG_DATA_HOME": "relative"}):
        assert runtime_folder(environ) == Path(home, data, "runtime")
        assert Path(home, data) in data_folders(environ)


def test_kernelspecs_are_looked_for_in_the_activated_environment_first() -> None:
    environ = {
        "JUPYTER_PATH": "/one:/two",
        "VIRTUAL_ENV": "/venv",
        "JUPYTER_DATA_DIR": "/data",
        "HOME": "/h",
    }
    assert [str(folder) for folder in data_folders(environ, "/runt")] == [
        "/one",
        "/two",
        "/venv/share/jupyter",
        "/runt/share/jupyter",
        "/data",
        "/usr/local/share/jupyter",
        "/usr/share/jupyter",
    ]


def test_a_note_of_a_process_is_believed_only_if_it_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "runt-kernel-a.json")
    record = KernelRecord(4242, "1", "boot")
    note_process(path, record)
    note = path.with_suffix(".process")
    assert noted_process(path) == record
    # Nobody but us writes notes, and for no other files.
    note.with_name("kernel-a.process").write_bytes(note.read_bytes())
    assert noted_process(write(tmp_path, "kernel-a.json")) is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: note.stat().st_uid + 1)
        assert noted_process(path) is None
    note.rename(tmp_path / "elsewhere")
    note.symlink_to(tmp_path / "elsewhere")
    assert noted_process(path) is None
    note.unlink()
    note.write_bytes((tmp_path / "elsewhere").read_bytes() + b" " * 100_000)
    assert noted_process(path) is None
    note.unlink()
    os.mkfifo(note)  # opened in the ordinary way it would be waited for
    assert noted_process(path) is None
