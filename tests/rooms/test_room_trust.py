"""What may be installed in a room: only what came with a file taints, only approval clears."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from shared_files import cell, edit, notebook, open_file, pass_time
from trio.testing import MockClock
from trust_files import (
    add_package,
    asking_for,
    may_install,
    parsed,
    record_of,
    remove_packages,
    room_of,
    signature_for,
    trust_of,
    uv,
    vouched_in_file,
)

from loopback import Loopback, open_loopback
from runtimed.environments.wanted import Choice, Pooled, UvPackages, UvProject
from runtimed.errors import NotTrusted
from runtimed.protocol import handshake, requests, responses
from wire_peer import WirePeer

EVIL_BLOCK = '# /// script\n# dependencies = ["evil"]\n# ///\n'

# Seconds within which a change of the file is in the document, and one of the document in the file.
SEEN = 1.0
SAVED = 2.25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n.ipynb"


@pytest.fixture(autouse=True)
def running_clock(mock_clock: MockClock) -> None:
    mock_clock.rate = 0.1


async def needs_approval(daemon: Loopback, path: Path) -> bool:
    """What another peer is told when it opens the notebook."""
    peer = daemon.connect()
    reply = await peer.open(handshake.OpenNotebook(str(path)))
    assert reply.error is None
    await peer.stream.aclose()
    return bool(reply.needs_trust_approval)


async def save(peer: WirePeer, path: Path | None = None) -> None:
    answer = await peer.ask(requests.SaveNotebook(False, str(path) if path else None))
    assert isinstance(answer, responses.NotebookSaved), answer


def set_packages(*packages: str) -> Any:
    def change(content: Any) -> None:
        content["metadata"]["runt"]["uv"]["dependencies"] = list(packages)

    return change


# Opening


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({}, "no_dependencies"),
        (uv(), "no_dependencies"),
        (uv(trust_signature="hmac-sha256:aa"), "no_dependencies"),
        (uv("evil"), "untrusted"),
        (uv("evil", trust_signature="hmac-sha256:" + "0" * 64), "signature_invalid"),
        ({"uv": {"dependencies": ["evil"]}}, "untrusted"),
        (
            {"runt": {"uv": {"dependencies": []}}, "uv": {"dependencies": ["evil"]}},
            "untrusted",
        ),
        (
            {"runt": {"schema_version": "1", "conda": {"dependencies": ["evil"]}}},
            "untrusted",
        ),
    ],
)
async def test_a_file_is_judged_when_it_is_opened(
    path: Path, tmp_path: Path, metadata: dict[str, Any], status: str
) -> None:
    path.write_bytes(notebook(cell("a"), metadata=metadata))
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        reply = await peer.open(handshake.OpenNotebook(str(path)))
        waits = status in ("untrusted", "signature_invalid")
        assert reply.needs_trust_approval is waits
        assert (await trust_of(peer)).status == status
        assert may_install(room_of(daemon, path)) is not waits


async def test_a_file_with_a_good_signature_is_trusted(path: Path, tmp_path: Path) -> None:
    signature = signature_for(tmp_path, asking_for("requests"))
    path.write_bytes(asking_for("requests", trust_signature=signature))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert not await needs_approval(daemon, path)
        assert (await trust_of(peer)).status == "trusted"
        assert may_install(room_of(daemon, path))


async def test_the_signature_of_another_list_is_none_of_this(path: Path, tmp_path: Path) -> None:
    signature = signature_for(tmp_path, asking_for("requests"))
    path.write_bytes(asking_for("requests", "evil", trust_signature=signature))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert (await trust_of(peer)).status == "signature_invalid"
        assert not may_install(room_of(daemon, path))


async def test_a_script_block_alone_needs_an_approval(path: Path, tmp_path: Path) -> None:
    path.write_bytes(notebook(cell("a", EVIL_BLOCK + "import evil\n")))
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        reply = await peer.open(handshake.OpenNotebook(str(path)))
        assert reply.needs_trust_approval
        info = await trust_of(peer)
        assert (info.status, info.script_dependencies) == ("untrusted", ("evil",))
        assert not may_install(room_of(daemon, path))


async def test_the_refusal_names_the_packages_and_the_remedies(path: Path, tmp_path: Path) -> None:
    path.write_bytes(asking_for("evil>=2"))
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        choice = Choice("python", "uv:inline", UvPackages(("evil>=2",)), consent="notebook")
        with pytest.raises(NotTrusted) as refused:
            room_of(daemon, path).trust.check(choice)
        for part in ("evil>=2", "approve_trust()", f"runt trust {path}", '"uv:prewarmed"'):
            assert part in str(refused.value)


async def test_an_environment_of_the_pool_needs_no_approval(path: Path, tmp_path: Path) -> None:
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        room_of(daemon, path).trust.check(Choice("python", "uv:prewarmed", Pooled("uv")))


async def test_while_a_file_comes_in_it_is_judged_by_all_of_it(path: Path, tmp_path: Path) -> None:
    cells = [cell(f"c{number}", "x = 1\n") for number in range(2000)]
    path.write_bytes(notebook(*cells, cell("last", EVIL_BLOCK)))
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        reply = await peer.open(handshake.OpenNotebook(str(path)))
        room = room_of(daemon, path)
        assert room.loading
        assert reply.needs_trust_approval
        assert not may_install(room)
        assert (await trust_of(peer)).script_dependencies == ("evil",)
        assert not room.loading
        assert not may_install(room)


async def test_metadata_that_a_peer_brings_along_is_judged_like_a_file(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        snapshot = orjson.dumps(uv("evil")).decode()
        await peer.open(handshake.NotebookSync("x", protocol="v2", initial_metadata=snapshot))
        assert (await trust_of(peer)).status == "untrusted"
        assert not may_install(room_of(daemon, "x"))


# What peers edit


async def test_packages_that_peers_add_need_no_approval_and_are_signed_when_saved(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for())
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "requests")
        assert may_install(room_of(daemon, path))
        assert (await trust_of(peer)).status == "trusted"
        await pass_time(mock_clock, daemon, SAVED)
    assert parsed(path)[0].uv_dependencies == ["requests"]
    assert vouched_in_file(tmp_path, path)
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        assert may_install(room_of(daemon, path))


async def test_a_new_notebook_s_packages_are_its_owner_s(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert not await needs_approval(daemon, path)
        await add_package(peer, "requests")
        await save(peer)
        assert may_install(room_of(daemon, path))
    assert vouched_in_file(tmp_path, path)


async def test_a_package_added_to_an_unapproved_list_approves_nothing(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "requests")
        assert not may_install(room_of(daemon, path))
        await save(peer)
        assert not may_install(room_of(daemon, path))
    content, signature = parsed(path)
    assert content.uv_dependencies == ["evil", "requests"]
    assert signature is None
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        assert not may_install(room_of(daemon, path))


async def test_a_tainted_notebook_keeps_its_old_signature_untouched(
    path: Path, tmp_path: Path
) -> None:
    signature = signature_for(tmp_path, asking_for("requests"))
    path.write_bytes(asking_for("evil", trust_signature=signature, trust_timestamp="then"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "numpy")
        await save(peer)
    runt = orjson.loads(path.read_bytes())["metadata"]["runt"]
    assert (runt["trust_signature"], runt["trust_timestamp"]) == (signature, "then")


async def test_when_nothing_is_left_of_what_came_with_the_file_peers_are_free(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await remove_packages(peer, "evil")
        assert (await trust_of(peer)).status == "no_dependencies"
        await add_package(peer, "requests")
        assert may_install(room_of(daemon, path))
        await save(peer)
    assert vouched_in_file(tmp_path, path)


async def test_a_channel_that_came_with_the_file_taints_what_peers_add(
    path: Path, tmp_path: Path
) -> None:
    conda = {"dependencies": [], "channels": ["https://evil.example"]}
    metadata = {"runt": {"schema_version": "1", "conda": conda}}
    path.write_bytes(notebook(cell("a"), metadata=metadata))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert not await needs_approval(daemon, path)  # as it is, nothing would be installed
        peer.replica.document.set_metadata_at(["runt", "conda", "dependencies"], ["numpy"])
        await peer.sync()
        assert not may_install(room_of(daemon, path))
        info = await trust_of(peer)
        assert (info.status, info.conda_channels) == ("untrusted", ("https://evil.example",))


async def test_a_second_script_block_is_not_freed_by_deleting_the_first(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(notebook(cell("a", EVIL_BLOCK), cell("b", EVIL_BLOCK.replace("evil", "six"))))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.delete_cell("b")
        await peer.sync()
        assert (await trust_of(peer)).script_dependencies == ("evil",)
        assert not may_install(room_of(daemon, path))


# Approving


async def test_an_approval_signs_exactly_what_is_in_the_document(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for("reqeusts"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "numpy")
        shown = await trust_of(peer)
        assert shown.uv_dependencies == ("reqeusts", "numpy")
        assert [name.similar_to for name in shown.similar_names] == ["requests"]
        info = await peer.ask(requests.ApproveTrust(shown.content))
        assert (info.status, info.content) == ("trusted", shown.content)
        assert may_install(room_of(daemon, path))
        assert not await needs_approval(daemon, path)
        await pass_time(mock_clock, daemon, SAVED)
    assert vouched_in_file(tmp_path, path)
    timestamp = orjson.loads(path.read_bytes())["metadata"]["runt"]["trust_timestamp"]
    assert timestamp.endswith("+00:00")


async def test_what_was_changed_since_it_was_shown_is_not_approved(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(asking_for("requests"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        shown = await trust_of(peer)
        await add_package(peer, "evil")
        answer = await peer.ask(requests.ApproveTrust(shown.content))
        assert isinstance(answer, responses.Error)
        assert "changed meanwhile" in answer.error
        assert not may_install(room_of(daemon, path))


async def test_peers_of_an_approved_notebook_go_on_without_approvals(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(asking_for("requests"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await peer.ask(requests.ApproveTrust())
        await peer.sync()
        await add_package(peer, "numpy")
        assert may_install(room_of(daemon, path))
        await save(peer)
    assert vouched_in_file(tmp_path, path)


async def test_a_peer_that_has_the_key_may_sign_itself(path: Path, tmp_path: Path) -> None:
    path.write_bytes(asking_for("requests"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert not may_install(room_of(daemon, path))
        snapshot = uv("requests", trust_signature=signature_for(tmp_path, path))
        await peer.ask(requests.SetMetadataSnapshot(orjson.dumps(snapshot).decode()))
        await room_of(daemon, path).trust.refresh()
        assert may_install(room_of(daemon, path))
        assert (await trust_of(peer)).status == "trusted"


async def test_a_peer_that_has_not_the_key_can_not(path: Path, tmp_path: Path) -> None:
    path.write_bytes(asking_for("requests"))
    signature_for(tmp_path, path)
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        snapshot = uv("requests", trust_signature="hmac-sha256:" + "0" * 64)
        await peer.ask(requests.SetMetadataSnapshot(orjson.dumps(snapshot).decode()))
        assert (await trust_of(peer)).status == "signature_invalid"
        assert not may_install(room_of(daemon, path))


async def test_a_key_that_can_not_be_used_keeps_everything_closed_and_is_named(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(
        asking_for("requests", trust_signature=signature_for(tmp_path, asking_for("requests")))
    )
    key = tmp_path / "trust" / "trust-key"
    key.write_bytes(b"short")
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        choice = Choice("python", "uv:inline", UvPackages(("requests",)), consent="notebook")
        with pytest.raises(NotTrusted, match="wrong size"):
            room_of(daemon, path).trust.check(choice)
        answer = await peer.ask(requests.ApproveTrust())
        assert isinstance(answer, responses.Error)
        assert "delete it" in answer.error
        key.unlink()
        assert (await peer.ask(requests.ApproveTrust())).status == "trusted"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


# The file beside


async def test_check_9_a_list_edited_on_disk_is_not_installed(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    signature = signature_for(tmp_path, asking_for("requests"))
    path.write_bytes(asking_for("requests", trust_signature=signature))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert may_install(room_of(daemon, path))
        edit(path, set_packages("requests", "evil"))
        await pass_time(mock_clock, daemon, SEEN)
        assert (await trust_of(peer)).status == "signature_invalid"
        assert not may_install(room_of(daemon, path))
        assert await needs_approval(daemon, path)
        edit(path, set_packages("requests"))  # and back again: what was signed is there
        await pass_time(mock_clock, daemon, SEEN)
        assert may_install(room_of(daemon, path))


async def test_a_script_block_that_another_program_writes_is_not_installed(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(notebook(cell("a", "x = 1\n")))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        edit(path, lambda content: content["cells"].append(cell("b", EVIL_BLOCK)))
        await pass_time(mock_clock, daemon, SEEN)
        assert (await trust_of(peer)).script_dependencies == ("evil",)
        assert not may_install(room_of(daemon, path))


async def test_other_edits_of_the_file_ask_for_no_approval(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for())
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "requests")
        await pass_time(mock_clock, daemon, SAVED)

        def change(content: Any) -> None:
            content["cells"][0]["source"] = "y = 2\n"
            del content["metadata"]["runt"]["trust_signature"]

        edit(path, change)
        await pass_time(mock_clock, daemon, SEEN)
        assert room_of(daemon, path).document.source("a") == "y = 2\n"
        assert may_install(room_of(daemon, path))
        await save(peer)
        assert vouched_in_file(tmp_path, path)


async def test_an_approval_written_into_the_file_counts_in_the_room(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for("requests"))
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        assert not may_install(room_of(daemon, path))
        signature = signature_for(tmp_path, path)
        edit(path, lambda c: c["metadata"]["runt"].update(trust_signature=signature))
        await pass_time(mock_clock, daemon, SEEN)
        assert may_install(room_of(daemon, path))


async def test_a_signed_list_merged_into_an_untainted_room_stays_trusted(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for())
    signature = signature_for(tmp_path, asking_for("requests"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        await add_package(peer, "numpy")

        def change(content: Any) -> None:
            set_packages("requests")(content)
            content["metadata"]["runt"]["trust_signature"] = signature

        edit(path, change)
        await pass_time(mock_clock, daemon, SEEN)
        info = await trust_of(peer)
        assert sorted(info.uv_dependencies) == ["numpy", "requests"]
        assert info.status == "trusted"


# Lasting


async def test_a_taint_outlives_the_daemon_with_changes_that_are_not_in_the_file(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        await add_package(peer, "requests")
        await pass_time(mock_clock, daemon, SEEN)
        assert record_of(daemon, path) == {"tainted": True}
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        assert (await trust_of(peer)).uv_dependencies == ("evil", "requests")
        assert not may_install(room_of(daemon, path))


async def test_what_peers_added_stays_trusted_across_daemons_before_it_is_saved(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for())
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        await add_package(peer, "requests")
        await pass_time(mock_clock, daemon, SEEN)
        assert record_of(daemon, path) == {"tainted": False}
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        assert (await trust_of(peer)).status == "trusted"
        assert may_install(room_of(daemon, path))


@pytest.mark.parametrize("tainted", [False, True])
async def test_an_untitled_notebook_keeps_its_standing(
    tmp_path: Path, mock_clock: MockClock, tainted: bool
) -> None:
    notebook_id = "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77"
    brought = orjson.dumps(uv("evil")).decode() if tainted else None
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        hello = handshake.NotebookSync(notebook_id, protocol="v2", initial_metadata=brought)
        await peer.open(hello)
        await peer.sync()
        snapshot = uv("evil", "requests")
        await peer.ask(requests.SetMetadataSnapshot(orjson.dumps(snapshot).decode()))
        await pass_time(mock_clock, daemon, SEEN)
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join(notebook_id)
        assert (await trust_of(peer)).uv_dependencies == ("evil", "requests")
        assert may_install(room_of(daemon, notebook_id)) is not tainted


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"tainted": 1}', None])
async def test_a_saved_document_of_which_nothing_is_known_is_judged_like_a_file(
    path: Path, tmp_path: Path, mock_clock: MockClock, damage: bytes | None
) -> None:
    path.write_bytes(asking_for())
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        await add_package(peer, "requests")
        await pass_time(mock_clock, daemon, SEEN)
        record = room_of(daemon, path).trust._record
    if damage is None:
        record.unlink()
    else:
        record.write_bytes(damage)
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        assert (await trust_of(peer)).status == "untrusted"


async def test_no_tainted_document_is_on_disk_before_its_record(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for("evil"))
    (tmp_path / "documents").mkdir()
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        room = room_of(daemon, path)
        record = room.trust._record
        record.unlink(missing_ok=True)
        room.trust._recorded = None
        record.mkdir()  # so that it can't be written
        before = room._saving._file.path.read_bytes() if room._saving._file.path.exists() else b""
        room.document.append_source("a", "more")
        room.document_changed()
        await pass_time(mock_clock, daemon, SEEN)
        after = room._saving._file.path.read_bytes() if room._saving._file.path.exists() else b""
        assert after == before
        record.rmdir()
        await pass_time(mock_clock, daemon, 3)
        assert record_of(daemon, path) == {"tainted": True}
        assert room._saving._file.path.read_bytes() != before


async def test_a_document_that_was_tainted_when_it_was_saved_is_known_to_be(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        await pass_time(mock_clock, daemon, SEEN)
        trust = room_of(daemon, path).trust
        async with trust.recorded():  # its document is on its way to the disk
            await remove_packages(peer, "evil")
            assert (await trust_of(peer)).status == "no_dependencies"
        assert record_of(daemon, path) == {"tainted": True}
        async with trust.recorded():
            pass
        assert record_of(daemon, path) == {"tainted": False}


async def test_a_taint_outlives_a_document_that_begins_anew(path: Path, tmp_path: Path) -> None:
    from runtimed.document.actors import daemon_actor
    from runtimed.document.fresh_copy import fresh_copy

    path.write_bytes(asking_for("evil"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        room = room_of(daemon, path)
        await peer.stream.aclose()
        room.go_on_in(fresh_copy(room.document, daemon_actor()))
        assert not may_install(room)


# Copies


@pytest.mark.parametrize("how", ["save", "clone"])
async def test_a_copy_of_a_tainted_notebook_has_no_signature(
    path: Path, tmp_path: Path, how: str
) -> None:
    path.write_bytes(asking_for("evil", trust_signature="hmac-sha256:aa", trust_timestamp="then"))
    copy = tmp_path / "copy.ipynb"
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        if how == "save":
            await save(peer, copy)
        else:
            await peer.ask(requests.CloneNotebook(str(copy)))
        runt = orjson.loads(copy.read_bytes())["metadata"]["runt"]
        assert runt["uv"] == {"dependencies": ["evil"]}
        assert not {"trust_signature", "trust_timestamp"} & runt.keys()
        await open_file(daemon, copy)
        assert not may_install(room_of(daemon, copy))


async def test_a_trusted_notebook_saved_elsewhere_is_trusted_there(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(asking_for())
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await add_package(peer, "requests")
        await save(peer, tmp_path / "copy.ipynb")
        await open_file(daemon, tmp_path / "copy.ipynb")
        assert may_install(room_of(daemon, tmp_path / "copy.ipynb"))


async def test_saving_does_not_bring_back_a_signature_that_was_dropped(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(asking_for(trust_signature="hmac-sha256:aa", trust_timestamp="then"))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await peer.ask(requests.SetMetadataSnapshot(orjson.dumps(uv()).decode()))
        await save(peer)
    runt = orjson.loads(path.read_bytes())["metadata"]["runt"]
    assert runt == {"schema_version": "1", "uv": {"dependencies": []}}


# Project files


async def test_a_project_file_waits_for_an_explicit_launch(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'p'\n")
    choice = Choice("python", "uv:pyproject", UvProject(project), consent="project", origin=project)
    async with open_loopback(tmp_path) as daemon:
        await daemon.join("x")
        trust = room_of(daemon, "x").trust
        with pytest.raises(NotTrusted, match=r"pyproject\.toml was not approved.*start_kernel"):
            await trust.check_project(choice, explicit=False)
        await trust.check_project(choice, explicit=True)
        await trust.check_project(choice, explicit=False)
        project.write_text("[project]\nname = 'other'\n")
        with pytest.raises(NotTrusted):
            await trust.check_project(choice, explicit=False)


async def test_what_does_not_come_from_a_project_file_is_not_asked_for(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        await daemon.join("x")
        choice = Choice("python", "uv:prewarmed", Pooled("uv"))
        await room_of(daemon, "x").trust.check_project(choice, explicit=False)
    assert not (tmp_path / "trust").exists()
