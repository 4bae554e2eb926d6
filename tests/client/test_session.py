"""Blocking sessions against the fake daemon, over a real socket and in real time."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon

import runtimed
from runtimed import ExecutionResult, RuntimedError, Session
from runtimed.protocol import requests
from waiting import wait_until

pytest_plugins = ["fake_daemon_fixture"]
pytestmark = pytest.mark.real


def test_the_quick_start_works(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.start_kernel()
        result = session.run("say hello")
        assert result.stdout == "hello\n"
        assert result.success
        assert result.execution_count == 1


def test_a_new_session_opens_nothing(daemon: FakeDaemon) -> None:
    session = Session(notebook_id="n")
    assert session.notebook_id == "n"
    assert not session.is_connected
    assert not session.kernel_started
    assert (session.kernel_type, session.env_source, session.connection_info) == (None,) * 3
    assert repr(session) == "Session(id=n, status=disconnected)"
    with session as entered:
        assert entered is session
        assert not session.is_connected
    assert daemon.connections == 0
    assert Session().notebook_id.startswith("agent-session-")


def test_states_follow_what_happens(daemon: FakeDaemon) -> None:
    with Session(notebook_id="n") as session:
        session.connect()
        session.connect()
        assert daemon.connections == 1
        assert repr(session) == "Session(id=n, status=connected)"
        info = session.connection_info
        assert info is not None
        assert (info.notebook_id, info.protocol, info.daemon_version) == ("n", "v2", "fake")
        session.start_kernel()
        assert repr(session) == "Session(id=n, status=kernel_running)"
        assert (session.kernel_type, session.env_source) == ("python", "uv:prewarmed")
        session.shutdown_kernel()
        session.shutdown_kernel()
        assert (session.kernel_started, session.kernel_type) == (False, None)
    assert not session.is_connected


def test_two_sessions_share_cells_and_kernel(daemon: FakeDaemon) -> None:
    with Session("shared") as first, Session("shared") as second:
        first.start_kernel()
        cell_id = first.create_cell("say x")
        first.execute_cell(cell_id)
        second.connect()
        assert not second.kernel_started
        second.start_kernel()
        cells = second.get_cells()
        assert [cell.id for cell in cells] == [cell_id]
        assert [output.text for output in cells[0].outputs] == ["x\n"]
        assert cells[0].execution_count == 1
        second.execute_cell(second.create_cell("say y"))
        wait_until(lambda: len(first.get_cells()) == 2)


def test_leaving_stops_the_kernel_unless_others_are_there(daemon: FakeDaemon) -> None:
    other = Session("n")
    other.connect()
    with Session("n") as session:
        session.start_kernel()
    assert daemon.room("n").kernel is not None
    other.start_kernel()
    other.close()
    assert daemon.room("n").kernel is None
    other.close()


def test_a_session_that_never_asked_for_a_kernel_stops_none(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.connect()
        daemon.room("n").kernel = ("python", "x")
    assert daemon.room("n").kernel is not None


def test_edits_right_before_leaving_arrive(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        ids = [session.create_cell(f"x = {i}") for i in range(20)]
    assert daemon.room("n").document.cell_ids() == ids


def test_after_closing_methods_say_so_and_connecting_again_works(daemon: FakeDaemon) -> None:
    session = Session("n")
    with pytest.raises(RuntimedError, match=r"^Not connected$"):
        session.get_cells()
    cell_id = session.create_cell("x")
    session.close()
    with pytest.raises(RuntimedError, match=r"^Not connected$"):
        session.set_source(cell_id, "y")
    with pytest.raises(
        RuntimedError, match=r"^Not connected - call connect\(\) or start_kernel\(\) first$"
    ):
        session.subscribe()
    session.connect()
    assert session.get_cell(cell_id).source == "x"
    session.close()


def test_the_exception_of_the_body_gets_out_unchanged(daemon: FakeDaemon) -> None:
    def block() -> None:
        with Session() as session:
            session.start_kernel()
            daemon.hold_answers.add(requests.LeaveNotebook)
            threading.Timer(0.1, daemon.cut).start()
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        block()


def test_cells_are_edited_and_read(daemon: FakeDaemon) -> None:
    with Session() as session:
        a = session.create_cell("a")
        b = session.create_cell("b", "markdown")
        c = session.create_cell("c", index=0)
        d = session.create_cell("d", index=99)
        assert a.startswith("cell-")
        assert [cell.id for cell in session.get_cells()] == [c, a, b, d]
        session.set_source(a, "straße")
        session.append_source(a, " ☺!")
        session.set_cell_type(b, "raw")
        assert session.get_cell(a).source == "straße ☺!"
        assert session.get_cell(b).cell_type == "raw"
        position = session.move_cell(d, b)
        assert position == session.get_cell(d).position
        session.move_cell(b)
        session.delete_cell(c)
        assert [cell.id for cell in session.get_cells()] == [b, a, d]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.get_cell("no"),
        lambda s: s.set_source("no", ""),
        lambda s: s.append_source("no", ""),
        lambda s: s.set_cell_type("no", "raw"),
        lambda s: s.delete_cell("no"),
        lambda s: s.move_cell("no"),
        lambda s: s.clear_outputs("no"),
        lambda s: s.execute_cell("no"),
        lambda s: s.queue_cell("no"),
        lambda s: s.stream_execute("no"),
        lambda s: s.move_cell(s.create_cell(), "no"),
    ],
)
def test_unknown_cells_have_one_error(
    daemon: FakeDaemon, call: Callable[[Session], object]
) -> None:
    with Session("n") as session:
        session.connect()
        with pytest.raises(RuntimedError, match=r"^Cell not found: no$"):
            call(session)
        assert daemon.room("n").kernel is None


def test_wrong_arguments_are_refused(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.connect()
        with pytest.raises(TypeError):
            session.create_cell(3)  # type: ignore[arg-type]
        with pytest.raises(OverflowError):
            session.create_cell(index=-1)
        with pytest.raises(RuntimedError, match="cell type"):
            session.create_cell(cell_type="sql")
        with pytest.raises(ValueError, match="positive"):
            session.run("x", timeout_secs=0)
        with pytest.raises(TypeError):
            session.set_cell_tags("no", "ab")


def test_executing_what_is_no_code_is_an_error(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        cell_id = session.create_cell("# x", "markdown")
        message = rf"^Cannot execute non-code cell: {cell_id} \(type: markdown\)$"
        with pytest.raises(RuntimedError, match=message):
            session.execute_cell(cell_id)
        assert daemon.room("n").kernel is None


def test_outputs_come_in_order_and_whole(daemon: FakeDaemon) -> None:
    with Session() as session:
        result = session.run("say a\nsay b\nwarn w\nshow 2\nblob c\nbig 20000")
        kinds = [(o.output_type, o.name) for o in result.outputs]
        assert kinds == [
            ("stream", "stdout"),
            ("stream", "stderr"),
            ("execute_result", None),
            ("stream", "stdout"),
        ]
        assert result.stdout == "a\nb\nc\n" + "x" * 20000
        assert result.display_data[0].data == {
            "application/json": '{"a":[1,2]}',
            "text/plain": "2",
        }
        assert result.outputs == session.get_cell(result.cell_id).outputs


def test_a_failing_cell_is_a_result(daemon: FakeDaemon) -> None:
    with Session() as session:
        result = session.run("say a\nfail bad")
        assert not result.success
        assert result.error is not None
        assert result.error.evalue == "bad"
        assert session.run("").success


def test_a_cell_that_takes_too_long_goes_on(daemon: FakeDaemon) -> None:
    with Session() as session:
        with pytest.raises(RuntimedError, match=r"^Execution timed out after 0.1 seconds$"):
            session.run("wait", timeout_secs=0.1)
        cell_id = session.get_cells()[0].id
        wait_until(lambda: session.get_queue_state().executing == cell_id)
        session.interrupt()
        wait_until(lambda: session.get_queue_state().executing is None)


def test_interrupting_ends_the_running_cell_and_drops_the_queue(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.start_kernel()
        results: dict[str, ExecutionResult] = {}

        def run(name: str, source: str) -> None:
            results[name] = session.run(source)

        threads = [
            threading.Thread(target=run, args=args) for args in [("a", "wait"), ("b", "say")]
        ]
        for thread, queued in zip(threads, (0, 1), strict=True):
            thread.start()
            wait_until(lambda: session.get_queue_state().executing is not None)
            wait_until(lambda: len(session.get_queue_state().queued) == queued)  # noqa: B023
        session.interrupt()
        for thread in threads:
            thread.join(30)
        assert results["a"].error is not None
        assert results["a"].error.ename == "KeyboardInterrupt"
        assert results["b"].error is not None
        assert results["b"].error.ename == "ExecutionCancelled"
        assert results["b"].execution_count is None


@pytest.mark.parametrize("asked", [True, False])
def test_a_kernel_that_ends_ends_the_wait(daemon: FakeDaemon, asked: bool) -> None:
    with Session("n") as session:
        session.start_kernel()

        def end() -> None:
            wait_until(lambda: daemon.room("n").running is not None)
            daemon.do(lambda: daemon.room("n").kernel_ends("it is gone", asked=asked))

        thread = threading.Thread(target=end)
        thread.start()
        result = session.run("wait")
        thread.join()
        assert not result.success
        (output,) = result.outputs
        assert (output.ename, output.evalue, output.traceback) == ("KernelError", "it is gone", [])
        assert result.execution_count is None
        assert not session.kernel_started
        assert session.run("say again").stdout == "again\n"


def test_somebody_elses_shutdown_is_noticed_at_the_next_execution(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()
        daemon.room("n").kernel = None
        assert session.run("say a").stdout == "a\n"
        assert daemon.room("n").kernel is not None


def test_the_same_cell_is_not_queued_twice(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()
        cell_id = session.create_cell("say a\nwait")
        results: list[ExecutionResult] = []
        threads = [
            threading.Thread(target=lambda: results.append(session.execute_cell(cell_id)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: sum(isinstance(r, requests.ExecuteCell) for r in daemon.requests) == 2)
        wait_until(lambda: daemon.room("n").running is not None)
        session.interrupt()
        for thread in threads:
            thread.join(30)
        assert len(results) == 2
        assert daemon.room("n").count == 1


def test_queueing_starts_no_kernel_and_waits_for_nothing(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        cell_id = session.create_cell("say a")
        with pytest.raises(
            RuntimedError, match=r"^Kernel not started. Call start_kernel\(\) first.$"
        ):
            session.queue_cell(cell_id)
        session.start_kernel()
        session.queue_cell(cell_id)
        wait_until(lambda: len(session.get_cell(cell_id).outputs) == 1)


def test_running_all_cells_counts_the_code_cells(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.create_cell("say a")
        session.create_cell("text", "markdown")
        last = session.create_cell("say b")
        assert session.run_all_cells() == 2
        wait_until(lambda: len(session.get_cell(last).outputs) == 1)


def test_without_a_kernel_there_is_nothing_to_ask(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.connect()
        for call in (session.interrupt, lambda: session.complete("pr", 2), session.get_history):
            with pytest.raises(RuntimedError, match=r"^No kernel running$"):
                call()
        assert repr(session.get_queue_state()) == "QueueState(idle, queued=0)"
        assert session.sync_environment().error == "No kernel running"


def test_the_kernel_answers_questions(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.start_kernel()
        completion = session.complete("pr", 2)
        assert [item.label for item in completion.items] == ["print"]
        assert (completion.cursor_start, completion.cursor_end) == (0, 2)
        assert [entry.source for entry in session.get_history()] == ["x = 1"]
        assert session.sync_environment().synced_packages == ["polars"]


def test_a_running_kernel_is_kept_with_a_warning(daemon: FakeDaemon) -> None:
    with Session("n") as first, Session("n") as second:
        first.start_kernel(env_source="uv:inline")
        with pytest.warns(RuntimeWarning, match=r"conda:inline.*uv:inline"):
            second.start_kernel(env_source="conda:inline")
        assert second.env_source == "uv:inline"
        second.start_kernel()


def test_a_launch_that_fails_says_why(daemon: FakeDaemon) -> None:
    with Session() as session:
        with pytest.raises(RuntimedError, match=r"^Failed to launch kernel: broken$"):
            session.start_kernel(env_source="uv:broken")
        assert not session.kernel_started


def test_restarting_keeps_the_type(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel("deno", "deno")
        session.restart_kernel()
        assert session.kernel_type == "deno"
        assert daemon.room("n").kernel == ("deno", "uv:prewarmed")


def test_clearing_outputs_can_be_read_at_once(daemon: FakeDaemon) -> None:
    with Session() as session:
        result = session.run("say a")
        session.clear_outputs(result.cell_id)
        cell = session.get_cell(result.cell_id)
        assert (cell.outputs, cell.execution_count) == ([], None)


def test_metadata_is_stored_and_read(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.set_metadata("k", "v")
        assert session.get_metadata("k") == "v"
        assert session.get_metadata("absent") is None
        for key in ("kernelspec", "language_info", "runt"):
            with pytest.raises(RuntimedError, match=rf"^Reserved metadata key: {key}$"):
                session.set_metadata(key, "v")
        assert session.get_kernelspec() is None
        session.set_kernelspec("python3", "Python 3")
        assert session.get_kernelspec() == {"name": "python3", "display_name": "Python 3"}
        session.set_kernelspec("deno", "Deno", "typescript")
        assert (session.get_kernelspec() or {})["language"] == "typescript"


def test_cell_metadata_is_edited_by_path(daemon: FakeDaemon) -> None:
    with Session() as session:
        cell_id = session.create_cell()
        assert session.get_cell_metadata(cell_id) == "{}"
        assert session.get_cell_metadata("no") is None
        assert session.set_cell_metadata(cell_id, '{"a": {"b": 1}}')
        assert session.update_cell_metadata_at(cell_id, ["a", "c"], "[2]")
        assert session.update_cell_metadata_at(cell_id, ["a", "b", "x"], "true")
        assert session.set_cell_source_hidden(cell_id, True)
        assert session.set_cell_tags(cell_id, ["t"])
        cell = session.get_cell(cell_id)
        assert cell.metadata == {
            "a": {"b": {"x": True}, "c": [2]},
            "jupyter": {"source_hidden": True},
            "tags": ["t"],
        }
        assert cell.is_source_hidden
        assert not session.set_cell_outputs_hidden("no", True)
        with pytest.raises(RuntimedError, match=r"^Invalid JSON: expected an object$"):
            session.set_cell_metadata(cell_id, "[]")
        with pytest.raises(RuntimedError, match=r"^Invalid JSON: "):
            session.update_cell_metadata_at(cell_id, ["a"], "{")


def test_dependencies_are_edited_by_package(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.connect()
        assert session.get_metadata_env_type() is None
        assert session.get_uv_dependencies() == []
        session.add_uv_dependency("Some_Package>=1")
        session.add_uv_dependency("b")
        session.add_uv_dependency("some.package[x]==2")
        assert session.get_uv_dependencies() == ["some.package[x]==2", "b"]
        assert session.get_metadata_env_type() == "uv"
        assert session.remove_uv_dependency("SOME-package")
        assert not session.remove_uv_dependency("absent")
        session.add_conda_dependency("numpy")
        assert session.get_conda_dependencies() == ["numpy"]
        assert session.get_metadata_env_type() == "conda"
        assert session.get_uv_dependencies() == ["b"]


def test_two_clients_that_add_dependencies_lose_none(daemon: FakeDaemon) -> None:
    with Session("n") as first, Session("n") as second:
        first.connect()
        second.connect()
        first.add_uv_dependency("a")
        second.add_uv_dependency("b")
        threads = [
            threading.Thread(target=session.add_uv_dependency, args=(name,))
            for session, name in [(first, "c"), (second, "d")]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: sorted(first.get_uv_dependencies()) == ["a", "b", "c", "d"])


def test_opening_a_notebook(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Session.open_notebook("a.ipynb", peer_label="Me") as session:
        assert session.is_connected
        assert session.notebook_id == str(tmp_path / "a.ipynb")
        assert session.connection_info is not None
        assert session.connection_info.cell_count == 1
        assert len(session.get_cells()) == 1
        session.start_kernel()
        (launch,) = [r for r in daemon.requests if isinstance(r, requests.LaunchKernel)]
        assert launch.notebook_path == session.notebook_id
        assert session.save("b") == str(tmp_path / "b.ipynb")
        assert session.save() == "/saved.ipynb"
    with pytest.raises(RuntimedError, match=r"^Cannot access notebook"):
        Session.open_notebook("unreadable")


def test_creating_a_notebook(daemon: FakeDaemon, tmp_path: Path) -> None:
    with Session.create_notebook(working_dir=str(tmp_path)) as session:
        assert len(session.notebook_id) == 36
        assert len(session.get_cells()) == 1
        assert session.get_kernelspec() is not None
        with pytest.raises(RuntimedError, match=r"^Notebook has no path: pass save\(path=...\)$"):
            session.save()
        session.close()
        session.connect()
        assert len(daemon.rooms) == 1
    with pytest.raises(FileNotFoundError, match=r"^working_dir does not exist: /no/such$"):
        Session.create_notebook(working_dir="/no/such")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match=r"^working_dir is not a directory: "):
        Session.create_notebook(working_dir=str(file))


def test_a_lost_connection_ends_every_wait_at_once(daemon: FakeDaemon) -> None:
    session = Session("n")
    session.start_kernel()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            session.run("wait")
        except RuntimedError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(daemon.room("n").queue) == 2)
    daemon.cut()
    for thread in threads:
        thread.join(30)
    assert [str(error) for error in errors] == ["Connection to daemon lost"] * 3
    assert not session.is_connected
    assert not session.kernel_started
    with pytest.raises(RuntimedError, match=r"^Connection to daemon lost$"):
        session.get_cells()
    session.connect()
    assert len(session.get_cells()) == 3
    session.close()


def test_ctrl_c_ends_a_wait_and_leaves_the_session_usable(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()

        def interrupt() -> None:
            wait_until(lambda: daemon.room("n").running is not None)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            session.run("wait")
        thread.join()
        session.interrupt()
        assert session.run("say on").stdout == "on\n"


def test_a_session_works_where_asyncio_runs(daemon: FakeDaemon) -> None:
    async def main() -> str:
        with Session() as session:
            return session.run("say a").stdout

    assert asyncio.run(main()) == "a\n"


async def test_a_session_works_where_trio_runs(daemon: FakeDaemon) -> None:
    with Session() as session:
        assert session.run("say a").stdout == "a\n"


def test_a_dropped_session_disconnects(daemon: FakeDaemon) -> None:
    session = Session("n")
    session.start_kernel()
    del session
    gc.collect()
    wait_until(lambda: not daemon.room("n").peers)
    assert daemon.room("n").kernel is not None


def test_no_daemon_at_a_named_socket_is_an_error_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = tmp_path / "none.sock"
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(socket))
    with pytest.raises(RuntimedError) as caught:
        Session().connect()
    assert str(caught.value) == (
        f"Failed to connect to daemon: No such file or directory (socket {socket}; "
        "RUNTIMED_SOCKET_PATH is set, so none is started: "
        "run 'runtimed run' with the same variable)"
    )


def test_an_open_session_keeps_no_interpreter_alive(daemon: FakeDaemon) -> None:
    program = """
import runtimed
s = runtimed.Session("n")
print(s.run("say bye").stdout, end="")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("bye\n", "", 0)


def test_a_forked_child_connects_on_its_own(daemon: FakeDaemon) -> None:
    program = """
import os, warnings
warnings.simplefilter("ignore")
import runtimed
s = runtimed.Session("n")
s.run("say parent")
child = os.fork()
if not child:
    assert not s.is_connected
    s.connect()
    assert s.run("say child").stdout == "child\\n"
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert s.run("say parent").stdout == "parent\\n"
s.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)


def test_the_package_shows_what_it_exports() -> None:
    for name in runtimed.__all__:
        assert getattr(runtimed, name) is not None
        assert name in dir(runtimed)
    assert runtimed.__version__
    with pytest.raises(AttributeError):
        _ = runtimed.nonsense
