"""Which project files were approved: by path and content, on this machine."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from runtimed.environments.trust.projects import approve_project, is_project_approved
from runtimed.errors import RuntimedError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "config" / "runt" / "trusted-projects.json"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n")
    return path


def test_a_project_file_is_approved_as_it_is_and_no_other(store: Path, project: Path) -> None:
    assert not is_project_approved(store, project)
    approve_project(store, project)
    assert is_project_approved(store, project)
    project.write_text("[project]\ndependencies = ['evil']\n")
    assert not is_project_approved(store, project)


def test_what_was_shown_is_approved_and_not_what_has_come_since(store: Path, project: Path) -> None:
    shown = project.read_bytes()
    project.write_text("evil")
    approve_project(store, project, shown)
    assert not is_project_approved(store, project)
    assert is_project_approved(store, project, shown)


def test_the_same_content_elsewhere_is_not_approved(store: Path, project: Path) -> None:
    approve_project(store, project)
    elsewhere = project.with_name("pixi.toml")
    elsewhere.write_bytes(project.read_bytes())
    assert not is_project_approved(store, elsewhere)


def test_what_was_approved_before_stays_so_when_it_comes_back(store: Path, project: Path) -> None:
    first = project.read_bytes()
    approve_project(store, project)
    project.write_text("another branch")
    approve_project(store, project)
    project.write_bytes(first)
    assert is_project_approved(store, project)


def test_a_project_is_found_through_a_link_to_it(
    store: Path, project: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(project.parent)
    approve_project(store, link / project.name)
    assert is_project_approved(store, project)


def test_the_file_is_private(store: Path, project: Path) -> None:
    approve_project(store, project)
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"projects": 1}', '{"projects": {"/x": 1}}'])
def test_a_damaged_file_remembers_nothing_and_is_replaced(
    store: Path, project: Path, text: str
) -> None:
    store.parent.mkdir(parents=True)
    store.write_text(text)
    assert not is_project_approved(store, project)
    approve_project(store, project)
    assert is_project_approved(store, project)


def test_approvals_at_the_same_time_are_all_kept(store: Path, tmp_path: Path) -> None:
    projects = [tmp_path / str(number) / "pixi.toml" for number in range(8)]
    for path in projects:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    threads = [threading.Thread(target=approve_project, args=(store, path)) for path in projects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(is_project_approved(store, path) for path in projects)


def test_a_place_that_can_not_be_written_is_named(project: Path) -> None:
    (project.parent / "file").write_text("")
    with pytest.raises(RuntimedError, match=r"can't be remembered.*file"):
        approve_project(project.parent / "file" / "runt" / "store.json", project)
