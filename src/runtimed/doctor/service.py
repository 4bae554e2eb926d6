"""The service file, if the daemon was installed as a service."""

from __future__ import annotations

import plistlib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers.expat import ExpatError

from runtimed._binary import BinaryNotFoundError, find_binary
from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site
from runtimed.paths import config_root

__all__ = ["installed_program", "program_of_service", "service", "service_file"]

_EXEC = re.compile(r"^ExecStart=[-@:+!]*(.+)$", re.MULTILINE)


def service_file(environ: Mapping[str, str]) -> Path:
    """Where the unit or the property list lies, whether or not there is one."""
    if sys.platform == "darwin":
        return Path(environ.get("HOME", "/")) / "Library/LaunchAgents/io.nteract.runtimed.plist"
    return config_root(environ) / "systemd/user/runtimed.service"


def program_of_service(file: Path) -> Path | None:
    """The program that a service file starts; None if there is none, or none that can be told."""
    try:
        content = file.read_bytes()
        if file.suffix == ".plist":
            return Path(plistlib.loads(content)["ProgramArguments"][0])
        found = _EXEC.search(content.decode())
        return Path(shlex.split(found[1])[0]) if found else None
    except (OSError, ValueError, LookupError, TypeError, ExpatError):
        return None


def installed_program(site: Site) -> Path | None:
    """The daemon's program: the service's, else that of this installation."""
    file = service_file(site.environ)
    if file.exists():
        return program_of_service(file)
    try:
        return Path(find_binary("runtimed"))
    except BinaryNotFoundError:
        beside = Path(sys.executable).with_name("runtimed")
        return beside if beside.exists() else None


def service(site: Site) -> Iterator[Finding]:
    """A service file that starts nothing."""
    file = service_file(site.environ)
    if not file.exists():
        return
    program = program_of_service(file)
    if program is not None and program.is_file():
        yield ok("service", f"The service starts {program}", file)
        return
    yield Finding(
        name="service",
        status="error",
        path=file,
        what=f"The service starts {program}, which does not exist"
        if program
        else "The service file names no program",
        why="The package was removed or moved after the service was installed",
        remedy="'runt daemon install' writes it anew, 'runt daemon uninstall' removes it",
    )
