"""The whole surface of the two sessions: each method with its signature, each message verbatim."""

from __future__ import annotations

import inspect
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
from cancelling_calls import CALLS
from loopback_sessions import open_daemon

from loopback import Loopback
from runtimed import AsyncSession, DaemonClient, RuntimedError, Session
from runtimed.client import kernel_control, membership
from runtimed.client.arguments import seconds
from runtimed.daemon import notebook_requests
from runtimed.errors import KernelDied, KernelStartFailed
from runtimed.protocol import responses

# Name, parameters, what the blocking method returns.
METHODS = """
connect() -> None
close() -> None
start_kernel(kernel_type='python', env_source='auto', notebook_path=None) -> None
shutdown_kernel() -> None
restart_kernel(wait_for_ready=True) -> None
interrupt() -> None
create_cell(source='', cell_type='code', index=None) -> str
set_source(cell_id, source) -> None
append_source(cell_id, text) -> None
set_cell_type(cell_id, cell_type) -> None
get_cell(cell_id) -> Cell
get_cells() -> list[Cell]
delete_cell(cell_id) -> None
move_cell(cell_id, after_cell_id=None) -> str
clear_outputs(cell_id) -> None
execute_cell(cell_id, timeout_secs=60.0) -> ExecutionResult
run(code, timeout_secs=60.0) -> ExecutionResult
queue_cell(cell_id) -> None
stream_execute(cell_id, timeout_secs=60.0, signal_only=False) -> ExecutionEventIterator
subscribe(cell_ids=None, event_types=None) -> EventIteratorSubscription
run_all_cells() -> int
complete(code, cursor_pos) -> CompletionResult
get_history(pattern=None, n=100, unique=True) -> list[HistoryEntry]
get_queue_state() -> QueueState
sync_environment() -> SyncEnvironmentResult
set_metadata(key, value) -> None
get_metadata(key) -> str | None
set_kernelspec(name, display_name, language=None) -> None
get_kernelspec() -> dict[str, str] | None
get_cell_metadata(cell_id) -> str | None
set_cell_metadata(cell_id, metadata_json) -> bool
update_cell_metadata_at(cell_id, path, value_json) -> bool
set_cell_source_hidden(cell_id, hidden) -> bool
set_cell_outputs_hidden(cell_id, hidden) -> bool
set_cell_tags(cell_id, tags) -> bool
get_uv_dependencies() -> list[str]
add_uv_dependency(package) -> None
remove_uv_dependency(package) -> bool
get_conda_dependencies() -> list[str]
add_conda_dependency(package) -> None
remove_conda_dependency(package) -> bool
get_metadata_env_type() -> str | None
get_settings() -> dict[str, Any] | None
set_cursor(cell_id, line, column) -> None
set_selection(cell_id, anchor_line, anchor_col, head_line, head_col) -> None
get_peers() -> list[tuple[str, str]]
get_remote_cursors() -> list[tuple[str, str, str, int, int]]
""".strip().splitlines()

# Beyond what the reference has.
ADDITIONS = """
save(path=None, format_cells=False) -> str
clone_notebook(path, overwrite=False) -> str
set_input_handler(handler) -> None
set_progress_handler(handler) -> None
allow_input(enabled=True) -> None
answer_input(request_id, value) -> None
get_comms() -> list[Comm]
send_comm(comm_id, state=None, content=None, buffers=()) -> None
trust_info() -> TrustInfo
approve_trust(content=None) -> TrustInfo
""".strip().splitlines()

ASYNC_RETURNS = {
    "ExecutionEventIterator": "ExecutionEventStream",
    "EventIteratorSubscription": "EventSubscription",
}
PLAIN = {"subscribe", "get_settings"}
STATES = {
    "is_connected": "bool",
    "kernel_started": "bool",
    "kernel_type": "str | None",
    "env_source": "str | None",
    "connection_info": "NotebookConnectionInfo | None",
}


def spelt(function: Any, drop_self: bool = True) -> str:
    """Parameters with their defaults, all of them usable by position and by keyword."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[drop_self:]
    assert {p.kind for p in parameters} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return str(inspect.Signature(bare))


@pytest.mark.parametrize("line", METHODS + ADDITIONS)
def test_every_method_has_its_signature_in_both_classes(line: str) -> None:
    name, parameters, returns = re.fullmatch(r"(\w+)(\(.*\)) -> (.*)", line).groups()  # type: ignore[union-attr]
    blocking, waiting = getattr(Session, name), getattr(AsyncSession, name)
    assert spelt(blocking) == parameters
    assert spelt(waiting) == parameters
    assert inspect.get_annotations(blocking)["return"] == returns
    assert inspect.get_annotations(waiting)["return"] == ASYNC_RETURNS.get(returns, returns)
    assert not inspect.iscoroutinefunction(blocking)
    assert inspect.iscoroutinefunction(waiting) is (name not in PLAIN)
    assert blocking.__doc__
    assert waiting.__doc__


@pytest.mark.parametrize("cls", [Session, AsyncSession])
def test_sessions_are_made_in_three_ways(cls: Any) -> None:
    assert spelt(cls.__init__) == "(notebook_id=None, peer_label=None)"
    assert isinstance(inspect.getattr_static(cls, "open_notebook"), staticmethod)
    assert isinstance(inspect.getattr_static(cls, "create_notebook"), staticmethod)
    assert spelt(cls.open_notebook, drop_self=False) == "(path, peer_label=None)"
    assert (
        spelt(cls.create_notebook, drop_self=False)
        == "(runtime='python', working_dir=None, peer_label=None)"
    )
    leave = "__exit__" if cls is Session else "__aexit__"
    assert spelt(getattr(cls, leave)) == "(exc_type=None, exc_val=None, exc_tb=None)"


def test_states_are_properties_of_one_class_and_methods_of_the_other() -> None:
    for name, kind in STATES.items():
        read = inspect.getattr_static(Session, name)
        assert isinstance(read, property)
        assert read.fset is None
        assert inspect.get_annotations(read.fget)["return"] == kind  # type: ignore[arg-type]
        assert inspect.iscoroutinefunction(getattr(AsyncSession, name))
        assert inspect.get_annotations(getattr(AsyncSession, name))["return"] == kind
    for cls in (Session, AsyncSession):
        assert isinstance(inspect.getattr_static(cls, "notebook_id"), property)
        with pytest.raises(AttributeError):
            cls().notebook_id = "other"  # type: ignore[misc]


def test_the_client_of_the_daemon_has_its_methods() -> None:
    for name in ("ping", "is_running", "status", "list_rooms", "flush_pool", "shutdown"):
        assert spelt(getattr(DaemonClient, name)) == "()"


# Which methods connect by themselves

CONNECT_FIRST = {
    "connect", "start_kernel", "save", "set_metadata", "get_metadata", "set_kernelspec",
    "get_kernelspec", "execute_cell", "run", "run_all_cells", "clone_notebook",
}  # fmt: skip

# These say what is to hold whenever the session is connected.
STANDING = {"set_input_handler", "allow_input"}


@pytest.mark.parametrize("name", sorted(CALLS.keys() - STANDING))
async def test_a_method_connects_or_says_that_there_is_no_connection(
    tmp_path: Path, name: str
) -> None:
    async with open_daemon(tmp_path) as daemon:
        session = AsyncSession("n")
        if name in CONNECT_FIRST:
            with suppress(RuntimedError):
                await CALLS[name](session, "no")
            assert await session.is_connected()
            await session.close()
        else:
            with pytest.raises(RuntimedError, match=r"^Not connected$"):
                await CALLS[name](session, "no")
            assert daemon.listed() == {}


# Messages

Situation = Callable[["Scene"], Awaitable[object]]


class Scene:
    """A session in a room with a code cell and a text cell."""

    def __init__(self, daemon: Loopback, session: AsyncSession, folder: Path) -> None:
        self.daemon = daemon
        self.session = session
        self.folder = folder
        self.patch = pytest.MonkeyPatch()
        self.code = self.text = ""

    @property
    def kernel(self) -> Any:
        return self.daemon.kernels.launched[-1]

    @property
    def room(self) -> Any:
        return self.daemon.rooms._rooms["n"]

    async def kernel_hangs(self, call: Callable[[], Awaitable[object]]) -> None:
        await self.session.start_kernel()
        self.patch.setattr(notebook_requests, "_KERNEL_ANSWER", 0.02)
        self.kernel.request = _hang
        await call()

    async def kernel_dies(self, call: Callable[[], Awaitable[object]]) -> None:
        await self.session.start_kernel()

        async def request(*args: object) -> NoReturn:
            raise KernelDied("it died")

        self.kernel.request = request
        await call()

    async def fails(self, where: str, call: Callable[[], Awaitable[object]]) -> None:
        """Have a part of the daemon fail as nobody has foreseen."""
        await self.session.start_kernel()

        def fail(*args: object, **options: object) -> NoReturn:
            raise OSError("no luck")

        owner: Any = self.room
        *way, name = where.split(".")
        for step in way:
            owner = getattr(owner, step)
        self.patch.setattr(owner, name, fail)
        await call()

    async def launch_fails(self) -> None:
        async def launch(*args: object) -> NoReturn:
            raise KernelStartFailed("python ended with exit code 1")

        self.patch.setattr(self.daemon.kernels, "launch", launch)
        await self.session.start_kernel()

    async def kernel_vanishes(self) -> None:
        async def nothing() -> None:
            await trio.lowlevel.checkpoint()

        self.patch.setattr(self.session, "_start_kernel_if_needed", nothing)
        await self.session.run_all_cells()

    async def takes_long(self) -> None:
        await self.session.start_kernel()
        await self.session.run("wait", 0.02)

    async def streams_long(self) -> None:
        await self.session.start_kernel()
        cell_id = await self.session.create_cell("wait")
        async for _ in await self.session.stream_execute(cell_id, 0.5):
            pass

    async def never_idle(self) -> None:
        self.patch.setattr(kernel_control, "_READY_TIMEOUT", 0.02)
        self.patch.setattr(kernel_control, "_IdleKernel", _NeverIdle)
        await self.session.start_kernel()
        link = self.session._link
        assert link is not None
        request = link.request

        async def ask(what: Any, timeout: float) -> Any:
            answer = await request(what, timeout)
            return answer if type(what).__name__ != "GetKernelInfo" else None

        self.patch.setattr(link, "request", ask)
        await self.session.restart_kernel()

    async def no_answer(self) -> None:
        self.patch.setattr(kernel_control, "REQUEST_TIMEOUT", 0.02)
        self.patch.setattr("runtimed.daemon.notebook_channel.answer", _answer_late)
        await self.session.get_queue_state()

    async def lost(self, call: Callable[[], Awaitable[object]]) -> None:
        link = self.session._link
        assert isinstance(link and link._stream, trio.StapledStream)
        stream: Any = link and link._stream
        stream.send_stream.close()
        stream.receive_stream.close()
        assert link is not None
        await link._finished.wait()
        await call()

    async def unconnected(self, call: Callable[[AsyncSession], Any]) -> None:
        await call(AsyncSession())


class _NeverIdle(kernel_control._IdleKernel):
    def hear(self, broadcast: object) -> None:
        pass


async def _hang(*args: object) -> None:
    await trio.sleep_forever()


async def _answer_late(*args: object) -> responses.Error:
    await trio.sleep(0.1)
    return responses.Error("too late")


def not_found(call: Callable[[AsyncSession], Awaitable[object]]) -> tuple[str, Situation]:
    return "Cell not found: no", lambda s: call(s.session)


MESSAGES: list[tuple[str, Situation]] = [
    ("Not connected", lambda s: s.unconnected(lambda session: session.get_cells())),
    (
        "Not connected - call connect() or start_kernel() first",
        lambda s: s.unconnected(lambda session: session.subscribe()),
    ),
    not_found(lambda s: s.get_cell("no")),
    not_found(lambda s: s.execute_cell("no")),
    not_found(lambda s: s.queue_cell("no")),
    not_found(lambda s: s.stream_execute("no")),
    not_found(lambda s: s.set_source("no", "x")),
    not_found(lambda s: s.append_source("no", "x")),
    not_found(lambda s: s.set_cell_type("no", "raw")),
    not_found(lambda s: s.delete_cell("no")),
    not_found(lambda s: s.move_cell("no")),
    not_found(lambda s: s.clear_outputs("no")),
    ("Cell not found: no", lambda s: s.session.move_cell(s.code, "no")),
    (
        "Cannot execute non-code cell: {text} (type: markdown)",
        lambda s: s.session.execute_cell(s.text),
    ),
    (
        "Cannot execute non-code cell: {text} (type: markdown)",
        lambda s: s.session.stream_execute(s.text),
    ),
    (
        "Cannot execute non-code cell: {text} (type: markdown)",
        lambda s: s.session.queue_cell(s.text),
    ),
    ("No kernel running", lambda s: s.session.interrupt()),
    ("No kernel running", lambda s: s.session.complete("x", 1)),
    ("No kernel running", lambda s: s.session.get_history()),
    ("No kernel running", Scene.kernel_vanishes),
    (
        "Kernel not started. Call start_kernel() first.",
        lambda s: s.session.queue_cell(s.code),
    ),
    ("Execution timed out after 0.02 seconds", Scene.takes_long),
    ("Execution timed out after 0.5 seconds", Scene.streams_long),
    (
        "Failed to queue cell: OSError: no luck",
        lambda s: s.fails("runner.execute", lambda: s.session.run_all_cells()),
    ),
    (
        "Failed to interrupt: OSError: no luck",
        lambda s: s.fails("runner.interrupt", s.session.interrupt),
    ),
    (
        "Failed to clear outputs: OSError: no luck",
        lambda s: s.fails("runner.clear_outputs", lambda: s.session.clear_outputs(s.code)),
    ),
    (
        "Failed to shutdown kernel: OSError: no luck",
        lambda s: s.fails("stop_kernel", s.session.shutdown_kernel),
    ),
    ("Failed to launch kernel: python ended with exit code 1", Scene.launch_fails),
    (
        "Failed to save notebook: Failed to write notebook: *",
        lambda s: s.session.save(s.folder / "file" / "n.ipynb"),
    ),
    (
        "Notebook has no path: pass save(path=...)",
        lambda s: s.session.save(),
    ),
    (
        "Failed to get completions: Completion request timed out",
        lambda s: s.kernel_hangs(lambda: s.session.complete("x", 1)),
    ),
    (
        "Failed to get history: History request timed out",
        lambda s: s.kernel_hangs(s.session.get_history),
    ),
    (
        "Failed to get completions: Completion request cancelled",
        lambda s: s.kernel_dies(lambda: s.session.complete("x", 1)),
    ),
    (
        "Failed to get history: History request cancelled",
        lambda s: s.kernel_dies(s.session.get_history),
    ),
    ("Invalid JSON: *", lambda s: s.session.set_cell_metadata(s.code, "{")),
    ("Invalid JSON: *", lambda s: s.session.update_cell_metadata_at(s.code, ["a"], "nul")),
    (
        "Invalid JSON: expected an object",
        lambda s: s.session.set_cell_metadata(s.code, "[]"),
    ),
    (
        "Invalid JSON: expected an object",
        lambda s: s.session.update_cell_metadata_at(s.code, [], "1"),
    ),
    ("Reserved metadata key: runt", lambda s: s.session.set_metadata("runt", "x")),
    (
        "Cannot access notebook '{folder}': *",
        lambda s: AsyncSession.open_notebook(s.folder),
    ),
    (
        "{folder}/file: Invalid notebook JSON: *",
        lambda s: AsyncSession.open_notebook(s.folder / "file"),
    ),
    ("Kernel not ready after 30 seconds", Scene.never_idle),
    ("Connection timed out", Scene.no_answer),
    ("Connection to daemon lost", lambda s: s.lost(s.session.get_queue_state)),
    ("Connection to daemon lost", lambda s: s.lost(s.session.get_cells)),
]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    (folder / "file").write_text("this is no notebook")
    async with open_daemon(folder) as daemon, AsyncSession("n") as session:
        made = Scene(daemon, session, folder)
        await session.connect()
        made.code = await session.create_cell("print x")
        made.text = await session.create_cell("# x", "markdown")
        await session._in_step()
        try:
            yield made
        finally:
            made.patch.undo()


@pytest.mark.parametrize(
    ("message", "situation"),
    MESSAGES,
    ids=range(len(MESSAGES)),
)
async def test_every_message_is_said_as_it_is_written(
    tmp_path: Path, message: str, situation: Situation
) -> None:
    with trio.fail_after(30):
        async with scene(tmp_path) as s:
            with pytest.raises(RuntimedError) as caught:
                await situation(s)
            wanted = message.format(text=s.text, folder=tmp_path)
            said = str(caught.value)
            if wanted.endswith("*"):
                assert said.startswith(wanted[:-1])
                assert len(said) >= len(wanted)
            else:
                assert said == wanted


def test_whole_seconds_are_written_without_a_point() -> None:
    assert [seconds(float(n)) for n in (60, 0.5, 1)] == ["60", "0.5", "1"]
    assert membership.REQUEST_TIMEOUT == 30


@pytest.mark.real
def test_what_a_client_says_that_finds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(path))
    for call in (Session("n").connect, DaemonClient().status):
        with pytest.raises(RuntimedError) as caught:
            call()
        assert str(caught.value).startswith("Failed to connect to daemon: ")
        assert str(path) in str(caught.value)
    # A daemon that is too busy to take anybody in.
    monkeypatch.setattr("runtimed.client.connect.CONNECT_TIMEOUT", 0.05)
    monkeypatch.setattr("runtimed.client.opening.CONNECT_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        for call in (Session("n").connect, DaemonClient().status):
            with pytest.raises(RuntimedError, match=r"^Connection timeout$"):
                call()
