"""The rows of `runt.deno`: what a notebook may say of its Deno kernel."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runtimed.environments.wanted import DenoRuntime
from runtimed.errors import RuntimedError
from runtimed.kernels.deno import deno_kernel
from runtimed.kernels.launch import LaunchSpec

from .common import row

HEADING = "Notebook metadata of a Deno notebook"


def launch(folder: Path, **wanted: Any) -> tuple[LaunchSpec, tuple[str, ...]]:
    spec = deno_kernel(DenoRuntime(**wanted), Path("/deno"), {}, folder=folder)
    return spec, spec.notes


def options(spec: LaunchSpec) -> dict[str, Any]:
    """What the process between the daemon and Deno is told."""
    told: dict[str, Any] = json.loads(spec.argv[spec.argv.index("--") - 1])
    return told


@row(HEADING, "`runt.deno.permissions`")
def _() -> None:
    spec, notes = launch(Path("/"), permissions=("--allow-net=example.com", "deny-env"))
    assert options(spec)["permissions"] == ["--allow-net=example.com", "deny-env"]
    assert notes == ()


@row(HEADING, "`runt.deno.permissions`, empty or missing")
def _() -> None:
    for permissions in (None, ()):
        assert options(launch(Path("/"), permissions=permissions)[0])["permissions"] is None


@row(HEADING, "`runt.deno.permissions`: what is no permission")
def _() -> None:
    for entry in ("--allow-everything", "--v8-flags=x", "net,read", "--allow-net=", ""):
        with pytest.raises(RuntimedError, match="is no permission: write it like"):
            launch(Path("/"), permissions=("--allow-read", entry))


@row(HEADING, "`runt.deno.config`")
def _() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "my.json").write_text('{"imports": {"a": "./a.ts"}, "compilerOptions": {"x": 1}}')
        spec, notes = launch(folder, config="my.json")
        config = options(spec)["config"]
        assert config["imports"]["a"] == (folder / "a.ts").as_uri()
        assert config["imports"]["./"] == f"{folder.as_uri()}/"
        assert config["compilerOptions"] == {"x": 1}
        assert spec.first.endswith(f'Deno.chdir("{folder}")')
        assert notes == ()


@row(HEADING, "`runt.deno.config`: `workspace`, `links`, `lock`, `nodeModulesDir`, `vendor`")
def _() -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "my.json").write_text('{"lock": "x.lock", "nodeModulesDir": "auto"}')
        spec, [note] = launch(Path(name), config="my.json")
        assert "lock, nodeModulesDir" in note
        assert not {"lock", "nodeModulesDir"} & set(options(spec)["config"])


@row(HEADING, "`runt.deno.import_map`")
def _() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deno.json").write_text('{"imports": {"no": "./no.ts"}, "unstable": ["kv"]}')
        (folder / "map.json").write_text('{"imports": {"a/": "./a/"}, "scopes": {"./b/": {}}}')
        config = options(launch(folder, import_map="map.json")[0])["config"]
        assert config["imports"]["a/"] == f"{(folder / 'a').as_uri()}/"
        assert "no" not in config["imports"]
        assert config["scopes"] == {f"{(folder / 'b').as_uri()}/": {}}
        assert config["unstable"] == ["kv"]


@row(HEADING, "a file of these that is missing, broken or an address")
def _() -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "broken.json").write_text("{")
        for key in ("config", "import_map"):
            for text, complaint in (
                ("missing.json", "No such file"),
                ("broken.json", "Correct it, or remove"),
                ("https://example.com/map.json", "takes files only"),
            ):
                with pytest.raises(RuntimedError, match=rf"runt\.deno\.{key}: .*{complaint}"):
                    launch(Path(name), **{key: text})


@row(HEADING, "`runt.deno.flexible_npm_imports`")
def _() -> None:
    [note] = launch(Path("/"), flexible_npm_imports=False)[1]
    assert "has no effect" in note
