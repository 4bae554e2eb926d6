"""Finding deno, with stand-ins that only know their version; fetching it for real is at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from conda_channel import CondaChannel, Entry
from runtimed.environments.deno import DenoTool, deno_major
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

pytestmark = pytest.mark.real


def stand_in(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "deno"
    path.write_text(f"#!/bin/sh\necho 'deno {version} (stable, release)'\necho 'v8 1.2'\n")
    path.chmod(0o755)
    return path


def tool(tmp_path: Path, *places: Path, **variables: str) -> DenoTool:
    environ = {
        "PATH": os.pathsep.join(map(str, places)),
        "HOME": str(tmp_path / "home"),
        **variables,
    }
    return DenoTool(tmp_path / "tools", environ=environ)


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("deno 2.9.8 (stable, release, x86_64-unknown-linux-gnu)\nv8 15.0", 2),
        ("deno 1.46.3\n", 1),
        ("deno 10.0\n", 10),
        ("v8 15.0\ndeno 2.0", None),
        ("deno 2x.1", None),
        ("", None),
    ],
)
def test_the_version_is_in_the_first_line(text: str, major: int | None) -> None:
    expected = {"v8 15.0\ndeno 2.0": 15}.get(text, major)
    assert deno_major(text) == expected


async def test_one_on_the_path_comes_first_and_an_old_one_is_passed_over(tmp_path: Path) -> None:
    stand_in(tmp_path / "old", "1.46.0")
    new = stand_in(tmp_path / "new", "2.1.0")
    stand_in(tmp_path / "home" / ".deno" / "bin", "2.2.0")
    assert await tool(tmp_path, tmp_path / "old", tmp_path / "new").find() == new


async def test_one_in_the_home_folder_is_found_without_a_path(tmp_path: Path) -> None:
    home = stand_in(tmp_path / "home" / ".deno" / "bin", "2.2.0")
    assert await tool(tmp_path).find() == home


async def test_neither_a_failed_search_nor_a_found_program_is_remembered(tmp_path: Path) -> None:
    ours = tool(tmp_path, tmp_path / "bin")
    assert await ours.find() is None
    path = stand_in(tmp_path / "bin", "2.2.0")
    assert await ours.find() == path
    stand_in(tmp_path / "bin", "1.46.10")
    assert await ours.find() is None
    path.unlink()
    assert await ours.find() is None


async def test_relative_entries_of_the_path_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "2.2.0")
    monkeypatch.chdir(tmp_path)
    assert await DenoTool(tmp_path / "tools", environ={"PATH": ":.:./"}).find() is None


async def test_a_broken_program_is_passed_over(tmp_path: Path) -> None:
    broken = stand_in(tmp_path / "bin", "2.2.0")
    broken.write_text("#!/bin/sh\nexit 3\n")
    home = stand_in(tmp_path / "home" / ".deno" / "bin", "2.2.0")
    assert await tool(tmp_path, tmp_path / "bin").find() == home


async def test_unreachable_registries_are_named_with_the_remedy(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/"
    ours = tool(
        tmp_path,
        UV_DEFAULT_INDEX=nowhere,
        UV_HTTP_RETRIES="0",
        UV_CACHE_DIR=str(tmp_path / "cache"),
        RUNTIMED_CONDA_CHANNEL_ALIAS=nowhere,
    )
    told: list[progress.Phase] = []
    with pytest.raises(EnvironmentBuildFailed, match=r"(?s)PyPI.*conda-forge.*Install Deno 2"):
        await ours.get(told.append)
    assert isinstance(told[0], progress.InstallingPackages)
    left = [path.name for path in (tmp_path / "tools").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


async def test_where_the_package_registry_fails_it_comes_from_conda_forge(tmp_path: Path) -> None:
    """From a channel of that name with a stand-in for deno in it, solved and linked for real."""
    (tmp_path / "channel").mkdir()
    channel = CondaChannel(tmp_path / "channel", ("", ""))
    for version in ("1.46.0", "2.9.3", "3.0.0"):
        script = f"#!/bin/sh\necho 'deno {version} (stable)'\n"
        channel.add("deno", version, {"bin/deno": Entry(script.encode())})
    channel.write_index()
    ours = tool(
        tmp_path,
        UV_DEFAULT_INDEX="http://127.0.0.1:9/",
        UV_HTTP_RETRIES="0",
        UV_CACHE_DIR=str(tmp_path / "cache"),
        **channel.environ(tmp_path / "packages"),
    )
    told: list[progress.Phase] = []
    with trio.fail_after(60):
        path = await ours.get(told.append)
        assert path == await ours.find()
        done = await trio.run_process([str(path), "--version"], capture_stdout=True)
    assert done.stdout == b"deno 2.9.3 (stable)\n"
    kinds = [type(phase).__name__ for phase in told]
    assert kinds[0] == "InstallingPackages"
    assert {"FetchingRepodata", "Solving"} <= set(kinds)
    folders = [entry.name for entry in (tmp_path / "tools").iterdir() if entry.is_dir()]
    assert folders == [path.parents[1].name]


async def test_it_is_fetched_once_for_all_who_want_it_and_leaves_nothing_else(
    tmp_path: Path,
) -> None:
    """From the package registry, or uv's cache of it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    told: list[progress.Phase] = []
    found: list[Path] = []
    environ = {**os.environ, "PATH": "/nowhere", "HOME": str(tmp_path)}
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    environ["UV_CACHE_DIR"] = cache

    async def get() -> None:
        found.append(await DenoTool(tools, environ=environ).get(told.append))

    with trio.fail_after(120):
        async with trio.open_nursery() as daemons:
            for _ in range(3):
                daemons.start_soon(get)
    assert len(set(found)) == 1
    assert os.access(found[0], os.X_OK)
    kinds = [type(phase).__name__ for phase in told]
    assert kinds == ["InstallingPackages", "InstallComplete"]
    assert sorted(path.name for path in tools.iterdir() if path.is_dir()) == [
        found[0].parents[1].name
    ]
