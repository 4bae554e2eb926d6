"""The deno program for tests: the wheel, which uv keeps in its cache, unpacked once a session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from runtimed.environments.deno import DenoTool

__all__ = ["deno_program"]


@pytest.fixture(scope="session")
def deno_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real deno. Its own cache lies in a folder of the session, see `deno_environ`."""
    tools = tmp_path_factory.mktemp("deno-tools")
    tool = DenoTool(tools, environ={**os.environ, "PATH": "/nowhere"})

    async def get() -> Path:
        with trio.fail_after(300):
            return await tool.get(lambda phase: None)

    return trio.run(get)


def deno_environ(tmp_path: Path) -> dict[str, str]:
    """Variables for deno, which then writes nothing outside the test's folder."""
    return {**os.environ, "DENO_DIR": str(tmp_path / "deno-dir")}
