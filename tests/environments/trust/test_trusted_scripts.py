"""Script blocks as a part of what is signed."""

from __future__ import annotations

import pytest

from runtimed.environments.trust.content import Content
from runtimed.environments.trust.signature import sign
from runtimed.environments.trust.standing import is_vouched_for, status_of

KEY = bytes(32)
BLOCK = (
    '# /// script\n# dependencies = ["requests", "numpy>=1"]\n# requires-python = ">=3.10"\n# ///\n'
)
OTHER = '# /// script\n# dependencies = ["evil"]\n# ///\n'
UNCLOSED = '# /// script\n# dependencies = ["evil"]\nprint(1)\n'

UV = {"runt": {"schema_version": "1", "uv": {"dependencies": ["requests"]}}}


def of(*cells: tuple[str, str], snapshot: object = None) -> Content:
    return Content.of(snapshot, cells)  # type: ignore[arg-type]


def test_a_notebook_with_nothing_but_a_script_block_has_dependencies() -> None:
    content = of(("code", "import this"), ("code", BLOCK + "import requests\n"))
    assert content.script_dependencies == ["requests", "numpy>=1"]
    assert not content.is_empty
    assert content.to_bytes() == (
        b'{"script":{"dependencies":["requests","numpy>=1"],"requires-python":">=3.10"}}'
    )
    assert status_of(content, None, is_vouched_for(content, None, KEY)) == "untrusted"


def test_without_a_block_the_signature_is_that_of_the_other_programs() -> None:
    content = of(("code", "# script\n"), ("markdown", "/// note"), snapshot=UV)
    assert content.to_bytes() == b'{"uv":{"dependencies":["requests"]}}'


def test_the_signature_of_a_list_does_not_cover_a_block_that_came_later() -> None:
    signature = sign(KEY, of(snapshot=UV).to_bytes())
    assert is_vouched_for(of(snapshot=UV), signature, KEY)
    assert not is_vouched_for(of(("code", OTHER), snapshot=UV), signature, KEY)


def test_code_around_the_block_does_not_matter() -> None:
    before = of(("code", BLOCK))
    after = of(("markdown", "# Title"), ("code", f"x = 1\n{BLOCK}y = 2\n"))
    assert before.to_bytes() == after.to_bytes()


@pytest.mark.parametrize(
    "cells",
    [
        (("code", BLOCK), ("code", OTHER)),  # delete one, and the other is installed
        (("markdown", OTHER),),  # make it code
        (("code", UNCLOSED),),  # close it
        (("code", OTHER.replace("evil", "--evil")),),  # mend it
        (("code", "# /// script\n# dependencies = [\n# ///\n"),),
    ],
)
def test_what_might_become_a_block_is_no_dependency_but_is_signed(
    cells: tuple[tuple[str, str], ...],
) -> None:
    content = of(*cells)
    assert content.is_empty
    assert not content.is_bare
    assert not is_vouched_for(content, None, KEY)
    assert is_vouched_for(content, sign(KEY, content.to_bytes()), KEY)


def test_a_good_block_beside_one_in_a_text_is_installed_and_both_are_signed() -> None:
    content = of(("code", BLOCK), ("markdown", f"Write this:\n\n{OTHER}"))
    assert content.script_dependencies == ["requests", "numpy>=1"]
    assert b"evil" in content.to_bytes()


def test_a_block_that_asks_for_nothing_is_nothing() -> None:
    assert of(("code", "# /// script\n# dependencies = []\n# ///\n")).is_bare


def test_a_block_with_a_constraint_alone_is_no_dependency_but_not_nothing() -> None:
    content = of(("code", '# /// script\n# requires-python = ">=3.11"\n# ///\n'))
    assert content.is_empty
    assert not content.is_bare
