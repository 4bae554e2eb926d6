"""The systemd user unit, as text. Pure; knows nothing of systemctl.

Source: command line specification, 9.1, and systemd.service(5).
"""

from __future__ import annotations

from pathlib import Path

from runtimed.errors import ServiceFailed
from runtimed.service.definition import EXIT_ANOTHER_DAEMON, STOP_LIMIT, ServiceDefinition

__all__ = ["base_of", "program_of", "quoted", "serves", "systemd_unit"]

_UNIT = """\
[Unit]
Description=runtimed - Jupyter Runtime Daemon
After=network.target
# A daemon that can't start is given up after five attempts, not tried for ever.
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=simple
ExecStart={program}
Restart=on-failure
RestartSec=5
# Another daemon, started by hand, runs already: it is as good, and starting again would not help.
RestartPreventExitStatus={another}
# The daemon ends its kernels itself; only what it leaves is killed.
KillMode=mixed
TimeoutStopSec={limit}
# A kernel that ate the memory is the one to go, not everybody's notebooks with it.
OOMPolicy=continue
{environment}
X-Base={base}

[Install]
WantedBy=default.target
"""

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}


def systemd_unit(definition: ServiceDefinition) -> str:
    """The unit's text.

    Raises: ServiceFailed for a program that no unit can run.
    """
    program = str(definition.program)
    if any(character in "\"'\\" or not character.isprintable() for character in program):
        raise ServiceFailed(
            f"systemd runs no program with a quote or a backslash in its path: {program!r}. "
            "Name one in another place with --binary, such as a link"
        )
    return _UNIT.format(
        program=quoted(program),
        another=EXIT_ANOTHER_DAEMON,
        limit=STOP_LIMIT,
        environment="\n".join(
            f"Environment={quoted(f'{name}={value}')}" for name, value in definition.environment
        ),
        base=quoted(str(definition.base)),
    )


def quoted(text: str) -> str:
    """A word of a unit file: in double quotes, so that blanks are part of it.

    Raises: ServiceFailed for text that is not valid Unicode, which systemd refuses.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ServiceFailed(f"A service can't be given the name {text!r}: it is no UTF-8") from None
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'


def serves(unit: str, base: Path) -> bool:
    """Whether a unit is for the daemon of this folder. One that does not say is taken to be."""
    return base_of(unit) in (None, base)


def base_of(unit: str) -> Path | None:
    """The folder of the daemon that a unit is for; None when it does not say."""
    named = [line for line in unit.splitlines() if line.startswith("X-Base=")]
    return Path(_unquoted(named[-1].removeprefix("X-Base="))) if named else None


def program_of(unit: str) -> Path | None:
    """The program that a unit of ours runs; None when it is in some other form."""
    for line in unit.splitlines():
        if line.startswith('ExecStart="') and line.endswith('"'):
            return Path(_unquoted(line.removeprefix("ExecStart=")))
        if line.startswith("ExecStart=/"):
            return Path(line.removeprefix("ExecStart=").split()[0])
    return None


def _unquoted(word: str) -> str:
    """What `quoted` was given; a word that is not quoted is taken as it is."""
    if len(word) < 2 or not (word.startswith('"') and word.endswith('"')):
        return word
    back = {escape: character for character, escape in _ESCAPES.items()}
    rest, text = word[1:-1], ""
    while rest:
        taken = rest[:2] if rest[:2] in back else rest[0]
        text, rest = text + back.get(taken, taken), rest[len(taken) :]
    return text
