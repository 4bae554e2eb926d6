"""A valid conversation on each channel, as frames, for tests that then get them wrong.

None of them does harm to a notebook that others have open: cells and notebooks that they name for
running, clearing or closing are nowhere.
"""

from __future__ import annotations

from typing import Any

import orjson

from runtimed.client.replica import Replica
from runtimed.document.actors import client_actor
from runtimed.document.notebook import NotebookDocument
from runtimed.document.settings import SettingsDocument
from runtimed.protocol import convert, requests
from runtimed.protocol.presence import (
    Cursor,
    Custom,
    Heartbeat,
    PresenceBody,
    Selection,
    Update,
    encode,
)

__all__ = ["CONVERSATIONS", "ROOM"]

#: The notebook that others have open.
ROOM = "room"


def hello(channel: str, **fields: Any) -> bytes:
    return orjson.dumps({"channel": channel, **fields})


def notebook_hello() -> bytes:
    return hello("notebook_sync", notebook_id=ROOM, protocol="v2")


def sync_messages() -> list[bytes]:
    """A client that begins and then writes a cell."""
    replica = Replica("fuzz")
    first = replica.outgoing()
    other = NotebookDocument.create("room", client_actor("other"))
    other.insert_cell("m", "code", "print 1")
    peer = other.new_peer()
    second = other.generate_sync(peer)
    assert first is not None
    other.receive_sync(peer, first)
    third = other.generate_sync(peer)
    return [message for message in (first, second, third) if message is not None]


REQUESTS: list[Any] = [
    requests.QueueCell("nowhere", "1"),
    requests.ExecuteCell("nowhere"),
    requests.ExecuteCell("nowhere", heads=("ab" * 32,)),
    requests.ClearOutputs("nowhere"),
    requests.LaunchKernel("python", "auto", "/nonexistent/x.ipynb"),
    requests.GetKernelInfo(),
    requests.GetQueueState(),
    requests.SendComm({"header": {"msg_type": "comm_msg"}, "content": {"data": {}}}),
    requests.GetHistory("p", 10, True),
    requests.Complete("ab", 1),
    requests.SaveNotebook(False, "/nonexistent/x.ipynb"),
    requests.CloneNotebook("/nonexistent/x.ipynb"),
    requests.SyncEnvironment(),
    requests.GetDocBytes(),
    requests.GetRawMetadata("k"),
    requests.SetRawMetadata("k", "v"),
    requests.GetMetadataSnapshot(),
    requests.SetMetadataSnapshot('{"runt":{"uv":{"dependencies":["a"]}},"custom":{"a":[1,{}]}}'),
    requests.GetHeads(),
    requests.LeaveNotebook(False),
]

POOL = [
    {"type": "ping", "id": 1},
    {"type": "status"},
    {"type": "list_rooms", "id": "x"},
    {"type": "take", "env_type": "uv"},
    {"type": "return", "env": {"env_type": "uv", "venv_path": "/n/v", "python_path": "/n/p"}},
    {"type": "flush_pool"},
    {"type": "inspect_notebook", "notebook_id": ROOM},
    {"type": "inspect_notebook", "notebook_id": "nowhere"},
    {"type": "shutdown_notebook", "notebook_id": "nowhere"},
    {"type": "interrupt_notebook", "notebook_id": "nowhere"},
]

PRESENCE: list[PresenceBody] = [
    Update("", Cursor("c", 1, 2), "Eve"),
    Update("", Selection("c", 1, 2, 3, 4)),
    Update("", Custom((1, 2, 3)), "Eve"),
    Heartbeat("p"),
]


def settings_messages() -> list[bytes]:
    document = SettingsDocument.empty(client_actor("fuzz"))
    first = document.generate_sync(document.new_peer())
    foreign = sync_messages()[1:]
    assert first is not None
    return [first, *foreign]


#: The frames of a valid conversation on each channel, and how many of them stay as they are. The
#: handshakes are mutated on their own: the notebook they name becomes another one by that.
CONVERSATIONS: dict[str, tuple[list[bytes], int]] = {
    "handshake: notebook_sync": ([notebook_hello()], 0),
    "handshake: open_notebook": ([hello("open_notebook", path="/nonexistent/n.ipynb")], 0),
    "handshake: create_notebook": (
        [hello("create_notebook", runtime="python", working_dir="/nonexistent", notebook_id="n")],
        0,
    ),
    "notebook: sync": ([notebook_hello(), *(b"\0" + m for m in sync_messages())], 1),
    "notebook: requests": (
        [notebook_hello(), *(b"\1" + convert.dump(r, n) for n, r in enumerate(REQUESTS))],
        1,
    ),
    "notebook: presence": ([notebook_hello(), *(b"\4" + encode(b) for b in PRESENCE)], 1),
    "pool: requests": ([hello("pool"), *map(orjson.dumps, POOL)], 1),
    "blob": (
        [
            hello("blob"),
            b'{"action":"store","media_type":"image/png"}',
            b"\x89PNG" * 9,
            b'{"action":"get_port"}',
            b'{"action":"store","media_type":"text/plain"}',
            b"",
        ],
        1,
    ),
    "settings_sync": ([hello("settings_sync"), *settings_messages()], 1),
    "pool_state_subscribe": ([hello("pool_state_subscribe"), b"{}", b""], 1),
}
