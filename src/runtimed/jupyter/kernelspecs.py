"""Kernelspecs: which kernels are installed, and the command that starts each.

Source: jupyter_client, "Making kernels for Jupyter". Read here rather than with jupyter_client, for
what is needed of it are two rules, and it would bring traitlets, tornado and three more packages.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import attrs
import orjson

from runtimed.errors import KernelNotInstalled
from runtimed.jupyter.folders import data_folders

__all__ = ["INSTALL", "KernelSpec", "find_kernelspec", "find_kernelspecs"]

#: What to do where no kernel is installed.
INSTALL = "'pip install ipykernel' installs python3"

#: Bytes of a kernel.json; one with more is none.
_LARGEST = 1 << 20

#: Programs that stand for "the Python of the environment in which the kernelspec is".
_PYTHON = re.compile(r"python(3(\.\d+)?)?\Z")


@attrs.frozen
class KernelSpec:
    """An installed kernel. `argv` holds `{connection_file}`; `env` is what it asks for besides."""

    name: str
    argv: tuple[str, ...]
    display_name: str = ""
    language: str = ""
    env: Mapping[str, str] = attrs.field(factory=dict)
    interrupt_mode: str = "signal"
    folder: Path | None = None

    def command(self, connection_file: Path) -> list[str]:
        """The command line for one kernel."""
        values = {
            "connection_file": str(connection_file),
            "resource_dir": str(self.folder or ""),
            "prefix": str(_prefix(self.folder) or sys.prefix),
        }
        words = [
            re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), word)
            for word in self.argv
        ]
        if _PYTHON.match(words[0]):
            words[0] = self._python(words[0])
        return words

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables for a kernel that is started from this environment."""
        added = {name: Template(value).safe_substitute(environ) for name, value in self.env.items()}
        return {**environ, **added}

    def _python(self, name: str) -> str:
        prefix = _prefix(self.folder)
        if prefix is not None and (own := prefix / "bin" / name).exists():
            return str(own)
        if prefix is not None and prefix != Path(sys.prefix):
            return shutil.which(name) or sys.executable
        return sys.executable


def _prefix(folder: Path | None) -> Path | None:
    """The environment a kernelspec belongs to: PREFIX/share/jupyter/kernels/NAME."""
    if folder is None or folder.parts[-4:-1] != ("share", "jupyter", "kernels"):
        return None
    return folder.parents[3]


def find_kernelspecs(environ: Mapping[str, str] = os.environ) -> dict[str, KernelSpec]:
    """All that are installed, by name. Folders without a usable kernel.json are left out."""
    found: dict[str, KernelSpec] = {}
    for data in data_folders(environ):
        try:
            entries = sorted((data / "kernels").iterdir())
        except OSError:
            continue
        for folder in entries:
            name = folder.name.lower()
            if name not in found and (spec := _read(name, folder)) is not None:
                found[name] = spec
    if "python3" not in found and importlib.util.find_spec("ipykernel") is not None:
        argv = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
        found["python3"] = KernelSpec("python3", argv, "Python 3", "python")
    return found


def find_kernelspec(name: str, environ: Mapping[str, str] = os.environ) -> KernelSpec:
    """The kernelspec of that name, in either case.

    Raises: KernelNotInstalled, which names those that are.
    """
    specs = find_kernelspecs(environ)
    if (spec := specs.get(name.lower())) is None:
        names = ", ".join(sorted(specs)) or "none"
        hint = "" if specs else f". {INSTALL}"
        raise KernelNotInstalled(f"Kernel '{name}' not found. Available kernels: [{names}]{hint}")
    return spec


def _read(name: str, folder: Path) -> KernelSpec | None:
    try:
        with (folder / "kernel.json").open("rb") as file:
            content: Any = orjson.loads(file.read(_LARGEST))
    except (OSError, orjson.JSONDecodeError):
        return None
    argv = content.get("argv") if isinstance(content, dict) else None
    if not isinstance(argv, list) or not argv or not all(isinstance(w, str) for w in argv):
        return None
    env = content.get("env")
    return KernelSpec(
        name=name,
        argv=tuple(argv),
        display_name=str(content.get("display_name") or name),
        language=str(content.get("language") or ""),
        env={str(k): str(v) for k, v in env.items()} if isinstance(env, dict) else {},
        interrupt_mode=str(content.get("interrupt_mode") or "signal"),
        folder=folder,
    )
