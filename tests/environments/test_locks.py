"""Locks between daemons: who holds one, and what an unlinked file is worth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from runtimed.environments.locks import hold_lock, try_lock


def test_one_holds_it_alone_and_many_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with try_lock(path) as first, try_lock(path) as second, try_lock(path, shared=True) as third:
        assert (first, second, third) == (True, False, False)
    with try_lock(path, shared=True) as first, try_lock(path, shared=True) as second:
        assert first
        assert second
        with try_lock(path) as alone:
            assert not alone


def test_a_lock_on_a_file_that_was_unlinked_meanwhile_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    opened = os.open
    files: list[int] = []

    def open_and_lose(*arguments: Any) -> int:
        descriptor = opened(*arguments)
        files.append(descriptor)
        if len(files) == 1:  # the holder before us removes it now
            path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose)
    with try_lock(path) as held:
        assert held
        assert path.exists()
        with try_lock(path) as another:
            assert not another
    assert len(files) == 3


async def test_waiting_ends_when_the_holder_lets_go_and_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []

    async def wait() -> None:
        async with hold_lock(path):
            order.append("second")
            with try_lock(path) as another:
                assert not another

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            with try_lock(path) as held:
                assert held
                nursery.start_soon(wait)
                await trio.sleep(0.1)
                order.append("first")
                path.unlink()
    assert order == ["first", "second"]
