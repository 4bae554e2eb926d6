"""A room's history begins anew while clients edit and run cells: nobody loses or misreads anything.

Real sessions and the daemon's real rooms, with memory streams between them whose messages are
delayed at random.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from loopback import Loopback, open_loopback
from runtimed import AsyncSession
from runtimed.client import opening
from runtimed.client.link import Link
from runtimed.client.replica import Replica
from runtimed.document.actors import daemon_actor
from runtimed.document.fresh_copy import fresh_copy
from runtimed.document.history import HistoryBounds
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import RuntimedError
from runtimed.paths import Paths
from runtimed.rooms.room import Room

SHORT = HistoryBounds(fewest=40)


async def relay(source: trio.abc.Stream, target: trio.abc.Stream, delay: Callable[[], int]) -> None:
    """Carry bytes from one stream to another, in pieces that wait for random numbers of turns."""
    try:
        while data := await source.receive_some(1 << 20):
            for _ in range(delay()):
                await trio.lowlevel.checkpoint()
            await target.send_all(data)
        await target.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(target)


@asynccontextmanager
async def open_daemon(
    folder: Path, delay: Callable[[], int] = lambda: 0, history: HistoryBounds | None = None
) -> AsyncIterator[Loopback]:
    """A daemon whose sessions are connected through relays."""
    async with open_loopback(folder, history=history) as daemon, trio.open_nursery() as relays:

        async def open_stream(paths: Paths) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, near = trio.testing.memory_stream_pair()
            far = daemon.connect_raw()
            relays.start_soon(relay, near, far, delay)
            relays.start_soon(relay, far, near, delay)
            return ours

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opening, "open_stream", open_stream)
            yield daemon
        relays.cancel_scope.cancel()


@asynccontextmanager
async def connected(count: int) -> AsyncIterator[list[AsyncSession]]:
    """Sessions that have joined the room."""
    async with AsyncExitStack() as stack:
        sessions = [AsyncSession("room") for _ in range(count)]
        for session in sessions:
            await stack.enter_async_context(session)
            await session.connect()
        yield sessions


def room_of(daemon: Loopback) -> Room:
    room = daemon.rooms.find("room")
    assert room is not None
    return room


def begin(room: Room) -> bool:
    """Begin an epoch now, if it can."""
    return room.epochs.begin_nowait(fresh_copy(room.document, daemon_actor()))


async def begin_soon(room: Room) -> None:
    """Begin an epoch as soon as it can."""
    with trio.fail_after(30):
        while not begin(room):  # noqa: ASYNC110 - nothing tells when it can
            await trio.sleep(0.001)


def link_of(session: AsyncSession) -> Link:
    return session._linked()


def is_level(replica: Replica, room: Room) -> bool:
    return replica.in_step and replica.document.heads == room.document.heads


async def all_equal(room: Room, *sessions: AsyncSession) -> None:
    """Let everything arrive; then all replicas are the daemon's document."""
    with trio.fail_after(30):
        for _ in range(2):
            for session in sessions:
                await link_of(session).confirm(10)
        for session in sessions:
            replica = link_of(session).replica
            await link_of(session).wait_until(partial(is_level, replica, room))
            assert replica.document.cells() == room.document.cells()
            assert replica.confirmed


async def test_an_edit_on_its_way_when_an_epoch_begins_is_brought_along(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, connected(2) as [one, two]:
        cell = await one.create_cell("x = 1")
        await all_equal(room_of(daemon), one, two)
        room = room_of(daemon)
        await two.append_source(cell, " # sent")
        assert begin(room)  # before the daemon has read it
        await two.append_source(cell, " # written later")
        await one.append_source(cell, " # by another")
        assert (await two.get_cell(cell)).source == "x = 1 # sent # written later"
        assert not link_of(two).replica.confirmed
        await all_equal(room, one, two)
        source = room.document.source(cell)
        assert sorted(source.split(" # ")) == ["by another", "sent", "written later", "x = 1"]
        assert room.document.changes <= 4


async def test_a_reader_never_sees_less_than_was_there(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, lambda: 30) as daemon, connected(1) as [session]:
        cells = [await session.create_cell(f"x = {i}") for i in range(5)]
        await all_equal(room_of(daemon), session)
        assert begin(room_of(daemon))
        for _ in range(500):
            await trio.lowlevel.checkpoint()
            assert [cell.id for cell in await session.get_cells()] == cells
        await all_equal(room_of(daemon), session)
        assert room_of(daemon).document.changes == 1


async def test_a_request_that_names_heads_of_the_old_document_is_carried_out(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon, connected(1) as [session]:
        await session.start_kernel()
        cell = await session.create_cell("print old")
        await all_equal(room_of(daemon), session)
        await session.set_source(cell, "print new")
        assert begin(room_of(daemon))  # the edit and the request are still to be sent
        with trio.fail_after(30):
            result = await session.execute_cell(cell)
        assert result.stdout == "new"
        [kernel] = daemon.kernels.launched
        assert kernel.executed == ["print new"]


async def test_a_request_whose_edits_had_arrived_needs_not_wait(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, connected(1) as [session]:
        await session.start_kernel()
        cell = await session.create_cell("print x")
        await all_equal(room_of(daemon), session)
        room = room_of(daemon)
        heads = link_of(session).replica.document.heads
        [peer] = room.peers
        assert begin(room)
        assert room.epochs.has(peer, heads, 0)
        assert not room.epochs.has(peer, ["ab" * 32], 0)
        assert not room.epochs.has(peer, heads, 1)
        await all_equal(room, session)
        assert room.epochs.has(peer, ["ab" * 32], 0)  # whatever it was, it is here
        assert (await session.execute_cell(cell)).stdout == "x"


async def test_a_cell_runs_on_and_is_read_across_epochs(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, lambda: 5) as daemon, connected(2) as [session, other]:
        await session.start_kernel()
        cell = await session.create_cell("wait")
        results = []

        async def run() -> None:
            results.append(await session.execute_cell(cell))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            room = room_of(daemon)
            await trio.testing.wait_all_tasks_blocked(0.05)
            [kernel] = daemon.kernels.launched
            for number in range(6):
                kernel.print_more(f"{number}\n")
                await begin_soon(room)
            kernel.finish()
        assert results[0].stdout == "0\n1\n2\n3\n4\n5\n"
        await all_equal(room, session, other)
        assert (await other.get_cell(cell)).outputs[0].text == results[0].stdout
        assert room.epochs.number == 6


async def test_no_epoch_begins_before_all_have_followed_the_last_one(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, lambda: 50) as daemon, connected(1) as [session]:
        await session.create_cell("x")
        await all_equal(room_of(daemon), session)
        room = room_of(daemon)
        assert begin(room)
        assert not begin(room)
        await session.create_cell("y")
        await all_equal(room, session)
        await begin_soon(room)
        await all_equal(room, session)
        assert [cell.source for cell in await session.get_cells()] == ["x", "y"]


async def test_a_connection_lost_while_it_follows_is_told_as_lost(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, lambda: 20) as daemon, connected(1) as [other]:
        session = AsyncSession("room")
        await session.connect()
        cell = await session.create_cell("x")
        await all_equal(room_of(daemon), session, other)
        assert begin(room_of(daemon))
        await session.append_source(cell, "lost")
        await trio.aclose_forcefully(link_of(session)._stream)
        with pytest.raises(RuntimedError, match=r"[Cc]onnection"):
            await session._in_step()
        await all_equal(room_of(daemon), other)
        await begin_soon(room_of(daemon))  # who has gone is in nobody's way
        await session.connect()
        assert (await session.get_cell(cell)).source == "x"
        await session.append_source(cell, "y")
        await all_equal(room_of(daemon), session, other)
        await session.close()


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_nothing_is_lost_and_all_agree(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    longest = dice.choice([0, 3, 30, 200])
    tokens: set[str] = set()
    printed: dict[str, str] = {}

    async def client(session: AsyncSession, name: str, steps: int) -> None:
        for step in range(steps):
            for _ in range(dice.randrange(longest + 1)):
                await trio.lowlevel.checkpoint()
            token = f"<{name}{step}>"
            cells = [cell.id for cell in await session.get_cells()]
            action = dice.randrange(8)
            if action < 2 or not cells:
                await session.create_cell(token, index=dice.choice([None, 0, 1]))
                tokens.add(token)
            elif action < 4:
                await session.append_source(dice.choice(cells), token)
                tokens.add(token)
            elif action == 4:
                # An edit anywhere in a text that others edit, too.
                cell = dice.choice(cells)
                source = (await session.get_cell(cell)).source
                at = source.rfind("<") if source else 0
                await session.set_source(cell, source[:at] + token + source[at:])
                tokens.add(token)
            elif action == 5:
                await session.move_cell(dice.choice(cells), dice.choice([None, cells[0]]))
            elif action == 6:
                cell = await session.create_cell(f"print {token}")
                tokens.add(token)
                result = await session.execute_cell(cell)
                # Whoever else has appended to it meanwhile may be printed, too.
                assert token in result.stdout
                printed[cell] = result.stdout
            else:
                await session._in_step()

    async with (
        open_daemon(tmp_path, lambda: dice.randrange(longest + 1)) as daemon,
        connected(3) as [a, b, c],
    ):
        await a.start_kernel()
        room = room_of(daemon)
        began = 0

        async def begin_now_and_then() -> None:
            nonlocal began
            while True:
                for _ in range(dice.randrange(2 * longest + 2)):
                    await trio.lowlevel.checkpoint()
                began += begin(room)
                await trio.lowlevel.checkpoint()

        with trio.fail_after(120):
            async with trio.open_nursery() as beginning:
                beginning.start_soon(begin_now_and_then)
                async with trio.open_nursery() as clients:
                    for name, session in (("a", a), ("b", b), ("c", c)):
                        clients.start_soon(client, session, name, 15)
                beginning.cancel_scope.cancel()
            await begin_soon(room)
            await all_equal(room, a, b, c)
        assert began > 2
        text = "".join(cell.source for cell in room.document.cells())
        for token in tokens:
            assert text.count(token) == 1, token
        for cell_id, output in printed.items():
            if room.document.execution_count(cell_id) is not None:
                shown = (await b.get_cell(cell_id)).outputs
                assert "".join(o.text or "" for o in shown) == output
        assert room.document.changes < 10


async def test_many_requests_behind_one_that_waits_for_moved_edits_are_all_answered(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon, connected(1) as [session]:
        await session.start_kernel()
        cell_id = await session.create_cell("print x")
        await session._in_step()
        await begin_soon(room_of(daemon))
        await session.set_source(cell_id, "print y")
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for _ in range(400):
                    nursery.start_soon(session.queue_cell, cell_id)
            assert (await session.execute_cell(cell_id)).stdout == "y"


def test_edits_brought_along_from_a_lost_connection_survive_an_epoch_that_begins_at_once() -> None:
    def sync(daemon: NotebookDocument, replica: Replica) -> None:
        peer = daemon.new_peer()
        for _ in range(10):
            if (message := daemon.generate_sync(peer)) is not None:
                replica.receive(message)
            if (message := replica.outgoing()) is not None:
                daemon.receive_sync(peer, message)

    document = NotebookDocument.create("room", daemon_actor())
    document.insert_cell("a", "code", "x = 1")
    lost, replica = Replica(), Replica()
    sync(document, lost)
    lost.document.append_source("a", "\nprecious = 2")
    sync(document, replica)
    assert replica.carry_over(lost)
    replica.follow(1, document.heads)
    sync(fresh_copy(document, daemon_actor()), replica)
    assert replica.in_step
    assert replica.document.source("a") == "x = 1\nprecious = 2"
