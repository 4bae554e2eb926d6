"""`systemctl --user` of the tests: reads unit files as systemd does, and does what they say.

Knows the commands that the project uses, and fails at every other.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import stand_in_supervisor as supervisor

#: Given in place of the unit's pause before a restart, for tests do not wait that long.
PAUSE = "STAND_IN_PAUSE"


def fail(text: str, code: int = 1) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(code)


def parse(unit: str) -> dict[str, Any]:
    """A unit as a job of the supervisor."""
    values: dict[str, list[str]] = {}
    section = ""
    for line in unit.splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        assert equals, f"no assignment: {line!r}"
        values.setdefault(f"{section}.{key}", []).append(value)
    service = {key.partition(".")[2]: value[-1] for key, value in values.items()}
    assert service["Type"] == "simple"
    assignments = [
        word for value in values.get("Service.Environment", []) for word in _words(value)
    ]
    return {
        "argv": _words(service["ExecStart"]),
        "environment": dict(assignment.split("=", 1) for assignment in assignments),
        "restart": service["Restart"],
        "prevent": [int(code) for code in service.get("RestartPreventExitStatus", "").split()],
        "pause": float(os.environ.get(PAUSE) or service["RestartSec"]),
        "burst": int(service.get("StartLimitBurst", "5")),
        "kill": service.get("KillMode", "control-group"),
        "stop_limit": float(service.get("TimeoutStopSec", "90")),
    }


def _words(value: str) -> list[str]:
    """Words with systemd's quoting; a percent sign that is not doubled is a specifier."""
    words = shlex.split(value)
    assert all(not re.search("%[^%]", word.replace("%%", "")) for word in words), "a specifier"
    return [word.replace("%%", "%") for word in words]


def enable(path: Path) -> None:
    if not path.is_absolute() or not path.exists():
        fail(f"Failed to enable unit: Unit file {path} does not exist.")
    link = path.parent / "default.target.wants" / path.name
    link.parent.mkdir(exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(path)
    folder = supervisor.state_folder()
    supervisor.write(folder, "unit", {"path": str(path), "link": str(link)})
    reload(folder)


def reload(folder: Path) -> None:
    """What a change of the file means is found out here, and not before."""
    path = supervisor.read(folder, "unit").get("path")
    if path is None:
        return
    if not Path(path).exists():
        (folder / "unit").unlink()
        (folder / "loaded").unlink(missing_ok=True)
        return
    supervisor.write(folder, "loaded", parse(Path(path).read_text()))


def disable(folder: Path) -> None:
    if link := supervisor.read(folder, "unit").get("link"):
        Path(link).unlink(missing_ok=True)


def show(folder: Path, arguments: list[str]) -> None:
    if arguments == ["--property=Version"]:
        print("Version=stand-in")
    elif arguments == ["runtimed.service", "--property=ActiveState,MainPID"]:
        found = supervisor.state(folder)
        print(f"MainPID={found.get('pid') or 0}\nActiveState={found['state']}")
    else:
        fail(f"unknown: show {arguments}")


def main() -> None:
    scope, command, *arguments = sys.argv[1:]
    assert scope == "--user"
    folder = supervisor.state_folder()
    with (folder / "asked").open("a") as asked:
        asked.write(f"{command} {' '.join(arguments)}\n")
    if command == "show":
        show(folder, arguments)
    elif command == "daemon-reload":
        reload(folder)
    elif command == "enable":
        enable(Path(arguments[0]))
    elif arguments != ["runtimed.service"]:
        fail(f"unknown: {command} {arguments}")
    elif command == "disable":
        disable(folder)
    elif command == "reset-failed":
        if supervisor.state(folder)["state"] == "failed":
            supervisor.write(folder, "state", {"state": "inactive"})
    elif command == "start":
        if not (job := supervisor.read(folder, "loaded")):
            fail("Failed to start runtimed.service: Unit runtimed.service not found.", 5)
        supervisor.start(folder, job | {"output": str(folder / "journal")})
    elif command == "stop":
        if not supervisor.read(folder, "loaded"):
            fail("Failed to stop runtimed.service: Unit runtimed.service not loaded.", 5)
        supervisor.stop(folder)
    else:
        fail(f"unknown: {command}")


if __name__ == "__main__":
    main()
