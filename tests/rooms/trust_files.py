"""What tests of trust need: notebooks that ask for packages, the key, a launch that asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from shared_files import cell, notebook

from loopback import Loopback
from runtimed.document.metadata import snapshot_from_file
from runtimed.environments.trust.content import Content, signature_of
from runtimed.environments.trust.key import make_key
from runtimed.environments.trust.signature import sign
from runtimed.environments.trust.standing import is_vouched_for
from runtimed.environments.wanted import Choice, UvPackages
from runtimed.errors import NotTrusted
from runtimed.protocol import requests, responses
from runtimed.rooms.room import Room
from wire_peer import WirePeer

__all__ = [
    "add_package",
    "asking_for",
    "may_install",
    "parsed",
    "record_of",
    "remove_packages",
    "room_of",
    "signature_for",
    "trust_of",
    "uv",
    "vouched_in_file",
]


def uv(*packages: str, **more: Any) -> dict[str, Any]:
    """The metadata of a notebook with these packages for uv."""
    return {"runt": {"schema_version": "1", "uv": {"dependencies": list(packages)}, **more}}


def asking_for(*packages: str, **more: Any) -> bytes:
    """A notebook file with these packages for uv."""
    return notebook(cell("a", "x = 1\n"), metadata=uv(*packages, **more))


def parsed(path: Path) -> tuple[Content, str | None]:
    """What a notebook file asks for, and its signature."""
    file = orjson.loads(path.read_bytes())
    snapshot = snapshot_from_file(file["metadata"])
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in file["cells"]]
    return Content.of(snapshot, cells), signature_of(snapshot)


def key_in(folder: Path) -> bytes:
    return make_key(folder / "trust" / "trust-key")


def signature_for(folder: Path, notebook_file: bytes | Path) -> str:
    """The signature that this machine gives to what a notebook file asks for."""
    if isinstance(notebook_file, bytes):
        path = folder / "unsigned.ipynb"
        path.write_bytes(notebook_file)
        notebook_file = path
    return sign(key_in(folder), parsed(notebook_file)[0].to_bytes())


def vouched_in_file(folder: Path, path: Path) -> bool:
    """Whether a notebook file would be trusted if it was opened anew."""
    return is_vouched_for(*parsed(path), key_in(folder))


def room_of(daemon: Loopback, path: Path | str) -> Room:
    room = daemon.rooms.find(str(path))
    assert room is not None
    return room


def may_install(room: Room) -> bool:
    """Whether a launch from the notebook's own list would be let through now."""
    choice = Choice("python", "uv:inline", UvPackages(("x",)), consent="notebook")
    try:
        room.trust.check(choice)
    except NotTrusted:
        return False
    return True


async def trust_of(peer: WirePeer) -> responses.TrustInfo:
    answer = await peer.ask(requests.GetTrust())
    assert isinstance(answer, responses.TrustInfo), answer
    return answer


async def add_package(peer: WirePeer, *packages: str) -> None:
    """Declare more packages for uv, as any client does."""
    document = peer.replica.document
    old = document.metadata_at(["runt", "uv", "dependencies"]) or []
    new = [*old, *(package for package in packages if package not in old)]
    document.set_metadata_at(["runt", "uv", "dependencies"], new)
    await peer.sync()


async def remove_packages(peer: WirePeer, *packages: str) -> None:
    document = peer.replica.document
    old = document.metadata_at(["runt", "uv", "dependencies"]) or []
    kept = [package for package in old if package not in packages]
    document.set_metadata_at(["runt", "uv", "dependencies"], kept)
    await peer.sync()


def record_of(daemon: Loopback, path: Path | str) -> Any:
    """What is remembered of a room's trust on disk."""
    record = room_of(daemon, path).trust._record
    return orjson.loads(record.read_bytes()) if record.exists() else None
