"""A stock client works with this daemon and beside our own clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from daemon_home import DaemonHome
from runtimed import AsyncSession
from stock_client import stock_client

pytestmark = pytest.mark.real


async def test_a_stock_client_opens_edits_runs_and_saves_beside_one_of_ours(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    path = tmp_path / "shared.ipynb"
    with trio.fail_after(90):
        async with (
            await AsyncSession.open_notebook(path, peer_label="ours") as ours,
            stock_client(daemon_home.socket, channel="open_notebook", path=str(path)) as stock,
        ):
            assert stock.reply["notebook_id"] == ours.notebook_id == str(path)
            [empty] = stock.cell_ids()

            # Edits, in both directions and at once.
            stock.add_cell("theirs", "print('h\u00e9llo')", "8180")
            await stock.send_sync()
            cell = await ours.create_cell("x = 40")
            await stock.wait(lambda: cell in stock.cell_ids())
            stock.append(cell, " + 2")
            await stock.confirm()
            while (await ours.get_cell(cell)).source != "x = 40 + 2":  # noqa: ASYNC110
                await trio.sleep(0.01)

            # A kernel, and runs from both sides.
            launched = await stock.request(
                "launch_kernel", 60, kernel_type="auto", env_source="auto", notebook_path=None
            )
            assert launched["result"] in ("kernel_launched", "kernel_already_running")
            [output] = await stock.execute("theirs")
            assert len(output) == 64
            while not (found := (await ours.get_cell("theirs")).outputs):  # noqa: ASYNC110
                await trio.sleep(0.01)
            [seen] = found
            assert seen.text == "h\u00e9llo\n"
            await ours.set_source(cell, "6 * 7")
            result = await ours.execute_cell(cell)
            assert (result.success, result.outputs[0].data) == (True, {"text/plain": "42"})
            await stock.wait(lambda: stock.outputs(cell) != [])
            await stock.hear("execution_done", cell_id=cell)
            assert stock.text(cell, "execution_count") == "2"

            # The other requests, one at a time.
            completions: dict[str, Any] = {"result": "error"}
            while completions["result"] == "error":  # a kernel's first one may take its time
                completions = await stock.request("complete", code="prin", cursor_pos=4)
            assert "print" in [item["label"] for item in completions["items"]]
            history = await stock.request("get_history", pattern="6 * 7", n=10, unique=False)
            assert {entry["source"] for entry in history["entries"]} <= {"6 * 7"}
            info = await stock.request("get_kernel_info")
            assert (info["kernel_type"], info["status"]) == ("python", "idle")
            state = await stock.request("get_queue_state")
            assert state == {"result": "queue_state", "executing": None, "queued": []}
            await stock.request("clear_outputs", cell_id="theirs")
            await stock.wait(lambda: stock.outputs("theirs") == [])
            stock.delete_cell(empty)
            await stock.confirm()
            assert (await stock.request("run_all_cells"))["count"] == 2
            await stock.hear("execution_done", cell_id="theirs")
            await stock.hear("execution_done", cell_id=cell)
            saved = await stock.request("save_notebook", format_cells=False)
            assert saved == {"result": "notebook_saved", "path": str(path)}
            cells = json.loads(path.read_text())["cells"]
            sources = ["".join(entry["source"]) for entry in cells]
            assert sorted(sources) == ["6 * 7", "print('h\u00e9llo')"]
            stopped = await stock.request("shutdown_kernel")
            assert stopped["result"] == "kernel_shutting_down"
            assert await ours.get_peers() == []  # it never said that it is there


async def test_a_stock_client_is_told_when_it_can_not_have_what_it_asks_for(
    bare_daemon: Callable[..., DaemonHome], tmp_path: Path
) -> None:
    home = bare_daemon()
    (tmp_path / "broken.ipynb").write_text("{")
    with trio.fail_after(30):
        with pytest.raises(RuntimeError, match=r"broken\.ipynb|JSON"):
            async with stock_client(
                home.socket, channel="open_notebook", path=str(tmp_path / "broken.ipynb")
            ):
                pass
        async with stock_client(
            home.socket, channel="notebook_sync", notebook_id="a room", protocol="v2"
        ) as stock:
            stock.add_cell("c", "1", "80")
            await stock.confirm()
            assert await stock.request("execute_cell", cell_id="c") == {"result": "no_kernel"}
            missing = await stock.request("execute_cell", cell_id="x")
            assert missing == {"result": "error", "error": "Cell not found in document: x"}
