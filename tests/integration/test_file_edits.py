"""A notebook's file edited by a text editor and two peers at once, with a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest

from daemon_home import DaemonHome
from runtimed import Session
from waiting import wait_until

pytestmark = pytest.mark.real

MakeDaemon: TypeAlias = "Callable[..., DaemonHome]"
OpenSession: TypeAlias = "Callable[..., Session]"


def sources(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in orjson.loads(path.read_bytes())["cells"]]


def edit(path: Path, change: Callable[[Any], object], *, in_place: bool) -> None:
    content = orjson.loads(path.read_bytes())
    change(content)
    if in_place:
        path.write_bytes(orjson.dumps(content))
    else:
        temporary = path.with_name("n.ipynb~")
        temporary.write_bytes(orjson.dumps(content))
        temporary.rename(path)


def cell(name: str) -> dict[str, Any]:
    return {"id": name, "cell_type": "raw", "source": name, "metadata": {}}


def test_a_text_editor_and_two_peers_who_write_at_once_end_with_all_edits(
    bare_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = bare_daemon()
    path = home.home / "n.ipynb"
    one, two = (open_session(home, path) for _ in range(2))
    first = one.get_cells()[0].id
    one.set_source(first, "start\n")
    one.save()
    for number in range(6):
        one.append_source(first, f"one{number}\n")
        two.create_cell(f"two{number}")

        def change(content: Any, number: int = number) -> None:
            content["cells"].append(cell(f"editor{number}"))
            content["cells"][0]["metadata"][f"m{number}"] = number

        edit(path, change, in_place=bool(number % 2))
        if number % 3 == 0:
            two.save()
    expected = {f"{who}{n}" for who in ("one", "two", "editor") for n in range(6)}

    def same() -> bool:
        document = [cell.source for cell in one.get_cells()]
        return document == [cell.source for cell in two.get_cells()] == sources(path)

    def words() -> set[str]:
        return set("\n".join(sources(path)).split())

    wait_until(lambda: same() and expected <= words())
    assert len(sources(path)) == 13
    metadata = orjson.loads(path.read_bytes())["cells"][0]["metadata"]
    assert metadata == {f"m{n}": n for n in range(6)}


def test_edits_of_both_sides_meet_after_the_daemon_was_killed(
    bare_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = bare_daemon()
    path = home.home / "n.ipynb"
    session = open_session(home, path)
    cell_id = session.get_cells()[0].id
    session.set_source(cell_id, "start\n")
    session.save()
    session.append_source(cell_id, "peer\n")
    new = session.create_cell("new")
    wait_until(lambda: new in home.saved_cells())
    home.kill()
    edit(path, lambda content: content["cells"].insert(0, cell("editor")), in_place=False)
    home.start_after_kill()
    session = open_session(home, path)
    cells = session.get_cells()
    assert [cell.source for cell in cells] == ["editor", "start\npeer\n", "new"]
    assert cells[2].id == new
    wait_until(lambda: sources(path) == [cell.source for cell in cells])


@pytest.mark.parametrize("kill", [True, False])
def test_an_untitled_notebook_survives_the_daemon(
    bare_daemon: MakeDaemon, open_session: OpenSession, kill: bool
) -> None:
    home = bare_daemon()
    session = open_session(home, notebook_id="untitled")
    kept = session.create_cell("kept")
    if kill:
        wait_until(lambda: kept in home.saved_cells())
        home.kill()
        home.start_after_kill()
    else:
        session.get_queue_state()  # the daemon has the cell once it answers
        home.restart()
    session = open_session(home, notebook_id="untitled")
    assert "kept" in [cell.source for cell in session.get_cells()]
