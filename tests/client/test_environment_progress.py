"""What a session hears while a kernel's environment is prepared."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from loopback_sessions import open_daemon

from runtimed import AsyncSession, EnvironmentProgress, RuntimedError
from runtimed.client import kernel_control
from runtimed.protocol import progress

PHASES = [
    progress.Starting("abc"),
    progress.FetchingRepodata(("conda-forge",)),
    progress.RepodataComplete(12_345, 10),
    progress.Solving(3),
    progress.SolveComplete(7, 20),
    progress.Installing(7),
    progress.DownloadProgress(1, 7, "numpy", 500, 1000, 2_500_000.0),
    progress.LinkProgress(7, 7, "numpy"),
    progress.InstallComplete(30),
    progress.CreatingVenv(),
    progress.InstallingPackages(("numpy", "pandas")),
    progress.Starting("abc", elsewhere=True),
    progress.CacheHit("/e"),
    progress.Ready("/e", "/e/bin/python"),
    progress.Error("no such package"),
]


async def test_every_step_is_told_to_every_session_of_the_notebook_that_wants_it(
    tmp_path: Path,
) -> None:
    async with open_daemon(tmp_path) as daemon:
        daemon.kernels.phases = [(0.0, phase) for phase in PHASES]
        async with AsyncSession("n") as one, AsyncSession("n") as other, AsyncSession("n") as deaf:
            for session in (one, other, deaf):
                await session.connect()
            heard: list[EnvironmentProgress] = []
            elsewhere: list[EnvironmentProgress] = []
            await one.set_progress_handler(heard.append)
            await other.set_progress_handler(elsewhere.append)
            await deaf.set_progress_handler(heard.append)
            await deaf.set_progress_handler(None)
            await one.start_kernel()
            await other.get_queue_state()
    assert [step.phase for step in heard] == [
        "starting", "fetching_repodata", "repodata_complete", "solving", "solve_complete",
        "installing", "download_progress", "link_progress", "install_complete", "creating_venv",
        "installing_packages", "starting", "cache_hit", "ready", "error",
    ]  # fmt: skip
    assert elsewhere == heard
    assert {step.env_type for step in heard} == {"uv"}
    download = heard[6]
    assert download.message == "Downloading numpy (1 of 7, 2.5 MB/s)"
    assert download.fraction == 0.5
    assert download.details["bytes_total"] == 1000
    assert heard[1].message == "Asking conda-forge"
    assert heard[7].fraction == 1
    assert heard[8].fraction is None
    assert heard[0].message == "Looking for the environment"
    assert "another daemon" in heard[11].message
    assert heard[-1].message == "no such package"
    assert repr(heard[3]) == (
        "EnvironmentProgress(solving: Working out which packages go together)"
    )


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_control, "_LAUNCH_TIMEOUT", 0.5)


@pytest.mark.usefixtures("short_patience")
async def test_a_launch_may_last_as_long_as_it_makes_progress(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        daemon.kernels.phases = [(0.1, progress.Solving(number)) for number in range(10)]
        await session.start_kernel()
        assert await session.kernel_started()


@pytest.mark.usefixtures("short_patience")
async def test_a_launch_without_progress_ends_with_an_error(tmp_path: Path) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        daemon.kernels.phases = [(20, progress.Solving(1))]
        with pytest.raises(RuntimedError, match="no progress within"):
            await session.start_kernel()


async def test_a_handler_that_fails_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_daemon(tmp_path) as daemon, AsyncSession("n") as session:
        daemon.kernels.phases = [(0.0, progress.Solving(1))]

        def fail(step: EnvironmentProgress) -> None:
            raise ZeroDivisionError

        await session.set_progress_handler(fail)
        with caplog.at_level(logging.ERROR):
            await session.start_kernel()
        assert "progress handler failed" in caplog.text
        with pytest.raises(TypeError, match="handler must be callable, not int"):
            await session.set_progress_handler(1)  # type: ignore[arg-type]
