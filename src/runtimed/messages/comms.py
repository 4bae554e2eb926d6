"""The widgets of a kernel as they are now: comm messages in, a snapshot for newcomers out.

Messages of the kernel and of front ends go in alike, in the order in which everybody hears of them;
so whoever starts from a snapshot and applies what comes after it has the same state as everybody
else. Also here: which Output widget captures the outputs of which message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from runtimed.messages.buffers import put_buffers, take_buffers
from runtimed.messages.captured import CAPTURED, CapturedOutputs, nbformat_output
from runtimed.protocol.structures import CommSnapshot

__all__ = ["COMM_MESSAGES", "CommState", "Comms"]

COMM_MESSAGES = frozenset({"comm_open", "comm_msg", "comm_close"})

#: Methods of a comm_msg that say what the state is. The second is the kernel's echo of an update
#: that a front end made; it tells in which order the kernel has seen updates, so it counts.
_UPDATES = frozenset({"update", "echo_update"})


@attrs.frozen
class CommState:
    """One open comm. Binary values stand at their places in the state."""

    comm_id: str
    target_name: str
    state: dict[str, Any]
    model_module: str | None = None
    model_name: str | None = None


@attrs.define(eq=False)
class _Comm:
    comm_id: str
    target_name: str
    state: dict[str, Any]
    model_module: str | None
    model_name: str | None
    outputs: CapturedOutputs | None = None  # stands for `outputs` of an Output widget's state
    capturing: str = ""  # the message whose outputs the widget captures

    def whole_state(self, *, to_newcomer: bool = False) -> dict[str, Any]:
        if self.outputs is None:
            return dict(self.state)
        return {**self.state, "outputs": self.outputs.values(to_newcomer=to_newcomer)}


class Comms:
    """Every open comm of one kernel, in order of creation."""

    def __init__(self) -> None:
        self._comms: dict[str, _Comm] = {}
        #: Comms that capture, by the id of the message whose outputs they capture; newest last.
        self.captures: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"<Comms {len(self._comms)} captures={len(self.captures)}>"

    def __len__(self) -> int:
        return len(self._comms)

    def __contains__(self, comm_id: object) -> bool:
        return comm_id in self._comms

    def clear(self) -> None:
        """The kernel is gone, and its widgets with it."""
        self._comms.clear()
        self.captures.clear()

    # ------------------------------------------------------------------ messages

    def apply(
        self, msg_type: str, content: Mapping[str, Any], buffers: Sequence[bytes] = ()
    ) -> None:
        """Take in a message. One about an unknown comm changes nothing, nor one without state.

        Raises: ValueError for buffer paths that lead nowhere; nothing has changed then.
        """
        comm_id = content.get("comm_id")
        data = content.get("data")
        if not isinstance(comm_id, str):
            return
        if msg_type == "comm_close":
            self._close(comm_id)
        elif msg_type == "comm_open":
            self._open(comm_id, content, data if isinstance(data, dict) else {}, buffers)
        elif msg_type == "comm_msg" and isinstance(data, dict):
            comm = self._comms.get(comm_id)
            if comm is not None:
                self._message(comm, data, buffers)

    @staticmethod
    def check(content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """See whether a message could be applied, without applying it.

        Raises: ValueError for buffer paths that lead nowhere.
        """
        data = content.get("data")
        if isinstance(data, dict):
            _state(data, buffers)

    def restore(self, snapshots: Sequence[CommSnapshot], *, more: bool = False) -> None:
        """Begin from what a newcomer is sent; with `more`, that continues what came before.

        Raises: ValueError for buffer paths that lead nowhere.
        """
        if not more:
            self.clear()
        for snapshot in snapshots:
            state = put_buffers(snapshot.state, snapshot.buffer_paths, snapshot.buffers)
            self._add(
                snapshot.comm_id,
                snapshot.target_name,
                state,
                snapshot.model_module,
                snapshot.model_name,
            )

    def _open(
        self,
        comm_id: str,
        content: Mapping[str, Any],
        data: dict[str, Any],
        buffers: Sequence[bytes],
    ) -> None:
        state = _state(data, buffers) or {}
        self._add(
            comm_id,
            str(content.get("target_name", "")),
            state,
            _text(state.get("_model_module")),
            _text(state.get("_model_name")),
        )

    def _add(
        self,
        comm_id: str,
        target_name: str,
        state: dict[str, Any],
        model_module: str | None,
        model_name: str | None,
    ) -> None:
        self._close(comm_id)
        comm = _Comm(comm_id, target_name, {}, model_module, model_name)
        if model_name == "OutputModel":
            comm.outputs = CapturedOutputs()
        self._comms[comm_id] = comm
        self._merge(comm, state)

    def _close(self, comm_id: str) -> None:
        comm = self._comms.pop(comm_id, None)
        if comm is not None:
            self._capture(comm, "")

    def _message(self, comm: _Comm, data: dict[str, Any], buffers: Sequence[bytes]) -> None:
        method = data.get("method")
        if method in _UPDATES:
            state = _state(data, buffers)
            if state is not None:
                self._merge(comm, state)
        elif method == "custom" and comm.outputs is not None:
            custom = data.get("content")
            if isinstance(custom, dict):
                if custom.get("method") == "output":
                    comm.outputs.add(custom.get("output"))
                elif custom.get("method") == "clear_output":
                    comm.outputs.clear(bool(custom.get("wait")))

    def _merge(self, comm: _Comm, state: dict[str, Any]) -> None:
        if comm.outputs is not None:
            if "outputs" in state:
                comm.outputs.replace(state["outputs"])
                state = {key: value for key, value in state.items() if key != "outputs"}
            if "msg_id" in state:
                self._capture(comm, _text(state["msg_id"]) or "")
        comm.state.update(state)

    # ------------------------------------------------------------------ capturing

    def captured_by(self, parent_id: str, msg_type: str) -> str | None:
        """The comm that an output of this message belongs to; None if it is the cell's."""
        receivers = self.captures.get(parent_id)
        return receivers[-1] if receivers and msg_type in CAPTURED else None

    def capture(
        self, comm_id: str, msg_type: str, content: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Give an output to a comm. Returns the contents of the comm_msgs that say so.

        They have been applied here; everybody else is to hear them, in this order.
        """
        outputs = self._comms[comm_id].outputs
        assert outputs is not None, "only an Output widget captures"
        if msg_type == "clear_output":
            said = [{"method": "clear_output", "wait": bool(content.get("wait"))}]
        else:
            said = [{"method": "output", "output": nbformat_output(msg_type, content)}]
            if outputs.must_clear:
                said.insert(0, {"method": "clear_output", "wait": False})
        contents = [
            {"comm_id": comm_id, "data": {"method": "custom", "content": custom}} for custom in said
        ]
        for message in contents:
            self.apply("comm_msg", message)
        return contents

    def captured_outputs(self, comm_id: str) -> list[dict[str, Any]] | None:
        """What an Output widget has captured; None if it is gone."""
        comm = self._comms.get(comm_id)
        return None if comm is None or comm.outputs is None else comm.outputs.values()

    def _capture(self, comm: _Comm, msg_id: str) -> None:
        if msg_id == comm.capturing:
            return
        if comm.capturing:
            others = self.captures[comm.capturing]
            others.remove(comm.comm_id)
            if not others:
                del self.captures[comm.capturing]
        comm.capturing = msg_id
        if msg_id:
            self.captures.setdefault(msg_id, []).append(comm.comm_id)

    # ------------------------------------------------------------------ what is

    def states(self) -> list[CommState]:
        """The open comms, oldest first."""
        return [
            CommState(
                comm.comm_id,
                comm.target_name,
                comm.whole_state(),
                comm.model_module,
                comm.model_name,
            )
            for comm in self._comms.values()
        ]

    def snapshots(self, *, to_newcomer: bool = True) -> list[CommSnapshot]:
        """The open comms, oldest first, binary values taken out of their state.

        A newcomer is somebody who will hear what is said from now on.
        """
        snapshots = []
        for comm in self._comms.values():
            state, paths, buffers = take_buffers(comm.whole_state(to_newcomer=to_newcomer))
            snapshots.append(
                CommSnapshot(
                    comm.comm_id,
                    comm.target_name,
                    state,
                    comm.model_module,
                    comm.model_name,
                    buffers=buffers,
                    buffer_paths=paths,
                )
            )
        return snapshots


def _state(data: Mapping[str, Any], buffers: Sequence[bytes]) -> dict[str, Any] | None:
    state = data.get("state")
    if not isinstance(state, dict):
        return None
    paths = data.get("buffer_paths")
    return put_buffers(state, paths if isinstance(paths, (list, tuple)) else (), buffers)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
