"""Which open notebook a user's text means."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runt_cli.failure import Fail
from runt_cli.which_notebook import Room, absolute_path, find_room, not_found, notebook_id_of

ONE = "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77"
OTHER = "0b2f7777-1111-4d2b-9a0e-5c2f0f3e9a77"


def room(notebook_id: str, **more: Any) -> dict[str, Any]:
    path = notebook_id if notebook_id.startswith("/") else None
    return {"notebook_id": notebook_id, "path": path, "kernel_id": None} | more


def which_room(text: str, rooms: Sequence[Room]) -> Room:
    """The open notebook that is meant. Raises: what commands say of none, and of several."""
    found = find_room(text, rooms)
    if found is None:
        raise not_found(text)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and current folder with a notebook whose name is not plain, and a link to it."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "Überblick Q1.ipynb").write_text("{}")
    (work / "link.ipynb").symlink_to(work / "Überblick Q1.ipynb")
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    return work


@pytest.mark.parametrize(
    "text",
    [
        "{folder}/Überblick Q1.ipynb",
        "Überblick Q1.ipynb",
        "Überblick Q1",
        "./Überblick Q1",
        "../work/Überblick Q1.ipynb",
        "~/work/Überblick Q1.ipynb",
        "link.ipynb",
        "../work/../work/link",
    ],
)
def test_every_spelling_of_a_path_means_its_notebook(folder: Path, text: str) -> None:
    path = str(folder / "Überblick Q1.ipynb")
    rooms = [room(ONE), room(path), room("/elsewhere/other.ipynb")]
    assert which_room(text.format(folder=folder), rooms)["notebook_id"] == path


def test_letters_and_their_accents_may_be_apart(folder: Path) -> None:
    path = str(folder / unicodedata.normalize("NFD", "Überblick Q1.ipynb"))
    assert find_room("Überblick Q1", [room(path)]) is not None


@pytest.mark.parametrize("text", [ONE, ONE[:1], ONE[:4], ONE[:9], ONE[:8].upper()])
def test_an_id_may_be_given_by_its_beginning(folder: Path, text: str) -> None:
    assert which_room(text, [room(ONE), room("/a/b.ipynb")])["notebook_id"] == ONE


def test_a_notebook_is_known_by_its_kernel_too(folder: Path) -> None:
    path = "/a/b.ipynb"
    rooms = [room(ONE), room(path, kernel_id="cafe12345678")]
    assert which_room("cafe12345678", rooms)["notebook_id"] == path
    assert which_room("cafe1", rooms)["notebook_id"] == path


def test_a_file_that_is_open_elsewhere_is_known_by_its_name(folder: Path) -> None:
    assert which_room("b.ipynb", [room("/a/b.ipynb"), room(ONE)])["notebook_id"] == "/a/b.ipynb"
    assert which_room("b", [room("/a/b.ipynb"), room(ONE)])["notebook_id"] == "/a/b.ipynb"


def test_the_file_in_this_folder_goes_before_one_of_its_name_elsewhere(folder: Path) -> None:
    here, there = str(folder / "Überblick Q1.ipynb"), "/a/Überblick Q1.ipynb"
    assert which_room("Überblick Q1", [room(there), room(here)])["notebook_id"] == here


@pytest.mark.parametrize(
    "text", ["Überblick Q1.ipynb", "Überblick Q1", "./Überblick Q1.ipynb", "link.ipynb"]
)
def test_a_file_that_is_there_is_never_another_of_its_name(folder: Path, text: str) -> None:
    others = [room(str(folder / "sub" / name)) for name in ("Überblick Q1.ipynb", "link.ipynb")]
    with pytest.raises(Fail) as caught:
        which_room(text, others)
    assert caught.value.exit_code == 1
    assert caught.value.message == (
        f"{text} is not open. Use 'runt notebooks' to see open notebooks."
    )


def test_a_file_that_is_there_is_no_beginning_of_an_id(folder: Path) -> None:
    (folder / "0b.ipynb").write_text("{}")
    assert find_room("0b", [room(ONE)]) is None


def test_a_beginning_that_is_also_a_name_means_both(folder: Path) -> None:
    rooms = [room(ONE), room("/a/0.ipynb"), room("/a/1.ipynb", kernel_id="0cafe")]
    with pytest.raises(Fail) as caught:
        which_room("0", rooms)
    assert caught.value.message == (
        f"'0' means 3 open notebooks: /a/0.ipynb, /a/1.ipynb (kernel 0cafe), {ONE}"
    )


def test_what_means_several_names_them(folder: Path) -> None:
    with pytest.raises(Fail) as caught:
        which_room("0b2f", [room(ONE), room(OTHER)])
    assert caught.value.message == f"'0b2f' means 2 open notebooks: {ONE}, {OTHER}"
    with pytest.raises(Fail) as caught:
        which_room("b", [room("/a/b.ipynb"), room(f"{folder.parent}/c/b.ipynb")])
    assert caught.value.message == "'b' means 2 open notebooks: /a/b.ipynb, ~/c/b.ipynb"


@pytest.mark.parametrize("text", ["7", "", "missing", "/a", "/a/", "x/b.ipynb", ONE + "0", "%"])
def test_what_means_none_is_not_found(folder: Path, text: str) -> None:
    with pytest.raises(Fail) as caught:
        which_room(text, [room(ONE), room("/a/b.ipynb")])
    assert caught.value.exit_code == 1
    assert caught.value.message == (
        f"Notebook not found: {text}. Use 'runt notebooks' to see open notebooks."
    )


def test_a_notebook_that_is_not_open_has_an_id_all_the_same(folder: Path) -> None:
    assert notebook_id_of(ONE.upper()) == ONE
    assert notebook_id_of("link.ipynb") == str(folder / "Überblick Q1.ipynb")
    assert notebook_id_of("~/work/new") == str(folder / "new.ipynb")


def test_a_path_is_shown_as_it_was_given(folder: Path) -> None:
    assert absolute_path("link") == folder / "link.ipynb"
    assert absolute_path("~/x.ipynb") == folder.parent / "x.ipynb"
    (folder / "plain").write_text("")
    assert absolute_path("plain") == folder / "plain"


def test_without_a_home_folder_a_tilde_is_a_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr("os.path.expanduser", lambda text: text)
    assert find_room("~/x.ipynb", [room("/a/x.ipynb")]) is None
