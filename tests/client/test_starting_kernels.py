"""A command line's `--env` and `--kernel` are kept to, or refused in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback_sessions import open_daemon

from runt_cli.starting import check_kernel, start_kernel
from runtimed import AsyncSession, RuntimedError
from runtimed.client.async_session import leave_running


async def test_a_kernel_in_another_environment_is_an_error_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as first:
        await first.start_kernel()
        session = AsyncSession("n")
        await session.connect()
        with pytest.raises(RuntimedError, match=r"running already, from uv:prewarmed.*stop n"):
            await start_kernel(session, "auto", "conda:prewarmed", "n")
        await session.connect()
        with pytest.raises(RuntimedError, match=r"running already, and is python.* runt stop n"):
            await start_kernel(session, "deno", "auto", "n")
        await leave_running(first)
        assert daemon.kernels.launched[0].running
    assert capsys.readouterr().err == ""


async def test_a_kernel_as_it_was_asked_for_is_used(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as first, AsyncSession("n") as session:
        await first.start_kernel()
        for env in ("auto", "", "prewarmed", "uv:prewarmed"):
            await start_kernel(session, "python", env, "n")
        assert await session.env_source() == "uv:prewarmed"


async def test_a_refusal_names_options_and_commands(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(
        '{"cells": [], "metadata": {"runt": {"schema_version": "1", "uv": {"dependencies":'
        ' ["evil"]}}}, "nbformat": 4, "nbformat_minor": 5}'
    )
    async with open_daemon(tmp_path), await AsyncSession.open_notebook(path) as session:
        with pytest.raises(RuntimedError, match="Notebook is not trusted") as refused:
            await start_kernel(session, "auto", "auto", "n.ipynb")
        assert f"Approve them with 'runt trust {path}', or use --env uv:prewarmed" in str(
            refused.value
        )
        with pytest.raises(RuntimedError, match=r"--env uv:pep723.* or use --env uv:prewarmed"):
            await start_kernel(session, "auto", "uv:pep723", "n.ipynb")


@pytest.mark.parametrize(
    ("kernel", "env", "message"),
    [
        ("auto", "foo", 'Unknown environment source: "foo"'),
        ("ruby", "auto", "Unsupported kernel type: ruby"),
        ("deno", "uv:prewarmed", "leave --env uv:prewarmed out"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_opened(
    kernel: str, env: str, message: str
) -> None:
    with pytest.raises(RuntimedError, match=message):
        check_kernel(kernel, env)
