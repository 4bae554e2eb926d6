"""Widgets of the notebook's kernel, as this client knows them, and the calls that drive them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import orjson

from runtimed.client.arguments import as_text
from runtimed.client.membership import REQUEST_TIMEOUT, Membership, unexpected
from runtimed.client.portal import on_trio
from runtimed.client.results import Comm
from runtimed.errors import RuntimedError
from runtimed.messages.buffers import take_buffers
from runtimed.protocol import requests, responses

__all__ = ["CommCalls"]

log = logging.getLogger(__name__)


class CommCalls(Membership):
    """The part of a session that is about widgets."""

    @on_trio
    async def get_comms(self) -> list[Comm]:
        """The open widgets (and other comms) of the kernel, oldest first, as they are now.

        Binary values stand in their state as bytes.
        """
        return [
            Comm(
                comm_id=comm.comm_id,
                target_name=comm.target_name,
                state=copy.deepcopy(comm.state),
                model_module=comm.model_module,
                model_name=comm.model_name,
            )
            for comm in self._linked().widgets.comms.states()
        ]

    @on_trio
    async def send_comm(
        self,
        comm_id: str,
        state: Mapping[str, Any] | None = None,
        content: Any = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Set some of a widget's state as its user would, or send it a custom message.

        `state` holds what changes, bytes where a value is binary; all other peers see it. `content`
        and `buffers` make a custom message, which the kernel alone gets. Returns when the message
        is on its way to the kernel, which handles it when no cell is running.
        Raises: RuntimedError `No kernel running`, `Widget not found: ID`.
        """
        if (state is None) == (content is None):
            raise TypeError("give either state or content")
        link = self._linked()
        if as_text("comm_id", comm_id) not in link.widgets.comms:
            raise RuntimedError(f"Widget not found: {comm_id}")
        if state is not None:
            bare, paths, binary = take_buffers(dict(state))
            data: dict[str, Any] = {"method": "update", "state": bare, "buffer_paths": paths}
        else:
            data, binary = {"method": "custom", "content": content}, [bytes(b) for b in buffers]
        message = _as_heard({"comm_id": comm_id, "data": data})

        def sent(answer: object) -> None:
            # Its place among what others say is where its answer stands.
            if isinstance(answer, responses.Ok):
                link.widgets.apply("comm_msg", message, binary)

        answer = await link.request(_request(message, binary), REQUEST_TIMEOUT, sent)
        if isinstance(answer, responses.NoKernel):
            raise RuntimedError("No kernel running")
        if not isinstance(answer, responses.Ok):
            raise unexpected("send_comm", answer)


def _as_heard(content: dict[str, Any]) -> dict[str, Any]:
    """The content as others will hear it: what JSON makes of it, and nobody else's to change.

    Raises: RuntimedError for what JSON has no way to say.
    """
    try:
        heard: dict[str, Any] = orjson.loads(orjson.dumps(content))
    except TypeError as error:
        raise RuntimedError(f"A widget can't be sent that: {error}") from error
    return heard


def _request(content: dict[str, Any], buffers: Sequence[bytes]) -> requests.SendComm:
    header = {
        "msg_id": uuid4().hex,
        "msg_type": "comm_msg",
        "session": uuid4().hex,
        "username": "runtimed",
        "date": datetime.now(timezone.utc).isoformat(),
        "version": "5.3",
    }
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [list(buffer) for buffer in buffers],
    }
    return requests.SendComm(message)
