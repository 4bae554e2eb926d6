"""Widgets through sessions; the kernel is pretended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio.testing
from loopback_sessions import open_daemon

from runtimed import AsyncSession, Comm, RuntimedError


def opened(comm_id: str, **state: Any) -> dict[str, Any]:
    return {"comm_id": comm_id, "target_name": "jupyter.widget", "data": {"state": state}}


async def test_sessions_see_what_each_of_them_sets_and_who_comes_later_sees_it_too(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as one, AsyncSession("n") as two:
        await two.connect()
        await one.start_kernel()
        kernel = daemon.kernels.launched[-1]
        kernel.say("", "comm_open", opened("w", value=3, _model_name="IntSliderModel"))
        await trio.testing.wait_all_tasks_blocked()
        await one.send_comm("w", {"value": 5, "image": {"data": b"\0!"}})
        kernel.say("", "comm_msg", {"comm_id": "w", "data": {"method": "update",
                                                             "state": {"max": 9}}})  # fmt: skip
        await two.send_comm("w", {"min": 1})
        await trio.testing.wait_all_tasks_blocked()
        state = {
            "value": 5, "_model_name": "IntSliderModel", "image": {"data": b"\0!"}, "max": 9,
            "min": 1,
        }  # fmt: skip
        expected = [Comm(comm_id="w", state=state, model_name="IntSliderModel")]
        async with AsyncSession("n") as three:
            await three.connect()
            assert await one.get_comms() == await two.get_comms() == expected
            assert await three.get_comms() == expected
        (header, content, buffers), _ = kernel.forwarded
        assert header["msg_type"] == "comm_msg"
        assert content["data"]["buffer_paths"] == [["image", "data"]]
        assert buffers == [b"\0!"]
        await one.shutdown_kernel()
        await trio.testing.wait_all_tasks_blocked()
        assert await one.get_comms() == await two.get_comms() == []


async def test_of_two_who_set_the_same_at_once_the_daemon_says_who_was_last(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as one, AsyncSession("n") as two:
        await two.connect()
        await one.start_kernel()
        daemon.kernels.launched[-1].say("", "comm_open", opened("w", value=0))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for value in range(20):
                for session in (one, two):
                    nursery.start_soon(session.send_comm, "w", {"value": (session is one, value)})
        await trio.testing.wait_all_tasks_blocked()
        last = daemon.kernels.launched[-1].forwarded[-1][1]["data"]["state"]
        for session in (one, two):
            assert (await session.get_comms())[0].state == last


async def test_a_custom_message_goes_to_the_kernel(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        kernel = daemon.kernels.launched[-1]
        kernel.say("", "comm_open", opened("w"))
        await trio.testing.wait_all_tasks_blocked()
        await session.send_comm("w", content={"event": "click"}, buffers=[b"x"])
        (_, content, buffers) = kernel.forwarded[0]
        assert content["data"] == {"method": "custom", "content": {"event": "click"}}
        assert buffers == [b"x"]


async def test_what_was_given_away_is_the_users(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        daemon.kernels.launched[-1].say("", "comm_open", opened("w", style={"x": 1}))
        await trio.testing.wait_all_tasks_blocked()
        (await session.get_comms())[0].state["style"]["x"] = 2
        assert (await session.get_comms())[0].state == {"style": {"x": 1}}


async def test_mistakes_show_at_the_call(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        with pytest.raises(RuntimedError, match="Not connected"):
            await session.get_comms()
        await session.start_kernel()
        with pytest.raises(RuntimedError, match="Widget not found: w"):
            await session.send_comm("w", {})
        daemon.kernels.launched[-1].say("", "comm_open", opened("w"))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(TypeError, match="either"):
            await session.send_comm("w")
        with pytest.raises(RuntimedError, match="can't be sent that"):
            await session.send_comm("w", {"value": object()})
        assert daemon.kernels.launched[-1].forwarded == []
