"""`runt pool`: deprecated, and still doing what scripts expect."""

from __future__ import annotations

import json

import pytest
from pool_answers import Pretend, pretend, run_command

from runtimed.protocol import pool

__all__ = ["pretend"]

WARNING = "Warning: 'runt pool' is deprecated. Use 'runt daemon' instead.\n"
STATS = pool.PoolStats(
    uv_available=2,
    uv_warming=1,
    uv_target=3,
    conda_available=0,
    conda_warming=0,
    conda_target=3,
    conda_error=pool.PoolError(
        message="x" * 70, failed_package="numpy", consecutive_failures=4, retry_in_secs=25
    ),
)


def test_status_shows_both_pools_and_what_is_wrong(pretend: Pretend) -> None:
    pretend(lambda request: pool.Stats(STATS))
    result = run_command("pool", "status")
    assert result.stderr == WARNING
    assert (
        result.stdout
        == f"""\
UV: 2 available, 1 warming
Conda: 0 available, 0 warming
  Error: {"x" * 60}...
  Failed package: numpy
  Failed 4 times, next try in 25 s
"""
    )
    assert json.loads(run_command("pool", "status", "--json").stdout)["uv_available"] == 2


def test_take_prints_the_environment(pretend: Pretend) -> None:
    asked: list[pool.PoolRequest] = []

    def answer(request: pool.PoolRequest) -> pool.PoolResponse:
        asked.append(request)
        return pool.Env(pool.PooledEnv("conda", "/envs/one", "/envs/one/bin/python"))

    pretend(answer)
    result = run_command("pool", "take", "conda")
    assert json.loads(result.stdout) == {
        "env_type": "conda",
        "venv_path": "/envs/one",
        "python_path": "/envs/one/bin/python",
    }
    assert [type(request) for request in asked] == [pool.Take]


def test_an_empty_pool_and_an_unknown_one_are_failures(pretend: Pretend) -> None:
    pretend(lambda request: pool.Empty())
    empty = run_command("pool", "take")
    assert (empty.exit_code, empty.stderr) == (1, WARNING + "Pool empty for uv\n")
    unknown = run_command("pool", "take", "pip")
    assert unknown.exit_code == 1
    assert unknown.stderr == WARNING + "Invalid env_type: pip. Use 'uv' or 'conda'.\n"


def test_info_is_the_info_file_and_whether_the_daemon_answers(pretend: Pretend) -> None:
    pretend(lambda request: pool.Pong())
    result = run_command("pool", "info")
    assert result.exit_code == 1
    assert result.stderr == WARNING + "Daemon not running (no daemon.json found)\n"


@pytest.mark.parametrize("command", ["ping", "flush", "shutdown"])
def test_the_others_are_those_of_daemon(command: str) -> None:
    ours, theirs = run_command("pool", command, "-h"), run_command("daemon", command, "-h")
    assert ours.exit_code == theirs.exit_code == 0
    assert ours.stdout.partition("\n")[2] == theirs.stdout.partition("\n")[2]
