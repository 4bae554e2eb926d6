"""Wheels made for a test, so that no index has to have them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

__all__ = ["make_project", "make_wheel"]


def make_wheel(
    folder: Path, name: str, version: str, module: str | None = None, *, bulk: int = 0
) -> Path:
    """A wheel with one module, one console script and the version in its source; and a file of
    `bulk` bytes, if that is to be."""
    module = module or name
    info = f"{name}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": (
            f"version = {name + ' ' + version!r}\ndef main(): print(version)\n"
        ),
        f"{module}/same.py": "unchanged = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
    }
    if bulk:
        files[f"{module}/bulk.txt"] = "x" * bulk
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    target = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return target


_BACKEND = """\
import pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "{name}-1.0.dist-info"
    files = {{
        "{name}.pth": str(pathlib.Path.cwd() / "src"),
        f"{{info}}/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    files[f"{{info}}/RECORD"] = "".join(f"{{path}},,\\n" for path in [*files, f"{{info}}/RECORD"])
    wheel = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
"""


def make_project(folder: Path, name: str) -> Path:
    """A project that can be installed as it is, with a build backend of its own: no index is
    asked for one. Its module has a `version`."""
    project = folder / name
    (project / "src").mkdir(parents=True)
    (project / "src" / f"{name}.py").write_text('version = "1"\n')
    (project / "backend.py").write_text(_BACKEND.format(name=name))
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return project
