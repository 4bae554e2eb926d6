"""What `runt doctor` finds of a service, and mends, under a service manager of the tests'."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_service import ServiceHome, home

__all__ = ["home"]

pytestmark = pytest.mark.real


def _service_finding(home: ServiceHome, *flags: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = home.runt("doctor", "--json", *flags)
    found = [one for one in json.loads(out)["findings"] if one["name"] == "service"]
    return code, found[0]


def test_a_service_that_does_not_run_is_started_and_one_that_starts_nothing_written_anew(
    home: ServiceHome,
) -> None:
    home.install()
    code, out, _ = home.runt("doctor")
    assert code == 1
    assert "Diagnosis: Daemon installed but not running. Try 'runt daemon start'.\n" in out
    assert "[warning] The service is installed, and no daemon runs" in out

    code, out, err = home.runt("doctor", "--fix")
    assert (code, err) == (0, "")
    assert "      done: Started daemon service\n" in out
    assert "Diagnosis: Daemon is healthy and running.\n" in out
    assert home.service["pid"] == home.daemon_pid

    home.program.rename(home.program.with_name("moved"))
    code, finding = _service_finding(home)
    assert (code, finding["status"]) == (1, "error")
    assert finding["what"] == f"The service starts {home.program}, which does not exist"
    code, finding = _service_finding(home, "--fix")
    assert (code, finding["status"]) == (0, "mended")
    assert str(home.program) not in home.unit.read_text()
    assert home.runt("daemon", "uninstall")[0] == 0
