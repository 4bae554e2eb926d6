from __future__ import annotations

import subprocess
from pathlib import Path

import attrs
import orjson
import pytest

from runtimed.kernels.registry import KernelRegistry, record_process
from waiting import wait_until

pytestmark = pytest.mark.real


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def test_an_orphan_of_an_earlier_daemon_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    with sleeper() as process:
        KernelRegistry(path).add("k", record_process(process.pid))
        assert KernelRegistry(path).reap_orphans() == 1
        assert process.wait(30) == -9
    assert not path.exists()


def test_a_process_that_got_the_id_later_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    with sleeper() as process:
        try:
            record = attrs.evolve(record_process(process.pid), started="12345")
            KernelRegistry(path).add("k", record)
            assert KernelRegistry(path).reap_orphans() == 0
            assert process.poll() is None
        finally:
            process.kill()


def test_a_record_from_before_a_reboot_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    with sleeper() as process:
        try:
            KernelRegistry(path).add("k", attrs.evolve(record_process(process.pid), boot="old"))
            assert KernelRegistry(path).reap_orphans() == 0
            assert process.poll() is None
        finally:
            process.kill()


def test_children_of_a_dead_kernel_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    with subprocess.Popen(
        ["sh", "-c", "sleep 1000 & echo $!; read line"],
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        KernelRegistry(path).add("k", record_process(process.pid))
        process.kill()
        process.wait(30)
        assert KernelRegistry(path).reap_orphans() == 1
        process.stdout.close()
    wait_until(lambda: _ended(child))  # a signal takes effect some time after it was sent


def _ended(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kernels": {"k": {"pgid": 5}}}'])
def test_a_damaged_registry_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kernels.json"
    path.write_bytes(content)
    assert KernelRegistry(path).reap_orphans() == 0


def test_the_file_lists_what_runs_and_goes_with_the_last(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    registry = KernelRegistry(path)
    registry.add("a", record_process(1))
    registry.add("b", record_process(1))
    registry.remove("a")
    assert set(orjson.loads(path.read_bytes())["kernels"]) == {"b"}
    registry.remove("b")
    assert not path.exists()
