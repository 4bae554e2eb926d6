"""What a console is attached to, from its options, and how that is opened and left."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import click
import trio

from runt_cli.jupyter.console.attached import Attached, Face
from runt_cli.terminal_input import TerminalInput
from runtimed.jupyter.connection_files import ConnectionInfo
from runtimed.jupyter.kernelspecs import KernelSpec, find_kernelspec
from runtimed.messages.wire import Message

if TYPE_CHECKING:
    from runtimed import AsyncSession

__all__ = ["Opened", "Place", "Surroundings", "place_of"]


@attrs.frozen
class Surroundings:
    """What a place is opened with: how things are printed, who answers questions, who hears every
    message, and who is told about opening and leaving."""

    face: Face
    asker: TerminalInput | None
    trace: Callable[[str, Message], None] | None
    say: Callable[[str], None]


@attrs.frozen
class Opened:
    """What has been opened. wait_lost: returns the reason when it is there no more."""

    attached: Attached
    banner: str
    wait_lost: Callable[[], Awaitable[str]]


#: Opens something for the length of a block.
Place: TypeAlias = Callable[[Surroundings], AbstractAsyncContextManager[Opened]]


def place_of(
    kernel: str | None, cmd: str | None, existing: str | None, notebook: str | None
) -> Place:
    """What the options mean.

    Raises: click.UsageError; KernelNotInstalled, KernelNotFound, ConnectionFileUnusable, Fail.
    """
    given = [value for value in (kernel, cmd, existing, notebook) if value is not None]
    if len(given) != 1:
        raise click.UsageError(
            "Provide a kernel name or --cmd, or one of --existing and --notebook."
        )
    if kernel is not None:
        return partial(_new_kernel, find_kernelspec(kernel))
    if cmd is not None:
        return partial(_new_kernel, _spec_of(cmd))
    if existing is not None:
        return partial(_existing_kernel, _running(existing))
    assert notebook is not None
    return _room(notebook)


def _spec_of(cmd: str) -> KernelSpec:
    try:
        words = tuple(shlex.split(cmd))
    except ValueError as error:
        raise click.UsageError(f"--cmd can't be read: {error}.") from error
    if not any("{connection_file}" in word for word in words):
        raise click.UsageError("--cmd has no {connection_file} in it.")
    return KernelSpec("", words)


def _running(text: str) -> ConnectionInfo:
    from runtimed.errors import KernelNotFound
    from runtimed.jupyter.discovery import look_at
    from runtimed.jupyter.naming import connection_of

    connection = connection_of(text)
    if look_at([connection])[0].state == "dead":
        raise KernelNotFound(f"Kernel {connection.kernel_id} is not running")
    return connection


@asynccontextmanager
async def _new_kernel(spec: KernelSpec, around: Surroundings) -> AsyncIterator[Opened]:
    from runtimed.jupyter.ending import stop_kernel
    from runtimed.jupyter.starting import start_kernel, working_folder

    started = await start_kernel(spec, folder=working_folder(), tied=True)
    try:
        async with _existing_kernel(started.connection, around) as opened:
            yield opened
    finally:
        around.say("Shutting down kernel...")
        with trio.CancelScope(shield=True):  # bounded by what it does
            await stop_kernel(started.connection)
            await trio.to_thread.run_sync(started.process.wait)
        around.say("Done.")


@asynccontextmanager
async def _existing_kernel(
    connection: ConnectionInfo, around: Surroundings
) -> AsyncIterator[Opened]:
    from runt_cli.jupyter.console.kernel_side import KernelSide
    from runtimed.jupyter.client import open_client

    async with open_client(connection) as client:
        client.trace = around.trace
        side = KernelSide(client, around.face, around.asker)
        await side.greet()

        async def lost() -> str:
            await client.wait_gone()
            return str(client.died)

        yield Opened(side, side.banner, lost)


def _room(text: str) -> Place:
    from runt_cli.asking import daemon_client
    from runt_cli.which_notebook import absolute_path, find_room, not_found
    from runtimed import AsyncSession
    from runtimed.errors import DaemonUnreachable

    try:
        rooms: list[dict[str, Any]] = daemon_client().list_rooms()
    except DaemonUnreachable:
        rooms = []  # one is started
    room = find_room(text, rooms)
    if room is None:
        path = absolute_path(text)
        if not path.exists() and not text.endswith(".ipynb"):
            raise not_found(text)
        open_it = partial(AsyncSession.open_notebook, path, "runt console")
    elif "/" in room["notebook_id"]:
        open_it = partial(AsyncSession.open_notebook, room["notebook_id"], "runt console")
    else:
        open_it = partial(_join, room["notebook_id"])
    return partial(_open_room, open_it, room is not None and bool(room["has_kernel"]))


async def _join(notebook_id: str) -> AsyncSession:
    from runtimed import AsyncSession

    session = AsyncSession(notebook_id, "runt console")
    await session.connect()
    return session


@asynccontextmanager
async def _open_room(
    open_it: Callable[[], Awaitable[AsyncSession]], had_kernel: bool, around: Surroundings
) -> AsyncIterator[Opened]:
    from runt_cli.environment_bar import EnvironmentBar
    from runt_cli.jupyter.console.room_side import RoomSide
    from runtimed.client.async_session import leave_running

    session = await open_it()
    try:
        with EnvironmentBar() as bar:
            await session.set_progress_handler(bar.show)
            await session.start_kernel("auto")
        if around.asker is not None:
            await session.set_input_handler(around.asker)
        language = await session.kernel_type() or "python"
        side = RoomSide(session, around.face, language, around.asker)
        if not had_kernel:
            side.count = 1
        banner = f"{session.notebook_id} ({await session.env_source()})"
        async with trio.open_nursery() as nursery:
            lost = trio.Event()

            async def watch(*, task_status: trio.TaskStatus[None]) -> None:
                await side.watch(task_status=task_status)
                lost.set()

            async def wait_lost() -> str:
                await lost.wait()
                return "The connection to the daemon was lost"

            await nursery.start(watch)
            try:
                yield Opened(side, banner, wait_lost)
            finally:
                nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()
    finally:
        with trio.CancelScope(shield=True):
            if had_kernel:
                await leave_running(session)
            else:
                await session.close()
