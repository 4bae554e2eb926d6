"""The process between the daemon and a Deno kernel. Run as a program, by its path.

Deno's kernel has neither of what we need: it does not notice when its daemon is gone, and it takes
no permissions. This process ends it with the daemon, and answers Deno's permission broker protocol:
Deno asks it before each access, and ends if nobody answers. It starts with every kernel, so it
imports little and nothing of ours.

    python deno_guard.py PARENT_PID CONNECTION_FILE OPTIONS -- deno jupyter ...

OPTIONS: a JSON object. `permissions`: a list as on Deno's command line; null for no limit.
`config`: the content of a deno.json to start with; null for the one that Deno finds.
Source: Deno manual, "Security and permissions", "Permission broker".
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Rules", "main"]

#: Seconds between two looks whether the daemon is still there.
_LOOK = 0.5

BROKER = "DENO_PERMISSION_BROKER_PATH"

KINDS = ("read", "write", "net", "env", "run", "sys", "ffi", "import")
_SHORT = {"R": "read", "W": "write", "N": "net", "E": "env", "S": "sys", "I": "import"}

#: Where Deno imports from without being told.
_IMPORT_HOSTS = (
    "deno.land:443",
    "jsr.io:443",
    "esm.sh:443",
    "cdn.jsdelivr.net:443",
    "raw.githubusercontent.com:443",
    "gist.githubusercontent.com:443",
)


class Rules:
    """Permissions as on Deno's command line: what is not allowed is denied, deny wins over allow.

    Entries: `--allow-net`, `--allow-net=host:port,other`, `--deny-read=path`, `-A`; the dashes may
    be missing. Paths are relative to `folder`.
    Raises: ValueError for an entry that is none of these.
    """

    def __init__(self, entries: Iterable[str], folder: Path) -> None:
        self._folder = folder
        # None in the place of values: everything of that kind.
        self._allowed: dict[str, set[str] | None] = {"import": set(_IMPORT_HOSTS)}
        self._denied: dict[str, set[str] | None] = {}
        for entry in entries:
            self._add(entry)

    def _add(self, entry: str) -> None:
        name, equals, values = entry.strip().lstrip("-").partition("=")
        if name in ("A", "allow-all", "all") and not equals:
            self._allowed.update(dict.fromkeys(KINDS))
            return
        name = _SHORT.get(name, name)
        verb, _, kind = name.rpartition("-")
        table = {"": self._allowed, "allow": self._allowed, "deny": self._denied}.get(verb)
        given = [value.strip() for value in values.split(",")]
        if table is None or kind not in KINDS or (equals and not all(given)):
            raise ValueError(entry)
        if any("/" in value for value in given) and kind in ("net", "import"):
            raise ValueError(entry)
        if not equals:
            table[kind] = None
        elif (known := table.setdefault(kind, set())) is not None:
            known.update(given)

    def allows(self, kind: str, value: str | None) -> bool:
        """Whether an access is allowed. `value` None: to everything of its kind."""
        if kind not in KINDS:
            return False
        denied = self._denied.get(kind, set())
        if denied is None or (denied and value is None):
            return False
        if value is not None and any(self._covers(kind, rule, value, any) for rule in denied or ()):
            return False
        allowed = self._allowed.get(kind, set())
        if allowed is None:
            return True
        return value is not None and any(self._covers(kind, rule, value, all) for rule in allowed)

    def _covers(self, kind: str, rule: str, value: str, of: Any) -> bool:
        """Whether a rule is about a value. of: `all` where doubt must deny, `any` where it must
        not allow: a path counts as it is written and as what its links lead to."""
        if kind in ("read", "write", "ffi"):
            written = os.path.normpath(self._folder / rule), os.path.normpath(self._folder / value)
            real = os.path.realpath(self._folder / rule), os.path.realpath(self._folder / value)
            return bool(of(_below(inner, outer) for outer, inner in (written, real)))
        if kind in ("net", "import"):
            return _same_host(rule, value)
        if kind == "env":
            return value.startswith(rule[:-1]) if rule.endswith("*") else value == rule
        if kind == "run":
            return value in (rule, shutil.which(rule))
        return value == rule


def _below(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _same_host(rule: str, value: str) -> bool:
    host, port = _host_and_port(rule)
    asked, asked_port = _host_and_port(value)
    if port and port != asked_port:
        return False
    if host.startswith("*."):
        return asked.endswith(host[1:])
    return host == asked


def _host_and_port(text: str) -> tuple[str, str]:
    text = text.lower()
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), port
    return text.strip("[]"), ""


class _Broker:
    """Answers Deno's questions. Whatever goes wrong is a refusal."""

    def __init__(self, rules: Rules, connection: dict[str, Any], folder: Path) -> None:
        self._rules = rules
        self._start = str(Path.cwd())
        self._moved = False
        self._channels = {
            f"{connection['ip']}:{port}"
            for name, port in connection.items()
            if name.endswith("_port")
        }
        self.path = str(folder / "broker")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError), peer.makefile("rwb") as stream:
            for line in stream:
                question = json.loads(line)
                answer = {"id": question["id"], **self._decide(question)}
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()

    def _decide(self, question: dict[str, Any]) -> dict[str, str]:
        kind, value = str(question["permission"]), question.get("value")
        if kind == "net" and value in self._channels:  # the kernel's own
            return {"result": "allow"}
        if kind == "read" and value == self._start and not self._moved:
            self._moved = True  # the daemon moves the kernel to its folder before the first cell
            return {"result": "allow"}
        if self._rules.allows(kind, value if value is None else str(value)):
            return {"result": "allow"}
        what = f'{kind} access to "{value}"' if value else f"{kind} access"
        entry = f"--allow-{kind}={value}" if value else f"--allow-{kind}"
        return {
            "result": "deny",
            "reason": f"Requires {what}: add {entry} to runt.deno.permissions of the notebook, "
            "then restart the kernel",
        }


def main(arguments: Sequence[str]) -> int:
    """Run Deno until it ends; its exit code."""
    split = arguments.index("--")
    parent, connection_file, told = arguments[:split]
    command = list(arguments[split + 1 :])
    options = json.loads(told)
    # Whoever ends a kernel signals its whole group; this process ends when Deno has. These are
    # handlers, not SIG_IGN, for a child would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignored)
    environ = {name: value for name, value in os.environ.items() if name != BROKER}
    with contextlib.ExitStack() as stack:
        cwd = Path.cwd()
        if options["permissions"] is not None:
            if not _knows_brokers(command[0]):
                print(
                    f"{command[0]} is too old to limit a notebook's permissions: update Deno, or "
                    "remove runt.deno.permissions from the notebook's metadata",
                    file=sys.stderr,
                )
                return 1
            connection = json.loads(Path(connection_file).read_bytes())
            rules = Rules(options["permissions"], cwd)
            broker = _Broker(rules, connection, _private_folder(stack, Path(connection_file)))
            environ[BROKER] = broker.path
        start = cwd
        if options["config"] is not None:
            start = _write_config(options["config"], _private_folder(stack, None))
        child = subprocess.Popen(command, env=environ, cwd=start)
        threading.Thread(target=_watch, args=(child, int(parent)), daemon=True).start()
        code = child.wait()
    if code < 0:  # end as it did, so that the daemon can tell how
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    return code


def _ignored(number: int, frame: object) -> None:
    pass


def _watch(child: subprocess.Popen[bytes], parent: int) -> None:
    """End Deno when the daemon, however that ended, is no longer our parent."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    child.kill()


def _private_folder(stack: contextlib.ExitStack, beside: Path | None) -> Path:
    """A folder for this kernel alone, gone when it is.

    beside: a file whose folder the daemon clears when it starts; used if a socket's path may be
    that long.
    """
    if beside is not None and len(os.fsencode(beside)) < 90:
        folder = beside.with_suffix(".d")
        folder.mkdir(mode=0o700)
    else:
        folder = Path(tempfile.mkdtemp(prefix="runt-deno-"))  # 0700
    stack.callback(shutil.rmtree, folder, True)
    return folder


def _write_config(config: dict[str, Any], root: Path) -> Path:
    """Lay down a configuration where Deno, started in that folder, finds it; the folder.

    Deno's kernel has no option for it. Relative imports of cells then start at that folder as well,
    so its own import map leads them, `./` and each `../`, back to the notebook's. That is why it
    lies so deep: all folders on the way are its own and hide nothing.
    """
    folder = root.joinpath(*"abcdefgh")
    folder.mkdir(parents=True)
    (folder / "deno.json").write_text(json.dumps(config))
    return folder


def _knows_brokers(binary: str) -> bool:
    """Whether this Deno asks a broker. One that does not would grant everything."""
    with (
        Path(binary).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return data.find(BROKER.encode()) >= 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
