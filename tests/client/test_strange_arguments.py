"""Whatever is passed in: an error that names it, or an answer; and the session goes on."""

from __future__ import annotations

import inspect
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from cancelling_calls import CALLS
from loopback_sessions import open_daemon

from runtimed import AsyncSession, RuntimedError

STRANGE: list[Any] = [
    None, True, -1, 0, 2**70, 1.5, float("nan"), float("inf"), "", "\0", "\ud800", "x" * 2_000,
    b"bytes", [], [None], ["\ud800"], ["x"] * 200, {}, object(), Path("x\0y"), "\u2028", "☺" * 300,
]  # fmt: skip

GOOD: dict[str, Any] = {
    "hidden": True, "path": ["a", "b"], "tags": ["t"], "cursor_pos": 1, "line": 0, "column": 0,
    "anchor_line": 0, "anchor_col": 0, "head_line": 0, "head_col": 0, "cell_type": "code",
}  # fmt: skip

EXPECTED = (RuntimedError, TypeError, OverflowError, ValueError)


@pytest.mark.filterwarnings("ignore:asked for a kernel:RuntimeWarning")
@pytest.mark.parametrize("name", sorted({*CALLS, "stream_execute", "delete_cell", "move_cell"}))
async def test_strange_arguments_harm_nobody_but_the_call(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with trio.fail_after(60):
        async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
            await session.start_kernel()
            cell_id = await session.create_cell("print x")
            method = getattr(session, name)
            parameters = inspect.signature(method).parameters.values()
            good = {p.name: GOOD.get(p.name, "1") for p in parameters if p.default is p.empty}
            if "cell_id" in good:
                good["cell_id"] = cell_id
            for parameter in parameters:
                for value in STRANGE:
                    with trio.move_on_after(0.5), suppress(*EXPECTED):
                        await method(**{**good, parameter.name: value})
                    assert await session.is_connected(), (parameter.name, value)
            assert (await session.run("print still")).stdout == "still"
            assert daemon.listed()["n"].active_peers == 1
