"""Where approvals of this machine's user lie. Nothing here creates anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from runtimed.paths import config_root, workspace_path

__all__ = ["TrustFiles"]


@attrs.frozen
class TrustFiles:
    """The key that signs notebooks, and the project files that were approved. One of each for all
    daemons of a user."""

    key: Path
    projects: Path

    @classmethod
    def below(cls, folder: Path) -> TrustFiles:
        return cls(folder / "trust-key", folder / "trusted-projects.json")

    @classmethod
    def of_user(cls, environ: Mapping[str, str] = os.environ) -> TrustFiles:
        """Those in the user's configuration.

        Special cases: RUNT_TRUST_KEY_PATH names another key in development mode, and nowhere else:
        a variable that a project's shell set-up can set must not choose a key that others know.
        """
        files = cls.below(config_root(environ) / "runt")
        named = environ.get("RUNT_TRUST_KEY_PATH", "").strip()
        if named and workspace_path(environ) is not None:
            return attrs.evolve(files, key=Path(named).expanduser())
        return files
