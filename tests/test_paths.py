from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from runtimed.errors import StateDirectoryUnusable
from runtimed.paths import (
    MAX_SOCKET_PATH,
    Paths,
    cache_root,
    config_root,
    default_paths,
    default_socket_path,
    home_folder,
    in_development,
    own_paths,
    paths_for_socket,
    workspace_path,
    worktree_hash,
)

linux_only = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has other directories")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize(
    ("workspace", "digits"), [("/some/path", "eda6cf0b63f1"), ("/some/path/", "83c22108f8a3")]
)
def test_a_worktree_is_named_by_its_path_as_given(workspace: str, digits: str) -> None:
    assert worktree_hash(workspace) == digits


def test_a_worktree_may_be_a_path_object_or_have_any_name() -> None:
    assert worktree_hash(Path("/some/path")) == "eda6cf0b63f1"
    assert len(worktree_hash(os.fsdecode(b"/caf\xe9\xff"))) == 12


@linux_only
def test_the_roots_follow_xdg() -> None:
    environ = {"HOME": "/home/u", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/k"}
    assert cache_root(environ) == Path("/c")
    assert config_root(environ) == Path("/k")
    assert cache_root({"HOME": "/home/u"}) == Path("/home/u/.cache")
    assert config_root({"HOME": "/home/u", "XDG_CONFIG_HOME": ""}) == Path("/home/u/.config")


@linux_only
def test_without_a_home_the_passwd_entry_gives_one() -> None:
    assert cache_root({}).name == ".cache"


@linux_only
def test_a_relative_root_is_none() -> None:
    environ = {"HOME": "/home/u", "XDG_CACHE_HOME": "c", "XDG_CONFIG_HOME": "./k"}
    assert cache_root(environ) == Path("/home/u/.cache")
    assert config_root(environ) == Path("/home/u/.config")


def test_without_any_home_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for environ in ({}, {"HOME": ""}, {"HOME": "relative"}):
        with pytest.raises(StateDirectoryUnusable, match="set HOME"):
            default_paths(environ)
    assert home_folder({"HOME": "/home/u"}) == Path("/home/u")


@pytest.mark.parametrize(
    ("content", "socket"),
    [
        ('{"endpoint": "/s/other.sock", "pid": 1}', "/s/other.sock"),
        ('{"endpoint": "unknown"}', None),
        ('{"endpoint": 7}', None),
        ("[]", None),
        ("{", None),
    ],
)
def test_an_info_file_says_where_its_daemon_listens(
    tmp_path: Path, content: str, socket: str | None
) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    own = own_paths(environ)
    own.info.parent.mkdir(parents=True)
    own.info.write_text(content)
    paths = default_paths(environ)
    assert paths.socket == (Path(socket) if socket else own.socket)
    assert (paths.base, paths.own()) == (own.base, own)
    # Who names a socket is not told another.
    named = environ | {"RUNTIMED_SOCKET_PATH": str(own.base / "mine.sock")}
    assert default_paths(named).socket == own.base / "mine.sock"
    assert default_paths(named).own() == default_paths(named)


@linux_only
def test_the_ordinary_daemon_lies_in_the_cache() -> None:
    paths = default_paths({"XDG_CACHE_HOME": "/c"})
    assert paths == Paths(base=Path("/c/runt"), socket=Path("/c/runt/runtimed.sock"))
    assert not paths.explicit
    assert paths.workspace is None


def test_every_file_of_a_daemon_lies_in_its_base() -> None:
    paths = Paths(base=Path("/b"), socket=Path("/elsewhere/s"))
    named = {
        "info": "daemon.json",
        "lock": "daemon.lock",
        "log": "runtimed.log",
        "kernel_registry": "kernels.json",
        "connections": "connections",
        "envs": "envs",
        "blobs": "blobs",
        "documents": "notebook-docs",
    }
    assert {name: getattr(paths, name) for name in named} == {
        name: Path("/b") / file for name, file in named.items()
    }
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        paths.base = Path("/c")  # type: ignore[misc]


@linux_only
def test_a_workspace_has_a_daemon_of_its_own(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": "/c", "RUNTIMED_WORKSPACE_PATH": f" {tmp_path} "}
    paths = default_paths(environ)
    assert paths.base == Path("/c/runt/worktrees") / worktree_hash(tmp_path.resolve())
    assert paths.socket == paths.base / "runtimed.sock"
    assert paths.workspace == tmp_path.resolve()


def test_a_workspace_is_the_same_by_whatever_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    assert workspace_path({"RUNTIMED_WORKSPACE_PATH": str(link)}) == target.resolve()
    assert workspace_path({"RUNTIMED_WORKSPACE_PATH": f"{target}/"}) == target.resolve()


def test_our_workspace_variable_wins(tmp_path: Path) -> None:
    environ = {
        "RUNTIMED_WORKSPACE_PATH": str(tmp_path / "ours"),
        "CONDUCTOR_WORKSPACE_PATH": str(tmp_path / "theirs"),
    }
    assert workspace_path(environ) == (tmp_path / "ours").resolve()
    del environ["RUNTIMED_WORKSPACE_PATH"]
    assert workspace_path(environ) == (tmp_path / "theirs").resolve()


def test_there_is_no_workspace_outside_development() -> None:
    assert workspace_path({}) is None
    nothing = {"RUNTIMED_DEV": "0", "RUNTIMED_WORKSPACE_PATH": " "}
    assert workspace_path(nothing) is None
    assert not in_development(nothing)


def test_development_mode_is_a_variable_or_a_named_workspace() -> None:
    assert in_development({"RUNTIMED_DEV": "1"})
    assert in_development({"RUNTIMED_WORKSPACE_PATH": "/w"})


@pytest.mark.real
def test_development_mode_takes_the_git_top_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(StateDirectoryUnusable, match="RUNTIMED_WORKSPACE_PATH"):
        workspace_path({"RUNTIMED_DEV": "1"})
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert workspace_path({"RUNTIMED_DEV": "1"}) == tmp_path.resolve()


@linux_only
@pytest.mark.real
def test_a_git_top_level_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    subprocess.run(["git", "init", "-q", folder], check=True)
    monkeypatch.chdir(folder)
    assert workspace_path({"RUNTIMED_DEV": "1"}) == folder.resolve()


def test_development_mode_without_git_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StateDirectoryUnusable, match="set RUNTIMED_WORKSPACE_PATH"):
        default_paths({"RUNTIMED_DEV": "1"})


def test_a_named_socket_has_its_state_beside_it(private: Path) -> None:
    paths = default_paths({"RUNTIMED_SOCKET_PATH": f" {private}/x.sock\n", "RUNTIMED_DEV": "1"})
    assert paths == Paths(base=private, socket=private / "x.sock", explicit=True)


@linux_only
def test_an_empty_socket_variable_is_none() -> None:
    environ = {"RUNTIMED_SOCKET_PATH": "  ", "XDG_CACHE_HOME": "/c"}
    assert default_paths(environ).socket == Path("/c/runt/runtimed.sock")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777, 0o701])
def test_state_does_not_lie_in_a_folder_others_can_use(private: Path, mode: int) -> None:
    private.chmod(mode)
    paths = paths_for_socket(private / "x.sock")
    assert paths.socket == private / "x.sock"
    assert paths.base == private / "x.sock.d"
    assert not paths.base.exists()


def test_a_folder_that_is_not_there_is_not_private(tmp_path: Path) -> None:
    paths = paths_for_socket(tmp_path / "none" / "x.sock")
    assert paths.base == tmp_path / "none" / "x.sock.d"


def test_a_relative_socket_is_the_same_socket(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = paths_for_socket(private / "x.sock")
    monkeypatch.chdir(private)
    assert paths_for_socket(Path("x.sock")) == absolute
    assert paths_for_socket(Path("sub/../x.sock")) == absolute
    monkeypatch.setenv("HOME", str(private))
    assert paths_for_socket(Path("~/x.sock")) == absolute


def test_the_default_socket_is_that_of_this_process(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(private / "x.sock"))
    assert default_socket_path() == private / "x.sock"


def test_the_longest_socket_path_fits_the_narrowest_system() -> None:
    assert MAX_SOCKET_PATH < 104
