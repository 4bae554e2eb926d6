from __future__ import annotations

import pytest

from runtimed.client.results import (
    Cell,
    CompletionItem,
    CompletionResult,
    ExecutionEvent,
    ExecutionResult,
    HistoryEntry,
    NotebookConnectionInfo,
    Output,
    QueueState,
    SimilarName,
    SyncEnvironmentResult,
    TrustInfo,
)

STDOUT = Output(output_type="stream", name="stdout", text='a\n"b"')
RESULT = Output(output_type="execute_result", data={"text/plain": "2", "text/html": "<b>2</b>"})
ERROR = Output(output_type="error", ename="ValueError", evalue="bad", traceback=["t"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (STDOUT, r'Output(stream, stdout: "a\n\"b\"")'),
        (RESULT, 'Output(execute_result, ["text/plain", "text/html"])'),
        (ERROR, "Output(error, ValueError: bad)"),
        (Output(output_type="novel"), "Output(novel)"),
        (Cell(id="c", source="x = 1"), 'Cell(id=c, type=code, source="x = 1", outputs=0)'),
        (
            Cell(id="c", cell_type="raw", source="x" * 31, outputs=[ERROR]),
            f'Cell(id=c, type=raw, source="{"x" * 30}"..., outputs=1)',
        ),
        (ExecutionResult(cell_id="c"), "ExecutionResult(cell=c, status=ok, outputs=0)"),
        (
            ExecutionResult(cell_id="c", outputs=[ERROR]),
            "ExecutionResult(cell=c, status=error, outputs=1)",
        ),
        (ExecutionEvent(event_type="done", cell_id="c"), "ExecutionEvent(done, cell=c)"),
        (ExecutionEvent(event_type="output", cell_id="c"), "ExecutionEvent(output, cell=c)"),
        (
            ExecutionEvent(event_type="execution_started", cell_id="c", execution_count=3),
            "ExecutionEvent(execution_started, cell=c, count=3)",
        ),
        (
            ExecutionEvent(event_type="error", error_message="it's dead"),
            'ExecutionEvent(error, cell=, msg="it\'s dead")',
        ),
        (
            NotebookConnectionInfo(notebook_id="n", cell_count=2),
            "NotebookConnectionInfo(notebook_id=n, cells=2, protocol_version=2, "
            "daemon_version=unknown)",
        ),
        (CompletionResult(cursor_start=1, cursor_end=4), "CompletionResult(0 items, cursor=1..4)"),
        (CompletionItem(label="a"), "CompletionItem(a)"),
        (CompletionItem(label="a", kind="module"), "CompletionItem(a, kind=module)"),
        (QueueState(), "QueueState(idle, queued=0)"),
        (QueueState(executing="c", queued=["d"]), "QueueState(executing=c, queued=1)"),
        (
            HistoryEntry(session=0, line=2, source="y" * 40),
            f'HistoryEntry(session=0, line=2, source="{"y" * 30}"...)',
        ),
        (
            SyncEnvironmentResult(success=True, synced_packages=["a"]),
            'SyncEnvironmentResult(success, packages=["a"])',
        ),
        (
            SyncEnvironmentResult(success=False, error="no", needs_restart=True),
            'SyncEnvironmentResult(failed, error="no", needs_restart=True)',
        ),
    ],
)
def test_reprs_are_those_of_the_reference(value: object, text: str) -> None:
    assert repr(value) == text


def test_what_is_told_of_trust_reads_well() -> None:
    name = SimilarName(package="reqeusts", similar_to="requests", distance=2)
    info = TrustInfo(
        status="untrusted",
        uv_dependencies=("reqeusts",),
        script_dependencies=("six>=1",),
        similar_names=(name,),
    )
    assert repr(info) == 'TrustInfo(untrusted, packages=["reqeusts", "six>=1"])'
    assert repr(name) == "SimilarName(reqeusts, similar_to=requests)"
    assert info.needs_approval
    assert info.uv_dependencies == ["reqeusts"]
    assert TrustInfo(status="signature_invalid").needs_approval
    assert not TrustInfo(status="trusted").needs_approval
    assert not TrustInfo(status="no_dependencies").needs_approval


def test_a_result_reads_its_outputs() -> None:
    more = Output(output_type="stream", name="stdout", text="c")
    warning = Output(output_type="stream", name="stderr", text="w")
    result = ExecutionResult(cell_id="c", outputs=[STDOUT, warning, RESULT, more, ERROR])
    assert result.stdout == 'a\n"b"c'
    assert result.stderr == "w"
    assert result.display_data == [RESULT]
    assert result.error is ERROR
    assert not result.success


def test_success_is_the_absence_of_errors_unless_said_otherwise() -> None:
    assert ExecutionResult(cell_id="c").success
    assert not ExecutionResult(cell_id="c", success=False).success


@pytest.mark.parametrize(
    "value", [STDOUT, Cell(id="c"), ExecutionResult(cell_id="c"), QueueState()]
)
def test_results_are_read_only(value: object) -> None:
    with pytest.raises(AttributeError):
        value.outputs = []  # type: ignore[attr-defined]


def test_cell_metadata_has_its_shortcuts() -> None:
    cell = Cell(
        id="c",
        metadata={
            "jupyter": {"source_hidden": True, "outputs_hidden": 1},
            "collapsed": True,
            "tags": ["a", 1, "b"],
        },
    )
    assert cell.is_source_hidden
    assert not cell.is_outputs_hidden
    assert cell.is_collapsed
    assert cell.tags == ["a", "b"]
    assert Cell(id="c").metadata_json == "{}"
    assert Cell(id="c", metadata={"tags": "no", "jupyter": "odd"}).tags == []
    assert not Cell(id="c", metadata={"jupyter": "odd"}).is_source_hidden
