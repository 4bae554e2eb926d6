"""Which URLs stand behind the names of conda channels.

Values only. A name comes from a notebook, a project file or a setting; what it leads to is decided
by the user's own variables and settings, so that a company or a test can put its mirror there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from runtimed.errors import EnvironmentBuildFailed

__all__ = ["Channel", "ChannelMap", "without_secrets"]

_ALIAS = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
_FIRST = ("conda-forge",)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_URL = re.compile(r"(https?|file|s3|gcs|oci)://\S+")
_TOKEN = re.compile(r"(/t/)[^/]+(?=/)|(?<=://)[^/@\s]+@")
_IN_SPEC = re.compile(r"([^\s\[\]]+?)(/(?:noarch|(?:linux|osx|win)-\w+))?::(.+)", re.DOTALL)


@attrs.frozen
class Channel:
    """A channel as somebody named it, and the URL it was found to have."""

    name: str
    url: str

    @property
    def title(self) -> str:
        """The name as it may be shown."""
        return without_secrets(self.name)

    def __str__(self) -> str:
        shown = without_secrets(self.url)
        return shown if self.name == self.url else f"{self.title} ({shown})"


@attrs.frozen
class ChannelMap:
    """How names become URLs.

    default: the channels of those who name none. alias: what plain names are put behind.
    urls: for single names, wins over everything. Folders may be given as absolute paths.
    """

    default: tuple[str, ...] = _FIRST
    alias: str = _ALIAS
    urls: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, environ: Mapping[str, str], default: Sequence[str] = ()) -> ChannelMap:
        """What the environment variables say; `default`, from the settings, is what they win over.

        Source: `RUNTIMED_CONDA_CHANNELS`, names or URLs separated by commas;
        `RUNTIMED_CONDA_CHANNEL_ALIAS`, a URL; `RUNTIMED_CONDA_CHANNEL_URLS`, `name=url` by commas.
        """
        named = _list(environ.get("RUNTIMED_CONDA_CHANNELS", ""))
        single = _list(environ.get("RUNTIMED_CONDA_CHANNEL_URLS", ""))
        pairs = (one.partition("=") for one in single)
        return cls(
            default=tuple(named or default or _FIRST),
            alias=environ.get("RUNTIMED_CONDA_CHANNEL_ALIAS", "").strip() or _ALIAS,
            urls={name.strip(): url.strip() for name, _, url in pairs if url.strip()},
        )

    def resolve(self, names: Iterable[str]) -> tuple[Channel, ...]:
        """The channels in their order, each once; those by default when there are no names.

        Special cases: `nodefaults` only says that nothing is to be added, and nothing ever is.
        Raises: EnvironmentBuildFailed for what is neither a name nor a URL.
        """
        wanted = [name for name in names if name != "nodefaults"] or list(self.default)
        found: dict[str, Channel] = {}
        for name in wanted:
            for channel in self._named(name.strip()):
                found.setdefault(channel.url, channel)
        return tuple(found.values())

    def with_own_channel(self, spec: str) -> tuple[str, Channel | None]:
        """A spec such as `bioconda::samtools` with the channel's URL in it, and that channel."""
        if (parts := _IN_SPEC.fullmatch(spec.strip())) is None:
            return spec, None
        channel = self._named(parts[1])[0]
        return f"{channel.url}{parts[2] or ''}::{parts[3]}", channel

    def _named(self, name: str) -> list[Channel]:
        if name in self.urls:
            return [Channel(name, _as_url(self.urls[name]))]
        if _URL.fullmatch(name):
            return [Channel(name, name.rstrip("/"))]
        if not _NAME.fullmatch(name) or ".." in name:
            raise EnvironmentBuildFailed(
                f"Not a conda channel: {name!r}. Write its name, such as conda-forge, or its URL "
                "(https://... or, for a folder, file:///...)"
            )
        if name == "defaults" and self.alias == _ALIAS:
            return [Channel(name, url) for url in _DEFAULTS]
        return [Channel(name, f"{_as_url(self.alias)}/{name}")]


def without_secrets(text: str) -> str:
    """The text with tokens and passwords in URLs masked, for messages and logs."""
    return _TOKEN.sub(lambda found: f"{found[1]}***" if found[1] else "***@", text)


def _as_url(place: str) -> str:
    return (Path(place).as_uri() if place.startswith("/") else place).rstrip("/")


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
