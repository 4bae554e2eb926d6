"""A small conda channel, made in seconds from what is on this machine, and a server for it.

Its `python` starts the interpreter that runs the tests, in the layout of a virtual environment: a
link to the interpreter and a `pyvenv.cfg`, so that it reports the conda environment as its prefix.
Its `ipykernel`, `ipywidgets` and all they need are packed from what is installed beside us.
`moonstone` exists nowhere else: two versions, files of every kind that know their environment's
folder, and a constraint on Python. Two builds of Python differ in nothing but the version they are
labelled with, so that a constraint on it shows in what is chosen.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import platform
import re
import struct
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import attrs
from packaging.requirements import Requirement

from runtimed.environments.uv import base_python

__all__ = ["CondaChannel", "conda_subdir", "make_channel"]

#: Stands in packed files for the environment's folder, as long as build farms make it.
PLACEHOLDER = "/opt/placehold_" + "placehold_" * 20

_MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
_SITE = f"lib/python{_MINOR}/site-packages"

#: What no kernel needs: web assets, and the type stubs that jedi has for Django.
_LEFT_OUT = re.compile(r"\.pyc$|/django-stubs/|^\.\.|/static/|/labextension/|^share/|^etc/")


def conda_subdir() -> str:
    machine = {"x86_64": "64", "amd64": "64", "arm64": "arm64", "aarch64": "aarch64"}
    system = {"linux": "linux", "darwin": "osx"}[sys.platform]
    return f"{system}-{machine[platform.machine().lower()]}"


@attrs.frozen
class Entry:
    """One file of a package: content or, for a link, its target.

    placeholder: `text` or `binary` if the environment's folder is to be put in.
    """

    content: bytes = b""
    link: str | None = None
    placeholder: str | None = None


@attrs.define
class CondaChannel:
    """A channel as a folder. `python`: the two versions of Python in it, the older first."""

    folder: Path
    python: tuple[str, str]
    _records: dict[str, dict[str, object]] = attrs.field(factory=dict)

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def environ(self, cache: Path) -> dict[str, str]:
        """Variables under which this is conda-forge, and packages are kept in `cache`."""
        return {
            "RUNTIMED_CONDA_CHANNEL_URLS": f"conda-forge={self.url}",
            "RATTLER_CACHE_DIR": str(cache),
        }

    def archive(self, name: str) -> Path:
        """The newest archive of the package with that name."""
        return max(self.folder.glob(f"*/{name}-[0-9]*.conda"))

    def add(
        self,
        name: str,
        version: str,
        files: Mapping[str, Entry],
        depends: Sequence[str] = (),
        *,
        noarch: bool = False,
        scripts: Sequence[str] = (),
    ) -> None:
        """Pack one package. noarch: modules lie under `site-packages/`; scripts: `name = m:f`."""
        subdir = "noarch" if noarch else conda_subdir()
        index: dict[str, object] = {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": list(depends),
            "subdir": subdir,
        }
        if noarch:
            index["noarch"] = "python"
        paths = {"paths": [_path(name, entry) for name, entry in files.items()], "paths_version": 1}
        info = {"index.json": index, "paths.json": paths}
        if noarch:
            info["link.json"] = {
                "noarch": {"type": "python", "entry_points": list(scripts)},
                "package_metadata_version": 1,
            }
        described = {
            f"info/{file}": Entry(json.dumps(value).encode()) for file, value in info.items()
        }
        archive = self.folder / subdir / f"{name}-{version}-0.conda"
        archive.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            for part, content in (("pkg", files), ("info", described)):
                packed.writestr(f"{part}-{archive.stem}.tar.zst", _stored_zstd(_tar(content)))
        data = archive.read_bytes()
        self._records[archive.name] = {
            **index,
            "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }

    def write_index(self) -> None:
        for subdir in ("noarch", conda_subdir()):
            folder = self.folder / subdir
            folder.mkdir(exist_ok=True)
            records = {
                archive: record
                for archive, record in self._records.items()
                if record["subdir"] == subdir
            }
            index = {
                "info": {"subdir": subdir},
                "packages": {},
                "packages.conda": records,
                "repodata_version": 1,
            }
            (folder / "repodata.json").write_text(json.dumps(index))


def make_channel(folder: Path) -> CondaChannel:
    """Fill the folder with a channel from which a kernel can be built."""
    newer = platform.python_version()
    channel = CondaChannel(folder, (f"{_MINOR}.0", newer))
    for version in channel.python:
        _add_python(channel, version)
    for distribution in _closure("ipykernel", "ipywidgets"):
        _add_distribution(channel, distribution)
    _add_moonstone(channel, "1.0", ["python >=3.8"])
    _add_moonstone(channel, "2.0", [f"python >{channel.python[0]}"])
    # needs the old one, so asking for both this and the new one is a conflict
    lodestone = {"site-packages/lodestone.py": Entry(b"version = '1.0'\n")}
    channel.add("lodestone", "1.0", lodestone, ["python", "moonstone <2"], noarch=True)
    gemstone = {"site-packages/gemstone.py": Entry(b"version = '1.0'\n")}
    channel.add("gemstone", "1.0", gemstone, ["python", "__cuda >=12"], noarch=True)
    channel.write_index()
    return channel


def _add_python(channel: CondaChannel, version: str) -> None:
    base = base_python()
    home = f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    files = {
        "bin/python": Entry(link=f"python{_MINOR}"),
        "bin/python3": Entry(link=f"python{_MINOR}"),
        f"bin/python{_MINOR}": Entry(link=str(base)),
        "pyvenv.cfg": Entry(home.encode()),
        f"{_SITE}/README.txt": Entry(b"packages go here\n"),
    }
    channel.add("python", version, files)


def _add_moonstone(channel: CondaChannel, version: str, depends: list[str]) -> None:
    binary = b"\x7fBINARY\x00" + PLACEHOLDER.encode() + b"/share\x00" + bytes(70_000) + b"end"
    module = (
        f"version = {version!r}\nprefix = {PLACEHOLDER!r}\n"
        f"def main(): print('moonstone', version, prefix)\n"
    )
    files = {
        "site-packages/moonstone/__init__.py": Entry(module.encode(), placeholder="text"),
        "site-packages/moonstone/same.py": Entry(b"unchanged = True\n"),
        "share/moonstone/prefix.txt": Entry(PLACEHOLDER.encode(), placeholder="text"),
        "lib/libmoonstone.bin": Entry(binary, placeholder="binary"),
        "etc/conda/activate.d/moonstone.sh": Entry(
            b'export MOONSTONE_ACTIVE=1\nexport MOONSTONE_DATA="$CONDA_PREFIX/share/moonstone"\n'
        ),
        "etc/conda/env_vars.d/moonstone.json": Entry(b'{"MOONSTONE_HOME": "set"}'),
    }
    scripts = ["moonstone = moonstone:main"]
    channel.add("moonstone", version, files, depends, noarch=True, scripts=scripts)


def _closure(*names: str) -> Iterator[importlib.metadata.Distribution]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = _conda_name(waiting.pop())
        if name not in seen:
            seen.add(name)
            distribution = importlib.metadata.distribution(name)
            waiting += _required(distribution)
            yield distribution


def _required(distribution: importlib.metadata.Distribution) -> list[str]:
    found = [Requirement(text) for text in distribution.requires or []]
    return [one.name for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def _conda_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _add_distribution(channel: CondaChannel, distribution: importlib.metadata.Distribution) -> None:
    found = {
        str(file): Path(str(distribution.locate_file(file)))
        for file in distribution.files or []
        if not _LEFT_OUT.search(str(PurePosixPath(file)))
    }
    found = {name: path for name, path in found.items() if path.is_file()}
    pure = not any(name.endswith((".so", ".dylib")) for name in found)
    place = "site-packages" if pure else _SITE
    files = {f"{place}/{name}": Entry(path.read_bytes()) for name, path in found.items()}
    scripts = [
        f"{point.name} = {point.value}"
        for point in distribution.entry_points
        if point.group == "console_scripts"
    ]
    depends = ["python", *(_conda_name(name) for name in _required(distribution))]
    channel.add(
        _conda_name(distribution.metadata["Name"]),
        distribution.version,
        files,
        depends,
        noarch=pure,
        scripts=scripts if pure else (),
    )


def _path(name: str, entry: Entry) -> dict[str, object]:
    described: dict[str, object] = {
        "_path": name,
        "path_type": "hardlink" if entry.link is None else "softlink",
        "sha256": hashlib.sha256(entry.content).hexdigest(),
        "size_in_bytes": len(entry.content),
    }
    if entry.placeholder is not None:
        described |= {"prefix_placeholder": PLACEHOLDER, "file_mode": entry.placeholder}
    return described


def _tar(files: Mapping[str, Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, entry in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755 if name.startswith("bin/") else 0o644
            if entry.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
            else:
                member.size = len(entry.content)
            tar.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def _stored_zstd(data: bytes) -> bytes:
    """A Zstandard frame with the data uncompressed: packing must be quick, and nobody downloads it.

    Source: RFC 8878, "Zstandard Frames": magic number, a descriptor for one segment with its size
    in eight bytes, then raw blocks of at most 128 KiB.
    """
    frame = [struct.pack("<IBQ", 0xFD2FB528, 0b1110_0000, len(data))]
    size = 1 << 17
    for start in range(0, max(len(data), 1), size):
        block = data[start : start + size]
        last = start + size >= len(data)
        frame += [struct.pack("<I", len(block) << 3 | last)[:3], block]
    return b"".join(frame)
