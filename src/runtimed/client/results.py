"""What the client hands to its user: cells, outputs, results and events, as frozen values.

Every class can be built by keyword, so that programs can test themselves without a daemon. Knows
nothing of wires, documents or Trio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import orjson

__all__ = [
    "Cell",
    "Comm",
    "CompletionItem",
    "CompletionResult",
    "ExecutionEvent",
    "ExecutionResult",
    "HistoryEntry",
    "InputRequest",
    "NotebookConnectionInfo",
    "Output",
    "QueueState",
    "SimilarName",
    "SyncEnvironmentResult",
    "TrustInfo",
]


def _quoted(text: str) -> str:
    """Text between double quotes, with everything that isn't printable escaped."""
    return '"' + repr('"' + text)[2:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def _beginning(text: str) -> str:
    return _quoted(text[:30]) + ("..." if len(text) > 30 else "")


def _list(values: Sequence[Any]) -> list[Any]:
    return list(values)


@attrs.frozen(kw_only=True, repr=False)
class Output:
    """One output of a cell. Which attributes are set depends on `output_type`.

    `text` and `name` belong to `stream`; `data` (MIME type to text; JSON types as compact JSON
    text, binary types as base64) to `display_data` and `execute_result`; `ename`, `evalue` and
    `traceback` to `error`.
    """

    output_type: str
    name: str | None = None
    text: str | None = None
    data: dict[str, str] | None = None
    ename: str | None = None
    evalue: str | None = None
    traceback: list[str] | None = None
    execution_count: int | None = None
    metadata: dict[str, Any] = attrs.field(factory=dict)
    display_id: str | None = None

    def __repr__(self) -> str:
        if self.output_type == "stream":
            return f"Output(stream, {self.name}: {_quoted(self.text or '')})"
        if self.output_type in ("display_data", "execute_result"):
            types = ", ".join(_quoted(mime) for mime in self.data or ())
            return f"Output({self.output_type}, [{types}])"
        if self.output_type == "error":
            return f"Output(error, {self.ename}: {self.evalue})"
        return f"Output({self.output_type})"


def _compact_json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


@attrs.frozen(kw_only=True, repr=False)
class Cell:
    """A cell as it was when it was read. `outputs` are complete, wherever their data lay.

    Shape: `position` is a fractional index; cells of a notebook sort by it, ties by `id`.
    """

    id: str
    cell_type: str = "code"
    source: str = ""
    position: str = "80"
    execution_count: int | None = None
    outputs: list[Output] = attrs.field(factory=list, converter=_list)
    metadata: dict[str, Any] = attrs.field(factory=dict)

    @property
    def metadata_json(self) -> str:
        """The metadata as JSON text, `{}` when there is none."""
        return _compact_json(self.metadata)

    @property
    def is_source_hidden(self) -> bool:
        return self._jupyter_flag("source_hidden")

    @property
    def is_outputs_hidden(self) -> bool:
        return self._jupyter_flag("outputs_hidden")

    @property
    def is_collapsed(self) -> bool:
        return self.metadata.get("collapsed") is True

    @property
    def tags(self) -> list[str]:
        """The texts among `metadata.tags`."""
        tags = self.metadata.get("tags")
        return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []

    def _jupyter_flag(self, name: str) -> bool:
        jupyter = self.metadata.get("jupyter")
        return isinstance(jupyter, dict) and jupyter.get(name) is True

    def __repr__(self) -> str:
        return (
            f"Cell(id={self.id}, type={self.cell_type}, source={_beginning(self.source)}, "
            f"outputs={len(self.outputs)})"
        )


@attrs.frozen(kw_only=True, repr=False)
class ExecutionResult:
    """How one execution of a cell ended, and all that it put out.

    `success` is whether no output is an error; a Python exception in the cell is a result, never an
    exception of this package.
    """

    cell_id: str
    outputs: list[Output] = attrs.field(factory=list, converter=_list)
    execution_count: int | None = None
    success: bool = attrs.field()

    @success.default
    def _no_error(self) -> bool:
        return self.error is None

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    @property
    def display_data(self) -> list[Output]:
        """The outputs that carry data: displays and the result."""
        return [o for o in self.outputs if o.output_type in ("display_data", "execute_result")]

    @property
    def error(self) -> Output | None:
        """The first error, None when there is none."""
        return next((o for o in self.outputs if o.output_type == "error"), None)

    def _stream(self, name: str) -> str:
        return "".join(
            o.text or "" for o in self.outputs if o.output_type == "stream" and o.name == name
        )

    def __repr__(self) -> str:
        status = "ok" if self.success else "error"
        return f"ExecutionResult(cell={self.cell_id}, status={status}, outputs={len(self.outputs)})"


@attrs.frozen(kw_only=True, repr=False)
class ExecutionEvent:
    """Something that happened to a cell or to the kernel.

    Shape: `event_type` is `execution_started`, `output`, `done`, `error`, `kernel_status` or, in
    sessions that can answer, `input_request`. The status text of `kernel_status` is in `status`
    and, for older programs, in `error_message` too.
    """

    event_type: str
    cell_id: str = ""
    output: Output | None = None
    output_index: int | None = None
    execution_count: int | None = None
    error_message: str | None = None
    status: str | None = None
    input_request: InputRequest | None = None

    def __repr__(self) -> str:
        detail = ""
        if self.event_type == "execution_started" and self.execution_count is not None:
            detail = f", count={self.execution_count}"
        elif self.event_type == "error" and self.error_message is not None:
            detail = f", msg={_quoted(self.error_message)}"
        return f"ExecutionEvent({self.event_type}, cell={self.cell_id}{detail})"


@attrs.frozen(kw_only=True)
class InputRequest:
    """A line of text that a running cell waits for. With `password` it is not to be shown."""

    id: str
    cell_id: str
    prompt: str = ""
    password: bool = False


@attrs.frozen(kw_only=True, repr=False)
class Comm:
    """A widget of the kernel, or another comm, as it was when it was read.

    Binary values stand in `state` as bytes. `model_name` says what a widget is, `IntSliderModel`
    for example.
    """

    comm_id: str
    target_name: str = "jupyter.widget"
    state: dict[str, Any] = attrs.field(factory=dict)
    model_module: str | None = None
    model_name: str | None = None

    def __repr__(self) -> str:
        return f"Comm({self.model_name or self.target_name}, id={self.comm_id})"


@attrs.frozen(kw_only=True, repr=False)
class NotebookConnectionInfo:
    """What the daemon said when the notebook was opened."""

    notebook_id: str
    cell_count: int = 0
    needs_trust_approval: bool = False
    protocol: str = "v2"
    protocol_version: int | None = 2
    daemon_version: str | None = None
    error: str | None = None

    def __repr__(self) -> str:
        return (
            f"NotebookConnectionInfo(notebook_id={self.notebook_id}, cells={self.cell_count}, "
            f"protocol_version={self.protocol_version}, "
            f"daemon_version={self.daemon_version or 'unknown'})"
        )


@attrs.frozen(kw_only=True, repr=False)
class CompletionItem:
    """One proposal of the kernel for the text at the cursor."""

    label: str
    kind: str | None = None
    detail: str | None = None
    source: str | None = None

    def __repr__(self) -> str:
        return f"CompletionItem({self.label}" + (f", kind={self.kind})" if self.kind else ")")


@attrs.frozen(kw_only=True, repr=False)
class CompletionResult:
    """Proposals for the characters from `cursor_start` to `cursor_end`."""

    items: list[CompletionItem] = attrs.field(factory=list, converter=_list)
    cursor_start: int = 0
    cursor_end: int = 0

    def __repr__(self) -> str:
        return (
            f"CompletionResult({len(self.items)} items, "
            f"cursor={self.cursor_start}..{self.cursor_end})"
        )


@attrs.frozen(kw_only=True, repr=False)
class QueueState:
    """The cell that is executing, and those that wait behind it."""

    executing: str | None = None
    queued: list[str] = attrs.field(factory=list, converter=_list)

    def __repr__(self) -> str:
        now = f"executing={self.executing}" if self.executing is not None else "idle"
        return f"QueueState({now}, queued={len(self.queued)})"


@attrs.frozen(kw_only=True, repr=False)
class HistoryEntry:
    """One input the kernel remembers. `session` 0 is the current one."""

    session: int
    line: int
    source: str

    def __repr__(self) -> str:
        return (
            f"HistoryEntry(session={self.session}, line={self.line}, "
            f"source={_beginning(self.source)})"
        )


@attrs.frozen(kw_only=True, repr=False)
class SyncEnvironmentResult:
    """Whether the running environment now has what the notebook declares."""

    success: bool
    synced_packages: list[str] = attrs.field(factory=list, converter=_list)
    error: str | None = None
    needs_restart: bool = False

    def __repr__(self) -> str:
        if self.success:
            packages = ", ".join(_quoted(name) for name in self.synced_packages)
            return f"SyncEnvironmentResult(success, packages=[{packages}])"
        return (
            f"SyncEnvironmentResult(failed, error={_quoted(self.error or '')}, "
            f"needs_restart={self.needs_restart})"
        )


@attrs.frozen(kw_only=True, repr=False)
class SimilarName:
    """A package whose name is almost that of a popular one. `distance` counts the letters."""

    package: str
    similar_to: str
    distance: int

    def __repr__(self) -> str:
        return f"SimilarName({self.package}, similar_to={self.similar_to})"


@attrs.frozen(kw_only=True, repr=False)
class TrustInfo:
    """What a notebook asks for, and whether that was approved on this machine.

    Shape: `status` is `no_dependencies`, `trusted`, `untrusted`, or `signature_invalid` for what
    was changed since it was approved. `content` names exactly this, for `approve_trust`.
    `constraints` have a say in which versions are installed, such as `requires-python >=3.10`.
    `similar_names` are packages that may be others than was meant.
    """

    status: str
    content: str = ""
    uv_dependencies: list[str] = attrs.field(factory=list, converter=_list)
    conda_dependencies: list[str] = attrs.field(factory=list, converter=_list)
    conda_channels: list[str] = attrs.field(factory=list, converter=_list)
    script_dependencies: list[str] = attrs.field(factory=list, converter=_list)
    constraints: list[str] = attrs.field(factory=list, converter=_list)
    similar_names: list[SimilarName] = attrs.field(factory=list, converter=_list)

    @property
    def needs_approval(self) -> bool:
        """Whether nothing of it is installed before `approve_trust`."""
        return self.status in ("untrusted", "signature_invalid")

    def __repr__(self) -> str:
        packages = [*self.uv_dependencies, *self.conda_dependencies, *self.script_dependencies]
        return f"TrustInfo({self.status}, packages=[{', '.join(map(_quoted, packages))}])"
