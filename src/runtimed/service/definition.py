"""What a service manager is to run, before it is written down for one of them. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from runtimed.credentials import may_hold_credentials

__all__ = ["EXIT_ANOTHER_DAEMON", "STOP_LIMIT", "ServiceDefinition", "define", "search_path"]

#: Exit code of a daemon that found another one in its place: starting it again would not help.
#: (EX_TEMPFAIL of sysexits.h, far from the 1 of every other failure.)
EXIT_ANOTHER_DAEMON = 75

#: Seconds a daemon may take to save, stop its kernels and end, before it is killed.
STOP_LIMIT = 20

#: Variables that decide where a daemon's files lie. A service manager does not know what a shell
#: has set, and a daemon in another place than the one where programs look would be no use.
_PLACES = (
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "RUNT_TRUST_KEY_PATH",
    "JUPYTER_RUNTIME_DIR",
)

#: Variables that decide how packages are fetched: without them a service behind a proxy could build
#: nothing. Addresses are given on unless there may be credentials in them: whoever is shown the
#: file, or what the service manager knows, would see those.
_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_CONFIG_FILE")
_ADDRESSES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "RUNTIMED_CONDA_CHANNELS",
    "RUNTIMED_CONDA_CHANNEL_ALIAS",
    "RUNTIMED_CONDA_CHANNEL_URLS",
)

#: Where installers of single programs put them, below the home folder; some may come later.
_OF_HOME = (".local/bin", ".cargo/bin", ".deno/bin")

#: Other places where uv, deno and tools of notebooks lie, used where they exist.
_IF_THERE = (
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/home/linuxbrew/.linuxbrew/sbin",
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
)
_OF_SYSTEM = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")


@attrs.frozen
class ServiceDefinition:
    """A program, its environment, and the daemon's folder and log. All paths are absolute.

    left_out: variables that the service would need, and that may hold credentials.
    """

    program: Path
    environment: tuple[tuple[str, str], ...]
    base: Path
    log: Path
    left_out: tuple[str, ...] = ()


def define(
    program: Path,
    base: Path,
    log: Path,
    home: Path,
    environ: Mapping[str, str],
    exists: Callable[[str], bool] = os.path.isdir,
) -> ServiceDefinition:
    """The service that runs `program` as the daemon of the folder `base`.

    Nothing else of the environment is taken over: what a shell happens to have set, such as an
    active virtual environment or a token, is no business of a service.
    """
    environment = {"HOME": str(home), "PATH": search_path(home, environ, exists)}
    if user := environ.get("USER") or environ.get("LOGNAME"):
        environment["USER"] = user
    for name in _PLACES:
        if os.path.isabs(value := environ.get(name, "")):  # noqa: PTH117 - text stays text
            environment[name] = value
    network = {name: environ[name] for name in (*_FILES, *_ADDRESSES) if environ.get(name)}
    secret = {name for name in _ADDRESSES if may_hold_credentials(network.get(name, ""))}
    environment |= {name: value for name, value in network.items() if name not in secret}
    return ServiceDefinition(
        program, tuple(environment.items()), base, log, left_out=tuple(sorted(secret))
    )


def search_path(
    home: Path, environ: Mapping[str, str], exists: Callable[[str], bool] = os.path.isdir
) -> str:
    """A PATH on which uv, deno and the like are found, wherever they are usually installed."""
    user = environ.get("USER") or "root"
    pyenv = environ.get("PYENV_ROOT") or str(home / ".pyenv")
    optional = [
        f"{pyenv}/shims",
        str(home / ".nix-profile/bin"),
        f"/etc/profiles/per-user/{user}/bin",
        *_IF_THERE,
    ]
    entries = [
        *(str(home / entry) for entry in _OF_HOME),
        *(entry for entry in optional if exists(entry)),
        *_OF_SYSTEM,
    ]
    # A colon can't be quoted in a PATH.
    return ":".join(dict.fromkeys(entry for entry in entries if ":" not in entry))
