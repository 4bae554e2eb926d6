"""The configured viewer: where its command comes from, and what it is called with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtimed.client.viewer import ViewerNotLaunched, viewer_arguments, viewer_command

BOOK = Path("/work/my book é.ipynb")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("lab", ["lab", str(BOOK)]),
        ("'my viewer' --file={path} -x", ["my viewer", f"--file={BOOK}", "-x"]),
        ("browser {url}", ["browser", "file:///work/my%20book%20%C3%A9.ipynb"]),
        ("show {notebook_id} '{path}'", ["show", "id 1", str(BOOK)]),
        ("a; rm -rf $HOME {path}", ["a;", "rm", "-rf", "$HOME", str(BOOK)]),
    ],
)
def test_a_notebook_is_put_into_the_words_of_a_command(command: str, words: list[str]) -> None:
    assert viewer_arguments(command, BOOK, "id 1") == words


def test_words_about_what_there_is_not_are_left_out() -> None:
    assert viewer_arguments("lab --no-browser {path}", None, None) == ["lab", "--no-browser"]
    assert viewer_arguments("lab {notebook_id} {path}", None, "n") == ["lab", "n"]


@pytest.mark.parametrize("command", ["'unclosed {path}", "''", '"" {path}'])
def test_what_is_no_command_is_said(command: str) -> None:
    with pytest.raises(ViewerNotLaunched, match=r"^The viewer is no command"):
        viewer_arguments(command, BOOK, None)


def test_the_variable_goes_before_the_setting(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    assert viewer_command(environ) is None
    settings = tmp_path / "nteract/settings.json"
    settings.parent.mkdir()
    for content, command in (
        (json.dumps({"viewer": " lab {path} "}), "lab {path}"),
        (json.dumps({"viewer": ["lab"]}), None),
        (json.dumps({"viewer": " "}), None),
        ("{", None),
    ):
        settings.write_text(content)
        assert viewer_command(environ) == command
    settings.write_text('{"viewer": "lab"}')
    assert viewer_command(environ | {"RUNT_VIEWER": "code"}) == "code"
    assert viewer_command(environ | {"RUNT_VIEWER": " "}) == "lab"
