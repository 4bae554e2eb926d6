"""What the log says of a kernel's end names the room that it worked for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from runtimed.daemon.log import RoomFormatter
from runtimed.kernels.kernel import Kernel
from runtimed.kernels.kernels import Kernels
from runtimed.kernels.registry import KernelRegistry
from runtimed.rooms.context import current_room


class FakeKernel:
    """A kernel without a process: it answers, and ends when it is told to."""

    kernel_id = "k1"
    running = started = True
    exit_text = "it ended"
    spec: Any = None

    def __init__(self, error: Exception | None) -> None:
        self.ended = trio.Event()
        self.spec = self
        self._error = error

    def release(self) -> None:
        self.released = True

    async def run(self, *, on_process: Any, task_status: Any) -> None:
        task_status.started(self)
        await self.ended.wait()
        if self._error is not None:
            raise self._error

    async def run_silently(self, code: str) -> Any:
        self.content = {"status": "ok"}
        return self


@pytest.mark.parametrize("error", [None, ValueError("boom")])
async def test_the_end_of_a_warm_kernel_names_the_room_that_adopted_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(RoomFormatter("%(message)s"))
    kernels = Kernels(
        connections=tmp_path,
        registry=KernelRegistry(tmp_path / "kernels.json"),
        preparation=cast("Any", None),
        pool=cast("Any", None),
        warm_target=0,
    )
    fake = FakeKernel(error)
    kernel = cast("Kernel", fake)

    async def adopt() -> None:
        current_room.set("r1")
        assert await kernels._adopt(kernel, tmp_path)

    async with trio.open_nursery() as nursery:
        await nursery.start(kernels._run_kernel, kernel)
        async with trio.open_nursery() as room:
            room.start_soon(adopt)
        fake.ended.set()
    said = [line for line in caplog.text.splitlines() if "kernel=k1" in line]
    assert said[0] == "warm kernel adopted=True kernel=k1 room=r1"
    reason = "kernel ended kernel=k1 reason=it ended" if error is None else "kernel task failed"
    assert said[1].startswith(reason)
    assert said[1].endswith(" room=r1")
    assert fake.released
