"""The key file: made privately, once, and refused when it can't be relied on."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.key import make_key, read_key
from runtimed.errors import TrustKeyUnusable
from runtimed.paths import config_root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "runt" / "trust-key"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once_and_is_for_its_user_alone(path: Path) -> None:
    assert read_key(path) is None
    key = make_key(path)
    assert len(key) == 32
    assert make_key(path) == read_key(path) == key
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["trust-key"]


def test_all_who_make_the_key_at_once_get_the_same_whole_one(path: Path) -> None:
    keys: list[bytes] = []
    start = threading.Barrier(16)

    def make() -> None:
        start.wait()
        keys.append(make_key(path))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert set(keys) == {path.read_bytes()}


@pytest.mark.real
def test_two_processes_that_make_the_key_at_once_get_the_same(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from runtimed.environments.trust.key import make_key\n"
        "sys.stdin.read(1)\n"
        "print(make_key(Path(sys.argv[1])).hex())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    printed = [process.communicate(timeout=60)[0].decode().strip() for process in processes]
    assert printed == [path.read_bytes().hex()] * 2


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_the_wrong_size_is_refused_with_the_remedy(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(TrustKeyUnusable, match=r"corrupted \(wrong size\).*delete it"):
        make_key(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("open_to_others", [0o640, 0o604, 0o666])
def test_a_key_that_others_could_read_is_refused(path: Path, open_to_others: int) -> None:
    make_key(path)
    path.chmod(open_to_others)
    with pytest.raises(TrustKeyUnusable, match="open to others"):
        read_key(path)


def test_what_is_no_file_is_refused_and_never_waited_for(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path, 0o600)
    with pytest.raises(TrustKeyUnusable, match="no regular file"):
        read_key(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(TrustKeyUnusable, match="no regular file"):
        read_key(path)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustKeyUnusable, match="file/runt/trust-key"):
        make_key(tmp_path / "file" / "runt" / "trust-key")


def test_the_key_lies_in_the_user_s_configuration(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "conf")}
    assert TrustFiles.of_user(environ).key == config_root(environ) / "runt" / "trust-key"


def test_a_variable_names_another_key_in_development_mode_alone(tmp_path: Path) -> None:
    named = {"HOME": str(tmp_path), "RUNT_TRUST_KEY_PATH": str(tmp_path / "known")}
    assert TrustFiles.of_user(named).key == config_root(named) / "runt" / "trust-key"
    developing = named | {"RUNTIMED_WORKSPACE_PATH": str(tmp_path)}
    assert TrustFiles.of_user(developing).key == tmp_path / "known"
