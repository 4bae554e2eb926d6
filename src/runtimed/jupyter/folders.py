"""Where Jupyter keeps connection files and kernelspecs.

Source: jupyter_core, "Jupyter paths". Nothing here creates anything.
Raises: StateDirectoryUnusable where no home folder is known.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runtimed.paths import home_folder

__all__ = ["data_folders", "runtime_folder"]


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where connection files lie: $JUPYTER_RUNTIME_DIR, or `runtime` in the user's data folder."""
    if explicit := environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(explicit)
    return _user_data(environ) / "runtime"


def data_folders(
    environ: Mapping[str, str] = os.environ, prefix: str = sys.prefix
) -> tuple[Path, ...]:
    """The folders whose `kernels` hold kernelspecs; the first that has a name wins.

    Order: $JUPYTER_PATH, the activated environment, the one `runt` is installed in, the user's, the
    machine's. An activated environment is not Jupyter's own rule: it needs none, because there the
    program runs in the environment that it looks in.
    """
    folders = [Path(entry) for entry in environ.get("JUPYTER_PATH", "").split(os.pathsep) if entry]
    activated = (environ.get("VIRTUAL_ENV"), environ.get("CONDA_PREFIX"), prefix)
    folders += [Path(entry) / "share" / "jupyter" for entry in activated if entry]
    folders.append(_user_data(environ))
    folders += [Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    return tuple(dict.fromkeys(folders))


def _user_data(environ: Mapping[str, str]) -> Path:
    if explicit := environ.get("JUPYTER_DATA_DIR"):
        return Path(explicit)
    if sys.platform == "darwin":
        return home_folder(environ) / "Library" / "Jupyter"
    # A relative one is ignored, as its specification has it.
    if (data := environ.get("XDG_DATA_HOME", "")) and Path(data).is_absolute():
        return Path(data) / "jupyter"
    return home_folder(environ) / ".local" / "share" / "jupyter"
