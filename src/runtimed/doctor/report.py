"""The health report: the specification's keys, all findings, and one sentence that sums them up."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import attrs

from runtimed.doctor.checkup import CHECKS, examine, mend
from runtimed.doctor.finding import Finding
from runtimed.doctor.macos import macos_checks
from runtimed.doctor.running import whose
from runtimed.doctor.service import installed_program, service_file
from runtimed.doctor.site import Site, is_there, look_at_daemon

__all__ = ["Report", "health_report"]


@attrs.frozen
class Report:
    """`site` is what was there in the end; `findings` are all, mended ones included."""

    site: Site
    findings: Sequence[Finding]

    @property
    def is_healthy(self) -> bool:
        return not any(finding.is_wrong for finding in self.findings)

    @property
    def actions(self) -> list[str]:
        return [finding.done for finding in self.findings if finding.status == "mended"]

    @property
    def can_be_mended(self) -> bool:
        """Whether `--fix` would change something."""
        return any(finding.is_wrong and finding.repair for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Source: command line specification, "daemon doctor", and `findings`."""
        return self.checks() | {
            "diagnosis": self.diagnosis,
            "actions_taken": self.actions,
            "findings": [finding.as_json() for finding in self.findings],
        }

    def checks(self) -> dict[str, dict[str, Any]]:
        """The specification's checks, by their keys: `path`, `status`, `detail`."""
        paths, state = self.site.paths, self.site.daemon
        program, unit = installed_program(self.site), service_file(self.site)
        there = program is not None and program.is_file()
        checks = {
            "installed_binary": _check(program, "ok" if there else "missing"),
            "service_config": _check(unit, "ok" if is_there(unit) else "missing"),
        }
        if sys.platform == "darwin":
            checks |= macos_checks(program, unit)
        stale = any(one.name == "socket" and one.is_wrong for one in self.findings)
        exists = is_there(paths.socket)
        taken = [one.what for one in self.findings if one.name == "socket-taken"]
        checks["socket_file"] = _check(
            paths.socket,
            "missing" if not exists else "stale" if stale else "ok",
            taken[0] if taken else None,
        )
        info, status = state.info, "missing"
        if is_there(paths.info):
            status = "ok" if state.alive and info else "stale"
        detail = None
        if info:
            gone = whose(info.pid) == "which is gone"
            stale_text = "not running" if gone else "is not a daemon's any more"
            detail = f"PID {info.pid} {'running' if status == 'ok' else stale_text}"
        checks["daemon_state"] = _check(paths.info, status, detail)
        running, detail = "ok" if state.answers else "not_running", None
        if state.answers and info is None:
            detail = "running but daemon.json missing"
        elif state.silent is not None:
            detail = f"PID {state.pid} does not answer"
        elif state.alive and state.trouble is not None:
            detail = f"running, but: {state.trouble}"
        checks["daemon_running"] = _check(paths.socket, running, detail)
        return checks

    @property
    def diagnosis(self) -> str:
        """The first that fits, as the specification has it; what is wrong elsewhere is counted."""
        state = self.site.daemon
        wrong = sum(finding.is_wrong for finding in self.findings)
        if state.silent is not None:
            return f"Daemon hangs: it takes connections and does not answer (PID {state.pid})."
        if state.answers:
            if not wrong:
                return "Daemon is healthy and running."
            return f"Daemon is running, but {_things(wrong)} wrong."
        if state.alive:
            return "Daemon runs, but can't be reached."
        checks = self.checks()
        if checks["service_config"]["status"] == "ok":
            if checks["installed_binary"]["status"] == "missing":
                return "Service config exists but binary missing. Need to reinstall."
            if checks["daemon_state"]["status"] == "stale":
                return "Daemon state is stale (process crashed). Service needs restart."
            return "Daemon installed but not running. Try 'runt daemon start'."
        if checks["daemon_state"]["status"] == "stale":
            return "Daemon state is stale (process crashed)."
        if wrong:
            return f"No daemon runs, and {_things(wrong)} wrong."
        return "No daemon runs, and nothing is wrong. Try 'runt daemon start'."


def health_report(site: Site, *, fix: bool = False) -> Report:
    """Examine a site, and mend it if that is asked for.

    Each check is mended before the next one looks, which may find less then; and what was mended is
    looked at again: what is wrong all the same stays wrong.
    """
    findings: list[Finding] = []
    for check in CHECKS:
        found = examine(site, [check])
        if not fix or not any(one.repair for one in found):
            findings += found
            continue
        mended = mend(site, found)
        if site.daemon.silent is None:  # one that hangs has been waited for
            site = attrs.evolve(site, daemon=look_at_daemon(site.paths))
        tried = {(one.path, one.what) for one in mended if one.is_wrong}
        findings += [one for one in mended if one.status != "ok"]
        findings += [one for one in examine(site, [check]) if (one.path, one.what) not in tried]
    return Report(site, findings)


def _things(count: int) -> str:
    return f"{count} things are" if count != 1 else "one thing is"


def _check(path: Any, status: str, detail: str | None = None) -> dict[str, Any]:
    return {"path": str(path) if path else None, "status": status, "detail": detail}
