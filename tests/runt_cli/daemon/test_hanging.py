"""A daemon that takes connections and answers nobody, not even a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from daemon_home import DaemonHome
from runt_cli.daemon import control, process
from runt_cli.failure import Fail
from runtimed.client import daemon_client
from waiting import LIMIT


@pytest.mark.real
def test_a_daemon_that_hangs_is_named_and_in_the_end_killed(
    bare_daemon: Callable[..., DaemonHome],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = bare_daemon()
    assert home.process is not None
    monkeypatch.setattr(daemon_client, "_PING_TIMEOUT", 0.2)
    monkeypatch.setattr(process, "STOP_LIMIT", 0.5)
    home.process.send_signal(signal.SIGSTOP)
    with pytest.raises(Fail, match=rf"The daemon \(pid {home.pid}\) runs and does not answer"):
        control.start(home.paths)
    assert process.stop_daemon(home.paths) == home.pid
    assert f"The daemon (pid {home.pid}) has not ended within" in capsys.readouterr().err
    assert home.process.wait(LIMIT) == -signal.SIGKILL
    assert process.stop_daemon(home.paths) is None
