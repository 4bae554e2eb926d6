"""Section 5 of the agent protocol: artifact folders, the upload handshake, and when it is over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from runtime_peer import QUICK, Peer, connected, execution, invocation, peer_of, serving
from storage import Storage

from local_server import serving as serving_files
from runtimed.agents.runtime import uploads
from runtimed.agents.runtime.server import RuntimeUseServer
from waiting import wait_until_async

pytestmark = pytest.mark.real


@pytest.fixture
def storage() -> Iterator[Storage]:
    with serving_files(Storage()) as server:
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_BACK_OFF", (0.01, 0.01))


def response(request: dict[str, Any], url: str) -> dict[str, Any]:
    return {
        "message_type": "artifact_upload_response_message",
        "filename": request["filename"],
        "filepath": request["filepath"],
        "presigned_url": url,
        "content_type": "text/x-test",
    }


async def answering(peer: Peer, storage: Storage, *until: str) -> list[dict[str, Any]]:
    """Answer upload requests until a message of one of these types; all that came."""
    seen = []
    while True:
        message = await peer.receive()
        seen.append(message)
        if message["message_type"] == "artifact_upload_request_message":
            await peer.send(response(message, f"{storage.url}/put/{message['filename']}"))
        if message["message_type"] in until:
            return seen


RESULT = ("command_execution_result_message", "error_message", "result_message")


def announced(messages: list[dict[str, Any]]) -> list[str]:
    return [each["filepath"] for each in messages if "filepath" in each]


def names(storage: Storage) -> list[str]:
    return sorted(path.rpartition("/")[2] for path, _, _ in storage.stored)


async def test_what_a_request_writes_is_stored_before_its_terminal(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 5.3, MUST; weakness 9: written near the end, never uploaded. Exactly once each."""
    folder = tmp_path / "out"
    command = f"mkdir {folder}/sub; echo hi > {folder}/a.txt; echo deep > {folder}/sub/.hidden"
    async with connected() as peer:
        asked = execution(f"{command}; : > {folder}/empty", artifacts_dirs=[str(folder)])
        await peer.send(asked)
        seen = await answering(peer, storage, *RESULT)
        assert announced(seen) == [str(folder / "a.txt"), str(folder / "sub/.hidden")]
        assert names(storage) == [".hidden", "a.txt"]
        path, body, headers = max(storage.stored)
        assert (path, body) == ("/put/a.txt", b"hi\n")
        assert headers["Content-Type"] == "text/x-test"
        assert headers["Content-Length"] == "3"
        # Not again with the next request, unless it changes.
        await peer.send(execution("true"))
        assert len(await answering(peer, storage, *RESULT)) == 1
        await peer.send(execution(f"echo more >> {folder}/a.txt"))
        assert announced(await answering(peer, storage, *RESULT)) == [str(folder / "a.txt")]
        await peer.send({"message_type": "end_session_message"})
        assert [each["message_type"] for each in await peer.rest()] == [
            "end_session_confirm_message"
        ]
    assert names(storage) == [".hidden", "a.txt", "a.txt"]


async def test_files_that_were_there_count_as_new(storage: Storage, tmp_path: Path) -> None:
    """Section 5.1. Both fields may name the folder; duplicates collapse (2.1)."""
    (tmp_path / "before.txt").write_text("x")
    async with connected() as peer:
        folder = str(tmp_path)
        await peer.send(execution("true", artifacts_dirs=[folder, folder], artifacts_dir=folder))
        assert announced(await answering(peer, storage, *RESULT)) == [f"{folder}/before.txt"]


async def test_a_file_is_stored_while_its_request_still_runs(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 5.3: once it is stable for ~1 s."""
    (tmp_path / "early.txt").write_text("x")
    async with connected() as peer:
        await peer.send(execution("sleep 1000", artifacts_dirs=[str(tmp_path)]))
        await answering(peer, storage, "artifact_upload_request_message")
        await wait_until_async(lambda: storage.stored)
        await peer.send({"message_type": "cancel_message"})
        await answering(peer, storage, *RESULT)
    assert names(storage) == ["early.txt"]


async def test_ignore_rules_of_the_request_are_pinned(storage: Storage, tmp_path: Path) -> None:
    """Section 5.1, order of the rules: request, `.artifactignore`, defaults."""
    (tmp_path / ".artifactignore").write_text("b.txt")
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("x")
    async with connected() as peer:
        await peer.send(
            execution(
                "true", artifacts_dirs=[str(tmp_path)], artifacts_ignore_content="a.txt\nC.TXT"
            )
        )
        await answering(peer, storage, *RESULT)
    assert names(storage) == ["b.txt"]


async def test_ignore_rules_on_disk_replace_the_defaults_and_are_read_again(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 5.1; weakness 25: a file `.env` is uploaded by default."""
    (tmp_path / ".env").write_text("SECRET")
    (tmp_path / "env").mkdir()
    (tmp_path / "env/in").write_text("x")
    async with connected() as peer:
        await peer.send(execution("true", artifacts_dirs=[str(tmp_path)]))
        await answering(peer, storage, *RESULT)
        assert names(storage) == []
        await peer.send(execution(f"echo .env > {tmp_path}/.artifactignore"))
        await answering(peer, storage, *RESULT)
    assert names(storage) == ["in"]


async def test_links_are_followed_only_into_watched_folders(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 5.1; weakness 26."""
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("private")
    (folder / "inside.txt").write_text("x")
    (folder / "good").symlink_to("inside.txt")
    (folder / "bad").symlink_to(tmp_path / "outside.txt")
    (folder / "around").symlink_to(tmp_path)
    (folder / "broken").symlink_to("nothing")
    async with connected() as peer:
        await peer.send(execution("true", artifacts_dirs=[str(folder)]))
        await answering(peer, storage, *RESULT)
    assert names(storage) == ["good", "inside.txt"]


async def test_files_of_one_name_do_not_share_an_entry(storage: Storage, tmp_path: Path) -> None:
    """Section 5.2: pair by `filepath`; weakness 20."""
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / f"{number}/same.txt").write_text(str(number))
    async with connected() as peer:
        await peer.send(execution("true", artifacts_dirs=[str(tmp_path)]))
        requests = [await peer.receive(), await peer.receive()]
        for each in reversed(requests):
            await peer.send(response(each, f"{storage.url}{each['filepath']}"))
        await answering(peer, storage, *RESULT)
    stored = {path: body for path, body, _ in storage.stored}
    assert stored == {f"{tmp_path}/{number}/same.txt": str(number).encode() for number in (1, 2)}


async def test_a_secret_in_a_file_name_does_not_keep_it_from_being_stored(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 4, MUST; weakness 11."""
    (tmp_path / "hunter2.txt").write_text("x")
    async with connected() as peer:
        asked = execution("true", artifacts_dirs=[str(tmp_path)], secrets_to_redact=["hunter2"])
        await peer.send(asked)
        await answering(peer, storage, *RESULT)
    assert names(storage) == ["hunter2.txt"]


async def test_an_upload_nobody_asked_for_is_refused(storage: Storage, tmp_path: Path) -> None:
    """Section 5.2: accept answers only for files it asked about."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    async with connected() as peer:
        offered = {"filename": "secret", "filepath": str(secret)}
        await peer.send(response(offered, f"{storage.url}/stolen"))
        assert await peer.ask(execution("true"))
        await peer.send({"message_type": "end_session_message"})
        await peer.rest()
    assert storage.stored == []


@pytest.mark.parametrize(
    ("answers", "tries"), [([500, 503], 3), ([429], 2), ([500] * 9, 3), ([403], 1)]
)
async def test_a_failed_put_is_tried_again_where_that_may_help(
    storage: Storage, tmp_path: Path, answers: list[int], tries: int
) -> None:
    """Section 5.2: connection error, 5xx, 429, twice; never fails the request. Weakness 19."""
    storage.answers = list(answers)
    (tmp_path / "a").write_text("x" * 100_000)
    async with connected() as peer:
        await peer.send(execution("true", artifacts_dirs=[str(tmp_path)]))
        assert (await answering(peer, storage, *RESULT))[-1]["results"]
    assert len(storage.stored) == tries
    assert {len(body) for _, body, _ in storage.stored} == {100_000}


async def test_a_large_file_that_is_refused_early_leaves_nothing_open(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 5.2: streamed; the issue's presigned URLs that refuse."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(30_000_000)
    async with connected() as peer:
        await peer.send(execution("true", artifacts_dirs=[str(tmp_path)]))
        request = await peer.receive()
        await peer.send(response(request, f"{storage.url}/early"))
        assert (await answering(peer, storage, *RESULT))[-1]["results"]
    assert storage.stored == []


async def test_a_presigned_url_that_refuses_or_hangs_fails_no_request(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The issue's bad input. The URL is a key, and not in the log (10.5)."""
    for name in ("refused", "hangs", "nonsense"):
        (tmp_path / name).write_text("x")
    urls = {
        "refused": "http://127.0.0.1:9/key",
        "hangs": f"{storage.url}/hang?key",
        "nonsense": "ftp://key",
    }
    settings = attrs.evolve(QUICK, upload_timeout=0.2)
    async with connected(settings=settings) as peer:
        await peer.send(execution("true", artifacts_dirs=[str(tmp_path)]))
        for _ in urls:
            request = await peer.receive()
            await peer.send(response(request, urls[request["filename"]]))
        assert (await answering(peer, storage, *RESULT))[-1]["results"]
    assert caplog.text.count("Upload of") >= 3
    assert "key" not in caplog.text.replace("KeyError", "")


async def test_a_question_that_is_not_answered_holds_up_one_terminal_only_so_long(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 5.3: at most `flush_wait`; weakness 21: the end of the session takes 63 s."""
    (tmp_path / "a").write_text("x")
    settings = attrs.evolve(QUICK, flush_wait=0.5, artifact_wait=0.2)
    async with connected(settings=settings) as peer:
        seen = await peer.ask(execution("true", artifacts_dirs=[str(tmp_path)]))
        assert announced(seen) == [str(tmp_path / "a")]
        assert len(await peer.ask(execution("true"))) == 1
        await peer.send({"message_type": "end_session_message"})
        assert len(await peer.rest()) == 1


async def test_late_files_are_stored_before_a_session_is_confirmed(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 3.5, 5.3: repeat rescans until nothing changes for 1 s."""
    folder = tmp_path / "out"
    late = f"(sleep 0.4; echo late > {folder}/late.txt) >/dev/null 2>&1 &"
    settings = attrs.evolve(QUICK, post_invocation_delay=20.0)
    async with connected(settings=settings) as peer:
        await peer.send(execution(late, artifacts_dirs=[str(folder)]))
        await answering(peer, storage, *RESULT)
        await peer.send({"message_type": "end_session_message"})
        await answering(peer, storage, "end_session_confirm_message")
        assert names(storage) == ["late.txt"]


async def test_four_sessions_at_once_miss_no_file(storage: Storage, tmp_path: Path) -> None:
    """Weakness 10: about one session end in twelve misses a file written before it."""
    seen: list[str] = []

    async def session(server: RuntimeUseServer, name: str) -> None:
        folder = tmp_path / name
        async with peer_of(server) as peer:
            for number in range(3):
                command = f"echo {number} > {folder}/{name}{number}.txt"
                await peer.send(execution(command, artifacts_dirs=[str(folder)]))
                seen.extend(announced(await answering(peer, storage, *RESULT)))
            await peer.send({"message_type": "end_session_message"})
            seen.extend(announced(await answering(peer, storage, "end_session_confirm_message")))

    async with serving() as server, trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(session, server, name)
    wanted = [f"{name}{number}.txt" for name in "abcd" for number in range(3)]
    assert names(storage) == wanted
    assert sorted(path.rpartition("/")[2] for path in seen) == wanted


async def test_a_failing_request_has_its_artifacts_stored_too(
    storage: Storage, tmp_path: Path
) -> None:
    async with connected() as peer:
        commands = [{"command": f"echo x > {tmp_path}/a; exit 1"}]
        await peer.send(
            invocation(artifacts_dirs=[str(tmp_path)], pre_agent_invocation_commands=commands)
        )
        await answering(peer, storage, *RESULT)
        assert names(storage) == ["a"]


async def test_a_client_that_vanishes_in_an_upload_leaves_nothing_running(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 3.5: files that were asked about arrive, the others are dropped at once."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
    async with connected() as peer:
        await peer.send(execution("sleep 1000", artifacts_dirs=[str(tmp_path)]))
        request = await peer.receive()
        await peer.send(response(request, f"{storage.url}/{request['filename']}"))
        await peer.websocket.aclose()
        await wait_until_async(lambda: storage.stored)
    assert names(storage) == [request["filename"]]


async def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with connected() as peer:
        asked = execution("true", artifacts_dirs=[str(tmp_path / "file/folder")])
        (error,) = await peer.ask(asked)
        assert error["message_type"] == "error_message"
        assert await peer.ask(execution("true"))


async def test_names_that_are_not_utf8_are_stored(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    async with connected() as peer:
        await peer.send(execution("true", artifacts_dirs=[str(tmp_path)]))
        request = await peer.receive()
        assert request["filename"] == "caf\ufffd.txt"
        await peer.send(response(request, f"{storage.url}/cafe"))
        await answering(peer, storage, *RESULT)
    assert names(storage) == ["cafe"]
