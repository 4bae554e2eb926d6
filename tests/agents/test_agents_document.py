"""The code in docs/agents.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from runtime_peer import connected, invocation

from runtimed.agents.main import serve
from runtimed.agents.runtime.loading import load_handler

DOCUMENT = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()


@pytest.mark.real
async def test_the_handler_of_the_document_works(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n# my_agent\.py\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    (tmp_path / "documented_agent.py").write_text(code)
    handler: Any = load_handler(str(tmp_path / "documented_agent.py"))
    async with connected(handler) as peer:
        said, terminal = await peer.ask(invocation("hello"))
    assert said["text_blocks"] == ["Looking at it..."]
    assert terminal["data"]["text"] == "HELLO"


def test_every_option_that_the_document_names_is_there() -> None:
    known = {name for each in serve.params for name in each.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", DOCUMENT))
    assert len(named) > 10
    assert named <= known
