"""Sync messages that are valid, and change the document into what no client would make of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from automerge.core import ROOT, ObjType, ScalarType, Transaction

from loopback import Loopback, open_loopback
from runtimed.protocol import requests, responses
from stock_client import StockClient


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Loopback]:
    async with open_loopback(tmp_path) as loopback:
        yield loopback


@pytest.fixture(autouse=True)
def no_traceback_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    failures = [record for record in caplog.get_records("call") if record.exc_info]
    assert not failures, [(record.getMessage(), record.exc_info) for record in failures]


def _cells_as_text(client: StockClient, t: Transaction) -> None:
    t.put(ROOT, "cells", ScalarType.Str, "none")


def _no_cells(client: StockClient, t: Transaction) -> None:
    t.delete(ROOT, "cells")


def _no_metadata(client: StockClient, t: Transaction) -> None:
    t.delete(ROOT, "metadata")


def _metadata_as_list(client: StockClient, t: Transaction) -> None:
    t.put_object(ROOT, "metadata", ObjType.List)


def _later_schema(client: StockClient, t: Transaction) -> None:
    t.put(ROOT, "schema_version", ScalarType.Str, "three")


def _cell_as_number(client: StockClient, t: Transaction) -> None:
    t.put(client._cells(), "odd", ScalarType.Int, -7)


def _empty_cell(client: StockClient, t: Transaction) -> None:
    t.put_object(client._cells(), "odd", ObjType.Map)


def _cell_of_wrong_types(client: StockClient, t: Transaction) -> None:
    cell = t.put_object(client._cells(), "odd", ObjType.Map)
    t.put(cell, "id", ScalarType.Str, "odd")
    t.put_object(cell, "cell_type", ObjType.List)
    t.put(cell, "position", ScalarType.F64, 0.5)
    t.put(cell, "source", ScalarType.Bytes, b"\xff")
    t.put(cell, "execution_count", ScalarType.Str, "9" * 5000)
    outputs = t.put_object(cell, "outputs", ObjType.List)
    t.insert(outputs, 0, ScalarType.Int, 1)
    t.insert(outputs, 1, ScalarType.Str, "../../etc/passwd")
    t.put(cell, "metadata", ScalarType.Str, "{broken")
    t.put(cell, "resolved_assets", ScalarType.Null, None)


def _deep_metadata(client: StockClient, t: Transaction) -> None:
    at = t.put_object(ROOT, "metadata", ObjType.Map)
    for _ in range(1500):
        at = t.put_object(at, "runt", ObjType.Map)


def _deep_cell_metadata(client: StockClient, t: Transaction) -> None:
    cell = t.put_object(client._cells(), "odd", ObjType.Map)
    t.put(cell, "id", ScalarType.Str, "odd")
    t.put(cell, "cell_type", ScalarType.Str, "code")
    at = t.put_object(cell, "metadata", ObjType.Map)
    for _ in range(1500):
        at = t.put_object(at, "tags", ObjType.Map)


def _strange_keys(client: StockClient, t: Transaction) -> None:
    for key in ("\0", "\u202e", "x" * 5000, "__proto__", "/etc/passwd"):
        cell = t.put_object(client._cells(), key, ObjType.Map)
        t.put(cell, "id", ScalarType.Str, "another id")
        t.put(cell, "position", ScalarType.Str, "")


def _strange_numbers(client: StockClient, t: Transaction) -> None:
    t.put(ROOT, "notebook_id", ScalarType.Uint, 2**64 - 1)
    metadata = t.put_object(ROOT, "metadata", ObjType.Map)
    t.put(metadata, "kernelspec", ScalarType.Int, -(2**63))
    t.put(metadata, "runt", ScalarType.F64, float("nan"))


HOSTILE: list[Callable[[StockClient, Transaction], None]] = [
    _cells_as_text,
    _no_cells,
    _no_metadata,
    _metadata_as_list,
    _later_schema,
    _cell_as_number,
    _empty_cell,
    _cell_of_wrong_types,
    _deep_metadata,
    _deep_cell_metadata,
    _strange_keys,
    _strange_numbers,
]


@pytest.mark.parametrize("edit", HOSTILE, ids=lambda edit: edit.__name__.strip("_"))
async def test_a_document_made_unusable_is_that_notebooks_misfortune_alone(
    daemon: Loopback, tmp_path: Path, edit: Callable[[StockClient, Transaction], None]
) -> None:
    good = await daemon.join("good")
    good.replica.document.insert_cell("c", "code", "print 1")
    await good.sync()
    client = StockClient(daemon.connect_raw())
    await client.open(channel="notebook_sync", notebook_id="bad")
    client.add_cell("c", "print 1", "80")
    await client.confirm()
    await client.request("launch_kernel", kernel_type="python", env_source="auto")
    client.change(lambda t: edit(client, t))
    await client.send_sync()
    # Every request has some answer, and what it looks at is whatever is left.
    for request in (
        {"action": "run_all_cells"},
        {"action": "execute_cell", "cell_id": "c"},
        {"action": "execute_cell", "cell_id": "odd"},
        {"action": "clear_outputs", "cell_id": "odd"},
        {"action": "get_metadata_snapshot"},
        {"action": "set_raw_metadata", "key": "k", "value": "v"},
        {"action": "get_doc_bytes"},
        {"action": "save_notebook", "format_cells": False, "path": str(tmp_path / "saved.ipynb")},
        {"action": "get_queue_state"},
    ):
        answer = await client.request(**request)
        assert "Internal error" not in str(answer.get("error")), (request, answer)
    late = StockClient(daemon.connect_raw())
    await late.open(channel="notebook_sync", notebook_id="bad")
    await trio.sleep(0.6)  # until it is saved
    # Nothing of that has reached anybody else.
    await good.ask(requests.LaunchKernel("python", "auto"))
    assert isinstance(await good.ask(requests.ExecuteCell("c")), responses.CellQueued)
    assert (await good.hear_done("c")).outcome == "ok"
    assert set(daemon.listed()) == {"good", "bad"}
