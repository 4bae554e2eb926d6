from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.script_block import CodeCell, ScriptBlock, find_script_block
from runtimed.errors import ScriptBlockInvalid

_BLOCK = """\
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "Requests<3",
#
#     "rich",
# ]
# ///
import requests
"""


def _find(*sources: str) -> ScriptBlock | None:
    return find_script_block(CodeCell(n, source) for n, source in enumerate(sources, 1))


def test_a_block_is_found_in_whichever_cell_it_is() -> None:
    block = _find("x = 1", "\n" + _BLOCK, "y")
    assert block == ScriptBlock(2, 2, ("requests<3", "rich"), ">=3.10")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# /// other\n# dependencies = ['a']\n# ///",
        "# /// script\n# dependencies = ['a']",
        "# /// script\n# dependencies = ['a']\nimport os\n# ///",
        "# /// script\n#dependencies = ['a']\n# ///",
        "# /// script\n\n# dependencies = ['a']\n# ///",
        " # /// script\n# dependencies = ['a']\n# ///",
        "## /// script\n# dependencies = ['a']\n# ///",
    ],
)
def test_what_is_not_closed_or_not_only_comments_is_no_block(source: str) -> None:
    assert _find(source) is None


def test_spaces_after_the_markers_and_windows_line_ends_do_not_matter() -> None:
    source = "# /// script  \r\n# dependencies = ['a']\r\n# ///\t\r\n"
    assert _find(source) == ScriptBlock(1, 1, ("a",))


def test_a_block_that_was_given_up_does_not_hide_the_next() -> None:
    assert _find("# /// script\nx\n" + _BLOCK) == ScriptBlock(
        1, 3, ("requests<3", "rich"), ">=3.10"
    )


def test_a_block_may_ask_for_no_packages() -> None:
    assert _find("# /// script\n# ///") == ScriptBlock(1, 1, ())


def test_what_a_block_says_beyond_pep_723_is_not_used_and_said() -> None:
    block = _find("# /// script\n# a = 1\n# dependencies = []\n# [tool.uv]\n# index = []\n# ///")
    assert block is not None
    assert block.notes == (
        "[tool.uv] in the script block is not used",
        "a in the script block is not known to PEP 723 and not used",
    )


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            (_BLOCK, "x", _BLOCK),
            "multiple # /// script blocks found (PEP 723 requires exactly one): "
            "cell 1 line 1, cell 3 line 1. Keep one of them",
        ),
        (
            (_BLOCK + _BLOCK,),
            "multiple # /// script blocks found (PEP 723 requires exactly one): "
            "cell 1 line 1, cell 1 line 10. Keep one of them",
        ),
        (
            ("", "\n# /// script\n# dependencies = [\n# 'a' 'b'\n# ]\n# ///"),
            "invalid TOML in script block: Unclosed array (cell 2, line 4)",
        ),
        (
            ("# /// script\n# dependencies = ['-r x']\n# ///",),
            'invalid script block: dependencies: "-r x" is an option, and options are not taken '
            "from a list of packages: name the packages themselves; indexes belong into uv's own "
            "configuration (uv.toml, UV_INDEX) (cell 1, line 2)",
        ),
        (
            ("# /// script\n#\n# dependencies = 'a'\n# ///",),
            'invalid script block: dependencies is not a list such as ["numpy"] (cell 1, line 3)',
        ),
        (
            ("# /// script\n# requires-python = '3.10'\n# ///",),
            'invalid script block: requires-python: "3.10" is not a version constraint: write it '
            'like ">=3.10" or ">=3.10,<3.13" (cell 1, line 2)',
        ),
    ],
)
def test_a_block_that_cannot_be_used_names_its_cell_and_line(
    sources: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ScriptBlockInvalid, match=f"^{re.escape(message)}$"):
        _find(*sources)


def test_a_bomb_is_an_error_like_any_other() -> None:
    for bomb in ("a = " + "[" * 100_000, "a = " + "9" * 100_000, "a = " + "{b=" * 5000):
        with pytest.raises(ScriptBlockInvalid, match="invalid TOML in script block"):
            _find(f"# /// script\n# {bomb}\n# ///")


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    text = _BLOCK
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 8))
        text = (
            text[:at] + draw(st.text(max_size=4) | st.sampled_from("[]\"'=#\n")) + text[at + cut :]
        )
    return text


@settings(deadline=None)
@given(st.lists(_mutated() | st.text(), max_size=3))
def test_whatever_is_in_the_cells_is_a_block_none_or_the_declared_error(sources: list[str]) -> None:
    try:
        _find(*sources)
    except ScriptBlockInvalid:
        pass
