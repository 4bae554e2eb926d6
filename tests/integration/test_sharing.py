"""Several programs in one notebook, one of which never reads; notebooks that can't be opened."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from daemon_home import DaemonHome
from runtimed import DaemonClient, Session
from runtimed.errors import RuntimedError
from runtimed.protocol import handshake
from wire_peer import connect

pytestmark = pytest.mark.real

FIRST = """
import sys, runtimed
with runtimed.Session(notebook_id=sys.argv[1]) as session:
    session.connect()
    session.start_kernel()
    cell = session.create_cell("x = 42; print(x)")
    print(session.execute_cell(cell).stdout, end="", flush=True)
    sys.stdin.readline()
"""

SECOND = """
import sys, runtimed
with runtimed.Session(notebook_id=sys.argv[1]) as session:
    session.connect()
    [cell] = session.get_cells()
    print(cell.source, cell.outputs[0].text, end="")
    session.start_kernel()
    print(session.run("print(x + 1)").stdout, end="")
    print(len(session.run("for n in range(200_000): print('y' * 100)").stdout))
    print(session.get_cells()[1].outputs[0].text, end="")
"""


async def test_two_processes_share_a_notebook_while_a_third_peer_never_reads(
    daemon_home: DaemonHome,
) -> None:
    env = daemon_home.env | {"RUNTIMED_SOCKET_PATH": str(daemon_home.socket)}
    before = len(daemon_home.log)
    name = "shared-by-three"
    with trio.fail_after(120):
        async with connect(daemon_home.socket) as stuck:
            await stuck.stream.send_all(
                stuck.connection.open(handshake.NotebookSync(name, protocol="v2"))
            )
            async with trio.open_nursery() as nursery:
                command = [sys.executable, "-c", FIRST, name]
                run = partial(trio.run_process, command, env=env, stdin=-1, stdout=-1)
                first: trio.Process = await nursery.start(run)
                assert first.stdout is not None
                assert first.stdin is not None
                assert await first.stdout.receive_some() == b"42\n"
                second = await trio.run_process(
                    [sys.executable, "-c", SECOND, name], env=env, capture_stdout=True
                )
                assert second.stdout.decode().splitlines() == [
                    "x = 42; print(x) 42", "43", str(200_000 * 101), "43",
                ]  # fmt: skip
                await first.stdin.send_all(b"\n")
    assert "Traceback" not in daemon_home.log[before:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{not json", "line 1"),
        (b"[]", "not a JSON object"),
        (b'{"cells": [], "metadata": {}, "nbformat": 9, "nbformat_minor": 0}', "newer"),
    ],
)
def test_a_notebook_that_can_not_be_read_is_a_clear_error_and_leaves_no_room(
    daemon_home: DaemonHome,
    session_factory: Callable[..., Session],
    tmp_path: Path,
    content: bytes,
    words: str,
) -> None:
    session_factory()
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(RuntimedError) as caught:
        Session.open_notebook(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert path.read_bytes() == content
    rooms = DaemonClient(daemon_home.socket).list_rooms()
    assert str(path) not in [room["notebook_id"] for room in rooms]


def test_an_old_notebook_with_repeated_ids_and_a_huge_cell_opens_and_runs(
    session_factory: Callable[..., Session], tmp_path: Path
) -> None:
    session_factory()
    import orjson

    old = tmp_path / "old.ipynb"
    cell = {"cell_type": "code", "input": ["print(3)"], "outputs": [], "language": "python",
            "metadata": {}, "collapsed": False, "prompt_number": 1}  # fmt: skip
    old.write_bytes(
        orjson.dumps(
            {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0,
             "worksheets": [{"cells": [cell], "metadata": {}}]}
        )
    )  # fmt: skip
    with Session.open_notebook(old) as session:
        [found] = session.get_cells()
        assert session.execute_cell(found.id).stdout == "3\n"
    huge = tmp_path / "huge.ipynb"
    cells: list[dict[str, Any]] = [
        {"id": "same", "cell_type": "code", "source": source, "metadata": {}, "outputs": [],
         "execution_count": None}
        for source in ("x = 1", "y = '" + "z" * 300_000 + "'; print(len(y))")
    ]  # fmt: skip
    huge.write_bytes(
        orjson.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    with Session.open_notebook(huge) as session:
        first, second = session.get_cells()
        assert first.id != second.id
        assert session.execute_cell(second.id).stdout == "300000\n"
