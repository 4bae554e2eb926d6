"""Section 6.1 of the agent protocol: downloads, and what is unpacked of them."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from runtime_peer import QUICK, TERMINALS, connected, execution, invocation, peer_of, serving
from storage import Storage

from local_server import serving as serving_files
from runtimed.agents.runtime import downloads
from runtimed.agents.runtime.downloads import DownloadFailed, file_name
from waiting import LIMIT, wait_until_async

pytestmark = pytest.mark.real


@pytest.fixture
def storage() -> Iterator[Storage]:
    with serving_files(Storage()) as server:
        yield server


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    """A zip file of names, contents and modes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return data.getvalue()


LINK = stat.S_IFLNK | 0o777


async def fetched(storage: Storage, path: str, folder: Path, settings: Any = QUICK) -> str | None:
    """Download one thing; the error, or None."""
    wanted = [{"download_url": storage.url + path, "working_dir": str(folder)}]
    async with connected(settings=settings) as peer:
        done = await peer.ask(execution("true", pre_execution_downloadables=wanted))
    error: str | None = done[-1].get("error")
    assert error is not None or done[-1]["results"]
    return error


def left(folder: Path) -> list[str]:
    """All that there is in a folder."""
    if not folder.exists():
        return []
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


async def test_a_file_is_put_into_its_folder_as_it_is(storage: Storage, tmp_path: Path) -> None:
    """Section 6.1: folder created with parents, name percent-decoded, query dropped."""
    storage.files["/some/a%20file.txt"] = b"content"
    assert await fetched(storage, "/some/a%20file.txt?key=1", tmp_path / "made/here") is None
    assert left(tmp_path / "made/here") == ["a file.txt"]
    assert (tmp_path / "made/here/a file.txt").read_bytes() == b"content"


async def test_redirects_are_followed_so_far_and_no_farther(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 6.1: the name stays that of the URL that was asked for."""
    storage.files |= {"/a.txt": (302, "/b"), "/b": (307, f"{storage.url}/c"), "/c": b"there"}
    storage.files |= {"/round": (302, "/round"), "/file": (302, "file:///etc/passwd")}
    assert await fetched(storage, "/a.txt", tmp_path) is None
    assert (tmp_path / "a.txt").read_bytes() == b"there"
    assert await fetched(storage, "/round", tmp_path) == ("Download failed: more than 10 redirects")
    assert storage.asked.count("/round") == 10
    assert await fetched(storage, "/file", tmp_path) == "Download failed: not an HTTP URL"
    assert left(tmp_path) == ["a.txt"]


async def test_a_refusal_is_told_as_the_server_tells_it(storage: Storage, tmp_path: Path) -> None:
    """Section 6.1: `Download failed: <code> <reason>`."""
    assert await fetched(storage, "/none.txt", tmp_path) == "Download failed: 404 Not Found"
    assert left(tmp_path) == []


async def test_a_server_that_is_not_there_is_an_error_with_its_cause(tmp_path: Path) -> None:
    """Section 6.1: begins with `Download failed:` and names the cause."""
    wanted = [{"download_url": "http://127.0.0.1:9/a", "working_dir": str(tmp_path)}]
    async with connected() as peer:
        (error,) = await peer.ask(invocation(pre_agent_downloadables=wanted))
    assert error["error"].startswith("Download failed: ")
    assert "refused" in error["error"] or "connect" in error["error"]


@pytest.mark.parametrize(
    "name", ["", "..", ".", "..%2Fevil", "a%2fb", "a%5Cb", "a%00b", "%2e%2e", "x" * 300]
)
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    """Section 6.1, MUST; weakness 14: `..%2F`."""
    with pytest.raises(DownloadFailed, match="Download failed: bad file name"):
        file_name(f"http://host/x/{name}?y=/z")


async def test_a_zip_is_unpacked_over_what_is_there(storage: Storage, tmp_path: Path) -> None:
    """Section 6.1: permission bits and links are kept, the archive is deleted; any letter case."""
    (tmp_path / "run.sh").write_text("old")
    storage.files["/A.ZIP"] = zipped(
        ("run.sh", b"#!/bin/sh\necho ran\n", stat.S_IFREG | 0o755),
        ("sub/", b"", stat.S_IFDIR | 0o755),
        ("sub/data.txt", b"data", 0),
        ("sub/link", b"../run.sh", LINK),
    )
    assert await fetched(storage, "/A.ZIP", tmp_path) is None
    assert left(tmp_path) == ["run.sh", "sub", "sub/data.txt", "sub/link"]
    assert os.access(tmp_path / "run.sh", os.X_OK)
    assert (tmp_path / "sub/link").readlink() == Path("../run.sh")
    assert "echo ran" in (tmp_path / "sub/link").read_text()


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", b"x", 0)],
        [("good", b"x", 0), ("a/../../evil", b"x", 0)],
        [("/tmp/evil-entry", b"x", 0)],
        [("..\\evil", b"x", 0)],
        [("out", b"..", LINK)],
        [("out", b"/etc", LINK)],
        [("out", b"..", LINK), ("out/evil", b"x", 0)],
    ],
)
async def test_entries_that_leave_the_folder_fail_the_request(
    storage: Storage, tmp_path: Path, entries: list[tuple[str, bytes, int]]
) -> None:
    """Section 6.1: nothing is written outside."""
    storage.files["/a.zip"] = zipped(*entries)
    folder = tmp_path / "in"
    error = await fetched(storage, "/a.zip", folder)
    assert error is not None
    assert "leaves the folder" in error
    assert [each for each in left(tmp_path) if not each.startswith("in")] == []
    assert not any(each.is_symlink() for each in folder.rglob("*"))
    assert not any("part" in each for each in left(folder))


async def test_nothing_is_written_through_a_link_that_was_there(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 6.1: "or through a symlink"."""
    folder, outside = tmp_path / "in", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "kept")
    storage.files["/a.zip"] = zipped(("link/evil", b"x", 0))
    assert "through a link" in (await fetched(storage, "/a.zip", folder) or "")
    storage.files["/a.zip"] = zipped(("file", b"replaced", 0))
    assert await fetched(storage, "/a.zip", folder) is None
    assert (outside / "kept").read_text() == "kept"
    assert (folder / "file").read_text() == "replaced"
    assert left(outside) == ["kept"]


async def test_any_number_of_entries(storage: Storage, tmp_path: Path) -> None:
    """Section 6.1; weakness 15: a zip with ~20,000 entries fails."""
    entries = [(f"{number % 50}/{number}", b"", 0) for number in range(20_000)]
    storage.files["/many.zip"] = zipped(*entries)
    assert await fetched(storage, "/many.zip", tmp_path) is None
    assert sum(1 for each in tmp_path.rglob("*") if each.is_file()) == 20_000


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no zip", "not a usable zip file"),
        (zipped(("a", b"abc" * 999, 0))[:-30], "not a usable zip file"),
        (zipped(("a", b"\0" * 5_000_000, 0)), "larger than may be unpacked"),
    ],
)
async def test_corrupt_archives_and_bombs_are_refused(
    storage: Storage, tmp_path: Path, content: bytes, complaint: str
) -> None:
    """Section 6.1: limits on total unpacked size; partial files are removed."""
    storage.files["/a.zip"] = content
    settings = attrs.evolve(QUICK, max_unpacked_bytes=1_000_000)
    assert complaint in (await fetched(storage, "/a.zip", tmp_path, settings) or "")
    assert not any(each.endswith(".part") for each in left(tmp_path))


async def test_a_download_has_a_limit(storage: Storage, tmp_path: Path) -> None:
    storage.files["/large"] = b"x" * 100_000
    settings = attrs.evolve(QUICK, max_download_bytes=99_999)
    assert await fetched(storage, "/large", tmp_path, settings) == (
        "Download failed: larger than 99999 bytes"
    )
    assert left(tmp_path) == []


def tarred(*names: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            info.mode = 0o755
            file.addfile(info, io.BytesIO(b"abc"))
    return data.getvalue()


async def test_tar_archives_are_left_as_they_are_by_default(
    storage: Storage, tmp_path: Path
) -> None:
    """Section 6.1: "Do not unpack tars by default"."""
    storage.files["/a.tar.gz"] = tarred("x/run.sh")
    assert await fetched(storage, "/a.tar.gz", tmp_path) is None
    assert left(tmp_path) == ["a.tar.gz"]


async def test_tar_archives_are_unpacked_where_that_is_wanted(
    storage: Storage, tmp_path: Path
) -> None:
    """The issue: tar.*; no path escapes."""
    settings = attrs.evolve(QUICK, unpack_tars=True, max_unpacked_bytes=10)
    storage.files["/a.tar.gz"] = tarred("x/run.sh")
    assert await fetched(storage, "/a.tar.gz", tmp_path / "a", settings) is None
    assert left(tmp_path / "a") == ["x", "x/run.sh"]
    assert os.access(tmp_path / "a/x/run.sh", os.X_OK)
    for content in (tarred("../evil"), tarred("a", "b", "c", "d"), b"no tar"):
        storage.files["/a.tar.gz"] = content
        assert "Download failed" in (
            await fetched(storage, "/a.tar.gz", tmp_path / "b", settings) or ""
        )
    assert left(tmp_path) == ["a", "a/x", "a/x/run.sh", "b", *(f"b/{each}" for each in "abc")]


async def test_unpacking_holds_up_nobody_else(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 6.1; weakness 16: unzipping blocks heartbeats and other connections."""
    unpacking, go_on = threading.Event(), threading.Event()

    def unpack(*_: Any) -> None:
        unpacking.set()
        assert go_on.wait(LIMIT)

    monkeypatch.setattr(downloads, "unpack_zip", unpack)
    storage.files["/a.zip"] = b"slow"
    wanted = [{"download_url": f"{storage.url}/a.zip", "working_dir": str(tmp_path)}]
    settings = attrs.evolve(QUICK, heartbeat_interval=0.05)
    async with serving(settings=settings) as server, peer_of(server) as peer:
        await peer.send(execution(pre_execution_downloadables=wanted))
        await wait_until_async(unpacking.is_set)
        assert (await peer.receive())["message_type"] == "heartbeat_message"
        async with peer_of(server) as other:
            assert await other.ask(execution("echo fine"))
        go_on.set()
        assert (await peer.receive_until(*TERMINALS))[-1]["results"] == []


async def test_a_download_is_interrupted_when_the_request_is_cancelled(
    storage: Storage, tmp_path: Path
) -> None:
    """Sections 3.4, 6.1; weakness 7: cancel does not interrupt downloads."""
    async with connected() as peer:
        wanted = [{"download_url": f"{storage.url}/hang", "working_dir": str(tmp_path)}]
        await peer.send(invocation(pre_agent_downloadables=wanted))
        await wait_until_async(storage.hanging.is_set)
        (terminal,) = await peer.ask({"message_type": "cancel_message"})
        assert terminal["error"] == "Request cancelled"
        await wait_until_async(lambda: left(tmp_path) == [])
