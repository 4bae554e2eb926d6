"""What to run for a Deno kernel, and what of a notebook's wishes Deno can't do.

Deno's kernel takes no options, so what a notebook asks for reaches it on other ways: permissions
through a broker, configuration and import map through a deno.json that it finds where it starts.
See `deno_guard`, the process that does both.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtimed.environments.projects.deno_config import plain_json
from runtimed.environments.wanted import DenoRuntime
from runtimed.errors import RuntimedError
from runtimed.kernels import deno_guard
from runtimed.kernels.launch import LaunchSpec
from runtimed.kernels.output_mark import define_mark

__all__ = ["deno_kernel"]

_LEVELS = 8  # folders above that a cell can import from with `../`, as many as the guard makes

_LARGEST = 1 << 20

_MAP: tuple[str, ...] = ("imports", "scopes")

#: Keys of a deno.json whose paths are relative to it, and which are not carried over.
_LEFT_OUT = ("workspace", "links", "patch", "lock", "vendor", "nodeModulesDir", "tasks", "exclude")


def deno_kernel(
    wanted: DenoRuntime,
    deno: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    folder: Path | None = None,
) -> LaunchSpec:
    """A Deno kernel; its notes say what is not done.

    folder: where the kernel will work, if that is not `wanted.folder`.
    Reads the configuration and the import map that the notebook names: call it from a thread.
    Raises: RuntimedError that names what can't be used, and the remedy.
    """
    folder = (folder or wanted.folder or Path.home()).absolute()
    notes: list[str] = []
    permissions = list(wanted.permissions or ()) or None
    if permissions is not None:
        try:
            deno_guard.Rules(permissions, folder)
        except ValueError as unknown:
            raise RuntimedError(
                f'runt.deno.permissions: "{unknown}" is no permission: write it like '
                '"--allow-net", "--allow-net=example.com:443" or "--deny-read=PATH"; there are '
                f"{', '.join(deno_guard.KINDS)}"
            ) from None
    config = None
    if wanted.config or wanted.import_map:
        config = _configuration(wanted, folder, notes)
    if not wanted.flexible_npm_imports:
        notes.append(
            "runt.deno.flexible_npm_imports has no effect: Deno's kernel has no switch for imports "
            "from npm"
        )
    variables = {name: value for name, value in environ.items() if name != deno_guard.BROKER}
    # Nobody is there to answer a question, and the output is no terminal.
    variables.update(
        DENO_NO_PROMPT="1", DENO_NO_UPDATE_CHECK="1", NO_COLOR="1", COLUMNS="80", LINES="100"
    )
    options = {"permissions": permissions, "config": config}
    return LaunchSpec(
        kernel_type="deno",
        kernel_name="deno",
        env_source="deno",
        argv=(
            sys.executable,
            "-I",
            "-S",
            str(Path(deno_guard.__file__)),
            str(os.getpid()),
            "{connection_file}",
            json.dumps(options),
            "--",
            str(deno),
            "jupyter",
            "--kernel",
            "--conn",
            "{connection_file}",
        ),
        environ=variables,
        notes=tuple(notes),
        transport="tcp",
        interrupt="message",
        idle_early=True,
        first=define_mark() + ("" if config is None else f"Deno.chdir({json.dumps(str(folder))})"),
    )


def _configuration(wanted: DenoRuntime, folder: Path, notes: list[str]) -> dict[str, Any]:
    """The deno.json that stands for the notebook's configuration and import map."""
    if wanted.config:
        path = _path(wanted.config, folder, "config")
        config = _read(path, "config")
    else:
        found = _nearest(folder)
        path, config = (
            found or folder / "deno.json",
            {} if found is None else _read(found, "config"),
        )
    own = config.pop("importMap", None)
    mapped: dict[str, Any] = {key: config.pop(key) for key in _MAP if key in config}
    base = path.parent
    if wanted.import_map:
        map_path = _path(wanted.import_map, folder, "import_map")
        mapped, base = _read(map_path, "import_map"), map_path.parent
    elif isinstance(own, str) and "imports" not in mapped:
        map_path = _path(own, path.parent, "config: importMap")
        mapped, base = _read(map_path, "config: importMap"), map_path.parent
    left_out = [key for key in _LEFT_OUT if config.pop(key, None) is not None]
    if left_out:
        notes.append(
            f"{', '.join(left_out)} of {path} are not used, because the notebook names a "
            "configuration or import map of its own"
        )
    imports = mapped.get("imports")
    scopes = mapped.get("scopes")
    config["imports"] = {
        **_back(folder),
        **_absolute(imports if isinstance(imports, dict) else {}, base),
    }
    if isinstance(scopes, dict):
        config["scopes"] = {
            _url(scope, base): _absolute(entries if isinstance(entries, dict) else {}, base)
            for scope, entries in scopes.items()
        }
    return config


def _back(folder: Path) -> dict[str, str]:
    """Where relative imports of cells lead: to the notebook's folder and those above."""
    imports = {"./": _folder_url(folder)}
    for level, above in zip(range(1, _LEVELS), folder.parents, strict=False):
        imports["../" * level] = _folder_url(above)
    return imports


def _absolute(imports: dict[str, Any], base: Path) -> dict[str, Any]:
    return {
        _url(name, base): _url(target, base) if isinstance(target, str) else target
        for name, target in imports.items()
    }


def _url(text: str, base: Path) -> str:
    """A specifier that means the same wherever its map lies."""
    if not text.startswith(("./", "../", "/")):
        return text
    url = Path(os.path.normpath(base / text)).as_uri()
    return f"{url}/" if text.endswith("/") and not url.endswith("/") else url


def _folder_url(folder: Path) -> str:
    url = folder.absolute().as_uri()
    return url if url.endswith("/") else f"{url}/"


def _path(text: str, folder: Path, key: str) -> Path:
    if "://" in text:
        raise RuntimedError(
            f"runt.deno.{key}: {text} is an address, and Deno's kernel takes files only: save it "
            "beside the notebook and name the file"
        )
    return folder / text


def _nearest(folder: Path) -> Path | None:
    """The configuration that Deno itself would find."""
    for place in (folder, *folder.parents):
        for name in ("deno.json", "deno.jsonc"):
            if (place / name).is_file():
                return place / name
    return None


def _read(path: Path, key: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise RuntimedError(f"runt.deno.{key}: {path} is larger than 1 MiB")
        value = json.loads(plain_json(path.read_text()))
    except (OSError, ValueError, RecursionError) as error:
        raise RuntimedError(
            f"runt.deno.{key}: {path} can't be used: {error}. Correct it, or remove "
            f"{key} from runt.deno in the notebook's metadata"
        ) from error
    if not isinstance(value, dict):
        raise RuntimedError(f"runt.deno.{key}: {path} is not a JSON object")
    return value
