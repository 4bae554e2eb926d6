"""What a notebook asks for, as trust sees it: the content that is signed. Pure.

Read from the same snapshot and the same script block that a launch is made from, so that nothing is
installed which was not judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from runtimed.environments.trust.canonical import canonical_json
from runtimed.environments.trust.script import read_script

__all__ = ["Content", "signature_of"]

#: Channels that say nothing: what is used without any.
_PLAIN_CHANNELS: tuple[list[str], ...] = ([], ["conda-forge"])


def signature_of(snapshot: Mapping[str, Any] | None) -> str | None:
    """The signature that a snapshot carries."""
    signature = _mapping((snapshot or {}).get("runt")).get("trust_signature")
    return signature if isinstance(signature, str) else None


@attrs.frozen
class Content:
    """What a notebook asks for.

    `uv` and `conda` are the sections of the snapshot, None where there is none. `script` is the
    script block with its `dependencies` and `requires-python`, and as `unread` the text of what is
    no block as it stands, but might become one by an edit elsewhere: a second block, one in a cell
    that is no code, one that can't be read.
    """

    uv: Mapping[str, Any] | None = None
    conda: Mapping[str, Any] | None = None
    script: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls, snapshot: Mapping[str, Any] | None, cells: Iterable[tuple[str, str]] = ()
    ) -> Content:
        """The content of a notebook: its snapshot; type and source of each of its cells."""
        runt = _mapping((snapshot or {}).get("runt"))
        uv, conda = runt.get("uv"), runt.get("conda")
        return cls(
            uv=uv if isinstance(uv, Mapping) else None,
            conda=conda if isinstance(conda, Mapping) else None,
            script=read_script(cells),
        )

    @property
    def uv_dependencies(self) -> list[str]:
        return _texts(self.uv, "dependencies")

    @property
    def conda_dependencies(self) -> list[str]:
        return _texts(self.conda, "dependencies")

    @property
    def conda_channels(self) -> list[str]:
        return _texts(self.conda, "channels")

    @property
    def script_dependencies(self) -> list[str]:
        return _texts(self.script, "dependencies")

    @property
    def constraints(self) -> list[str]:
        """What has a say in which versions are installed, each as people read it."""
        named = [
            (self.uv, "requires-python", "requires-python {}"),
            (self.uv, "prerelease", "prerelease {}"),
            (self.conda, "python", "python {} from conda"),
            (self.script, "requires-python", "requires-python {} in the script block"),
        ]
        return [text.format(part[key]) for part, key, text in named if part and key in part]

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be installed."""
        return not (self.uv_dependencies or self.conda_dependencies or self.script_dependencies)

    @property
    def is_bare(self) -> bool:
        """Whether nothing is in it that would have a say once a package is added: no channel, no
        constraint, no half of a script block."""
        uv, conda = dict(self.uv or {}), dict(self.conda or {})
        uv.pop("dependencies", None)
        conda.pop("dependencies", None)
        channels = list(conda.pop("channels", []))
        return self.is_empty and not (uv or conda or self.script) and channels in _PLAIN_CHANNELS

    @property
    def packages(self) -> Sequence[str]:
        """Every package that is asked for, by whichever part."""
        return [*self.uv_dependencies, *self.conda_dependencies, *self.script_dependencies]

    def to_bytes(self) -> bytes:
        """What is signed.

        Shape: canonical JSON of `uv`, `conda` and `script`, those that are there. Without a script
        block it is what the protocol's other programs sign, too.
        Raises: RuntimedError for what JSON has no form for.
        """
        parts = {"uv": self.uv, "conda": self.conda, "script": self.script}
        return canonical_json({key: part for key, part in parts.items() if part is not None})

    @property
    def digest(self) -> str:
        """A name for exactly this content."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def describe(self) -> str:
        """What would be installed, on one line."""
        found = []
        for what, packages in (
            ("with uv", self.uv_dependencies),
            ("from its script block", self.script_dependencies),
            ("with conda", self.conda_dependencies),
        ):
            if packages:
                found.append(f"{what}: {', '.join(packages)}")
        if self.conda_dependencies and self.conda_channels not in _PLAIN_CHANNELS:
            found.append(f"channels: {', '.join(self.conda_channels)}")
        return "; ".join(found) or "nothing"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(section: Mapping[str, Any] | None, key: str) -> list[str]:
    values = (section or {}).get(key)
    if not isinstance(values, (list, tuple)):
        return []
    return [value for value in values if isinstance(value, str)]
