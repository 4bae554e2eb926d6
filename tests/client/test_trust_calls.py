"""Trust as a program sees it: what a notebook asks for, and approving exactly that."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from loopback_sessions import open_daemon

from runtimed import AsyncSession, RuntimedError


def notebook(*packages: str) -> bytes:
    runt = {"schema_version": "1", "uv": {"dependencies": list(packages)}}
    value = {"cells": [], "metadata": {"runt": runt}, "nbformat": 4, "nbformat_minor": 5}
    return orjson.dumps(value)


async def test_a_program_looks_at_a_notebook_and_approves_what_it_saw(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook("reqeusts"))
    async with open_daemon(tmp_path), await AsyncSession.open_notebook(path) as session:
        info = await session.connection_info()
        assert info is not None
        assert info.needs_trust_approval
        trust = await session.trust_info()
        assert trust.needs_approval
        assert trust.uv_dependencies == ["reqeusts"]
        assert [name.similar_to for name in trust.similar_names] == ["requests"]
        assert (await session.approve_trust(trust.content)).status == "trusted"
        assert not (await session.trust_info()).needs_approval


async def test_edits_of_the_session_itself_are_looked_at_first(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook("requests"))
    async with open_daemon(tmp_path), await AsyncSession.open_notebook(path) as session:
        shown = await session.trust_info()
        await session.add_uv_dependency("evil")
        with pytest.raises(RuntimedError, match="changed meanwhile"):
            await session.approve_trust(shown.content)
        info = await session.approve_trust()
        assert (info.status, info.uv_dependencies) == ("trusted", ["requests", "evil"])


async def test_a_new_session_s_packages_are_trusted(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession() as session:
        await session.connect()
        assert (await session.trust_info()).status == "no_dependencies"
        await session.add_uv_dependency("requests")
        assert (await session.trust_info()).status == "trusted"
