"""Every row of the tables in docs/environments.md, held: the page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documented import deno_rows, environment_yml_rows, notebook_rows, pixi_rows, pyproject_rows
from documented.common import CHECKS, choice, uv

from runtimed.environments.projects.project_file import FILE_NAMES, ProjectFile
from runtimed.errors import ProjectFileInvalid

MODULES = (
    deno_rows,
    environment_yml_rows,
    notebook_rows,
    pixi_rows,
    pyproject_rows,
)  # they fill CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "environments.md"


def _rows() -> list[tuple[str, str]]:
    """The table rows with keys, each with its heading."""
    found = []
    heading = ""
    keys = False
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            heading, keys = line.lstrip("# "), False
        elif re.match(r"\| (key|entry) \| what we do with it \|$", line):
            keys = True
        elif keys and line.startswith("| "):
            found.append((heading, line.strip("| ").rpartition(" | ")[0]))
    return found


ROWS = _rows()


@pytest.mark.parametrize(("heading", "key"), ROWS, ids=lambda value: str(value)[:60])
def test_a_row_of_the_page_is_what_the_code_does(heading: str, key: str) -> None:
    assert (heading, key) in CHECKS, "a row without a check"
    CHECKS[heading, key]()


def test_every_check_belongs_to_a_row_of_the_page() -> None:
    assert set(CHECKS) <= set(ROWS)
    assert len(ROWS) == len(set(ROWS)) > 90


def test_what_is_asked_for_by_name_comes_before_project_files() -> None:
    file = ProjectFile(Path("/p/pixi.toml"), FILE_NAMES["pixi.toml"], b"[broken")
    assert choice(uv("a"), project_files=[file]).env_source == "uv:inline"
    with pytest.raises(ProjectFileInvalid):
        choice({}, project_files=[file])
