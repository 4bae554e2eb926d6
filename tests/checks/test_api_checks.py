"""Weaknesses of other daemons that no user of this API should meet, by number.

Those that other tests cover, and where:

1   client/test_session.py::test_a_kernel_that_ends_ends_the_wait
1   client/test_session.py::test_interrupting_ends_the_running_cell_and_drops_the_queue
2   client/test_executions.py::test_ends_of_earlier_runs_before_the_answer_do_not_count
3   client/test_event_streams.py::test_many_events_wait_for_a_slow_reader
7   client/test_session.py::test_restarting_keeps_the_type
7   client/test_api_catalogue.py::test_every_message_is_said_as_it_is_written
8   client/test_portal.py::test_calls_of_several_threads_run_side_by_side
8   client/test_giving_up.py::test_ctrl_c_may_come_at_every_step
9   client/test_event_streams.py::test_a_subscription_can_be_closed_while_somebody_waits
10  client/test_session.py::test_cells_are_edited_and_read
11  client/test_session.py::test_cells_are_edited_and_read
11  client/test_announcer.py
12  client/test_session.py::test_unknown_cells_have_one_error
12  client/test_session.py::test_wrong_arguments_are_refused
13  client/test_metadata_together.py
15  client/test_cancelling.py::test_a_call_may_be_cancelled_at_every_await
16  daemon/test_presence_channel.py
17  client/test_session.py::test_leaving_stops_the_kernel_unless_others_are_there
18  client/test_joining_again.py
19  client/test_session.py::test_somebody_elses_shutdown_is_noticed_at_the_next_execution
20  client/test_session.py::test_a_running_kernel_is_kept_with_a_warning
23  client/test_resolve.py::test_blobs_are_fetched_over_http_where_the_folder_is_out_of_reach
24  client/test_resolve.py::test_a_kind_of_a_later_day_is_kept_whole
24  client/test_resolve.py::test_what_cannot_be_resolved_is_shown_as_such
24  client/test_resolve.py::test_odd_values_become_text
27  client/test_api_catalogue.py::test_every_method_has_its_signature_in_both_classes
28  client/test_api_catalogue.py::test_every_message_is_said_as_it_is_written
28  client/test_results.py::test_reprs_are_those_of_the_reference
29  client/test_daemon_client.py::test_a_daemon_answers
29  client/test_daemon_client.py::test_rooms_have_all_keys_whether_or_not_there_is_a_kernel
30  client/test_giving_up.py::test_every_method_gives_a_coroutine_for_every_way_to_run_it
31  client/test_session.py::test_opening_a_notebook
31  client/test_session.py::test_creating_a_notebook
33  client/test_results.py::test_success_is_the_absence_of_errors_unless_said_otherwise
33  typing/test_typing_programs.py::test_programs_are_checked_against_the_installed_package

21 belongs to environments, which know of trust; 34 to the sidecar.
"""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))

from fake_daemon import FakeDaemon
from loopback_sessions import open_daemon

from runtimed import AsyncSession, DaemonClient, RuntimedError, Session
from runtimed.client import resolve
from runtimed.messages.wire import Message

pytest_plugins = ["fake_daemon_fixture"]

TESTS = Path(__file__).parents[1]
ELSEWHERE = re.findall(r"^(\d+) +([\w/]+\.py)(?:::(\w+))?$", __doc__ or "", re.MULTILINE)


def test_each_weakness_has_a_test() -> None:
    here = {
        int(n) for n in re.findall(r"^(?:async )?def test_(\d+)_", Path(__file__).read_text(), re.M)
    }
    assert here | {int(number) for number, _, _ in ELSEWHERE} == set(range(1, 34)) - {21}


@pytest.mark.parametrize(("number", "module", "test"), ELSEWHERE)
def test_what_is_said_to_be_tested_elsewhere_is(number: str, module: str, test: str) -> None:
    assert re.search(
        rf"^(async )?def {test or 'test_'}", (TESTS / module).read_text(), re.MULTILINE
    )


async def test_2_an_end_that_others_wait_for_ends_no_other_wait(tmp_path: Path) -> None:
    """The same cell is queued by one client and, once that run is over, executed by another."""
    async with open_daemon(tmp_path), AsyncSession("n") as one, AsyncSession("n") as two:
        await one.start_kernel()
        cell_id = await one.create_cell("print old")
        await one._in_step()
        await two.connect()
        for n in range(20):
            await one.queue_cell(cell_id)
            await two.set_source(cell_id, f"print {n}")
            assert (await two.execute_cell(cell_id)).success
            assert (await two.execute_cell(cell_id)).stdout == str(n)


async def test_3_nothing_that_ends_a_wait_is_dropped_for_one_who_does_not_read(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        unread = session.subscribe()
        cell_id = await session.create_cell("wait")
        stream = await session.stream_execute(cell_id)
        kernel = daemon.kernels.launched[0]
        with trio.fail_after(30):
            while kernel._busy is None:  # noqa: ASYNC110
                await trio.sleep(0.001)
        for n in range(500):
            kernel.say(
                kernel._busy, "display_data", {"data": {"text/plain": str(n)}, "metadata": {}}
            )
        kernel.finish()
        assert (await session.run("print x")).stdout == "x"
        events = [event async for event in stream]
        assert [event.event_type for event in events] == [
            "execution_started",
            *["output"] * 500,
            "done",
        ]
        assert len(unread._heard.waiting) > 500


async def test_4_concurrent_calls_of_one_object_get_each_what_is_its_own(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        said: dict[int, str] = {}

        async def run(n: int) -> None:
            said[n] = (await session.run(f"print {n}")).stdout

        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(run, n)
            for _ in range(5):
                nursery.start_soon(session.sync_environment)
                nursery.start_soon(session.get_queue_state)
        assert said == {n: str(n) for n in range(20)}
        assert len(daemon.kernels.launched) == 1


async def test_5_a_cell_that_failed_can_be_run_again_at_once(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.start_kernel()
        cell_id = await session.create_cell()
        for n in range(10):
            await session.set_source(cell_id, f"raise {n}")
            error = (await session.execute_cell(cell_id)).error
            assert error is not None
            assert error.evalue == str(n)
            await session.set_source(cell_id, f"print {n}")
            assert (await session.execute_cell(cell_id)).stdout == str(n)


async def test_6_a_cell_that_ends_at_once_is_seen_from_its_beginning(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        await session.start_kernel()
        for source in ["", "print x"] * 10:
            cell_id = await session.create_cell(source)
            kinds = [event.event_type async for event in await session.stream_execute(cell_id)]
            output = ["output"] if source else []
            assert kinds == ["execution_started", *output, "done"]


async def test_14_a_dependency_added_right_before_a_launch_is_there_when_it_happens(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon:
        for n in range(5):
            async with AsyncSession(f"n{n}") as session:
                await session.connect()
                room: Any = daemon.rooms._rooms[f"n{n}"]
                seen: list[Any] = []

                async def launch(*args: object, room: Any = room, seen: Any = seen) -> Any:
                    seen.append(room.document.metadata_at(["runt", "uv", "dependencies"]))
                    raise RuntimedError("that will do")

                room.launch = launch
                await session.add_uv_dependency("a")
                await session.add_uv_dependency("b")
                with pytest.raises(RuntimedError, match="that will do"):
                    await session.start_kernel()
                assert seen == [["a", "b"]]


class Dribble(trio.abc.Stream):
    """Hands on what it gets in small pieces, and falls silent now and then."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self._pieces = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._pieces += 1
        if self._pieces in (5, 40):
            await trio.sleep(0.2)
        return await self._inner.receive_some(499)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_15_a_large_notebook_is_there_whole_however_slowly_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as first:
        await first.connect()
        for n in range(300):
            await first.create_cell(f"{n} = " + "x" * 40)
        await first._in_step()

        async def slowly(paths: Any) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return Dribble(daemon.connect_raw())

        with monkeypatch.context() as patch:
            patch.setattr("runtimed.client.opening.open_stream", slowly)
            async with AsyncSession("n") as second:
                await second.connect()
                assert len(await second.get_cells()) == 300
                # Waits that are given up in the middle of a frame cost nothing that follows.
                for _ in range(10):
                    with trio.move_on_after(0.001):
                        await second.get_queue_state()
                assert (await second.get_queue_state()).executing is None


@pytest.mark.real
def test_22_any_number_of_objects_share_one_thread(daemon: FakeDaemon) -> None:
    with Session("warm-up") as session:
        session.connect()
    before = set(threading.enumerate())
    sessions = [Session(f"n{n % 3}") for n in range(12)]
    for session in sessions:
        session.start_kernel()
    iterators = [session.subscribe() for session in sessions]
    clients = [DaemonClient() for _ in range(12)]
    assert all(client.ping() for client in clients)
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if not thread.name.startswith("Trio thread")]
    for iterator, session in zip(iterators, sessions, strict=True):
        iterator.close()
        session.close()


async def test_25_long_texts_are_cut_between_characters() -> None:
    reader = resolve.OutputReader(None, None)
    [output] = await reader.outputs(["☺" * 100])
    assert output.text == "Failed to resolve output: " + "☺" * 64


async def test_26_the_outputs_of_all_cells_are_read_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        for n in range(30):
            assert (await session.run(f"print {n}")).success
        await daemon.blobs.flushed()  # the folder is all that there is to read them from
        turns = 0
        in_thread = trio.to_thread.run_sync

        async def count(*args: Any, **options: Any) -> Any:
            nonlocal turns
            turns += 1
            return await in_thread(*args, **options)

        monkeypatch.setattr("runtimed.client.resolve.trio.to_thread.run_sync", count)
        assert session._link is not None
        session._link.outputs._cache = resolve.ContentCache(1 << 20)  # nothing is at hand
        cells = await session.get_cells()
        turns_for_all = turns
        monkeypatch.undo()
        assert [cell.outputs[0].text for cell in cells] == [str(n) for n in range(30)]
        assert turns_for_all <= 3  # the saving of the document has its own


async def test_27_a_pattern_is_a_part_of_the_text_and_a_cursor_counts_characters(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        await session.start_kernel()
        asked: list[tuple[str, Any]] = []

        async def request(msg_type: str, content: Any) -> Message:
            await trio.lowlevel.checkpoint()
            asked.append((msg_type, content))
            content = {"matches": ["printer"], "cursor_start": 4, "cursor_end": 6, "history": []}
            return Message(msg_type, "", "", content, {}, ())

        daemon.kernels.launched[0].request = request  # type: ignore[method-assign]
        await session.get_history("a*b[c]?")
        completion = await session.complete("é☺𝒳 pr", 6)
        assert asked[0][1]["pattern"] == "*a[*]b[[]c[]][?]*"
        assert asked[1][1]["cursor_pos"] == 6
        assert (completion.cursor_start, completion.cursor_end) == (4, 6)


async def test_31_an_untitled_notebook_is_written_nowhere_by_itself(tmp_path: Path) -> None:
    async with open_daemon(tmp_path), await AsyncSession.create_notebook() as session:
        with pytest.raises(RuntimedError, match="Notebook has no path"):
            await session.save()
        assert not list(tmp_path.rglob("*.ipynb"))


async def test_32_executing_a_cell_leaves_its_source_alone(tmp_path: Path) -> None:
    source = "print   x  ;y=[1,\n2]\n\n\n"
    async with open_daemon(tmp_path), AsyncSession("n") as session:
        result = await session.run(source)
        await session._in_step()
        assert (await session.get_cell(result.cell_id)).source == source
        await session.run_all_cells()
        await session._in_step()
        assert (await session.get_cell(result.cell_id)).source == source
