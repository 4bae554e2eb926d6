"""`launchctl` of the tests: reads property lists as launchd does, and does what they say.

Knows the commands that the project uses, and fails at every other.
"""

from __future__ import annotations

import os
import plistlib
import sys
from pathlib import Path
from typing import Any, NoReturn

import stand_in_supervisor as supervisor

#: As tests give it: a domain of no user.
DOMAIN = "gui/4711"
TARGET = f"{DOMAIN}/io.nteract.runtimed"


def fail(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(code)


def job_of(plist: dict[str, Any]) -> dict[str, Any]:
    assert plist["RunAtLoad"] is True
    assert plist["StandardOutPath"] == plist["StandardErrorPath"]
    return {
        "argv": plist["ProgramArguments"],
        "environment": plist["EnvironmentVariables"],
        "restart": "crashed" if plist["KeepAlive"] == {"Crashed": True} else "never",
        "prevent": [],
        "pause": 0.05,
        "burst": 1000,
        "kill": "mixed",
        "stop_limit": float(plist["ExitTimeOut"]),
        "output": plist["StandardErrorPath"],
    }


def main() -> None:
    command, *arguments = sys.argv[1:]
    folder = supervisor.state_folder()
    with (folder / "asked").open("a") as asked:
        asked.write(f"{command} {' '.join(arguments)}\n")
    loaded = supervisor.read(folder, "loaded")
    if command == "print" and arguments == [DOMAIN]:
        print(f"{DOMAIN} = {{\n}}")
    elif command == "bootstrap":
        domain, file = arguments
        assert domain == DOMAIN
        if loaded:
            fail("Bootstrap failed: 5: Input/output error", 5)
        job = job_of(plistlib.loads(Path(file).read_bytes()))
        supervisor.write(folder, "loaded", job)
        supervisor.start(folder, job)
    elif arguments != [TARGET]:
        fail(f"unknown: {command} {arguments}", 64)
    elif command == "enable":
        pass
    elif not loaded:
        fail(f'Could not find service "{os.path.basename(TARGET)}" in domain', 113)  # noqa: PTH119
    elif command == "print":
        found = supervisor.state(folder)
        lines = [f"\tpid = {found['pid']}"] if found.get("pid") else []
        lines += [f"\tlast exit code = {found['code']}"] if "code" in found else []
        print("\n".join([f"{TARGET} = {{", *lines, "}"]))
    elif command == "kickstart":
        supervisor.start(folder, loaded)
    elif command == "bootout":
        supervisor.stop(folder)
        (folder / "loaded").unlink()
    else:
        fail(f"unknown: {command}", 64)


if __name__ == "__main__":
    main()
