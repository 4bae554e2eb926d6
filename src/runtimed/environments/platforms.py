"""The names that conda and pixi have for platforms. Pure: what the system says is an argument."""

from __future__ import annotations

__all__ = ["conda_platform", "target_selectors"]

_SYSTEMS = {"linux": "linux", "darwin": "osx", "win32": "win"}
_MACHINES = {
    ("linux", "x86_64"): "64",
    ("linux", "amd64"): "64",
    ("linux", "aarch64"): "aarch64",
    ("linux", "arm64"): "aarch64",
    ("osx", "x86_64"): "64",
    ("osx", "arm64"): "arm64",
    ("win", "amd64"): "64",
    ("win", "x86_64"): "64",
    ("win", "arm64"): "arm64",
}


def conda_platform(system: str, machine: str) -> str:
    """Such as `linux-64`, of what `sys.platform` and `platform.machine()` say."""
    name = _SYSTEMS.get(system, system)
    return f"{name}-{_MACHINES.get((name, machine.lower()), machine.lower())}"


def target_selectors(platform: str) -> tuple[str, ...]:
    """The tables below `[target]` that hold for a platform, the most general first."""
    system = platform.partition("-")[0]
    return (system, platform) if system == "win" else ("unix", system, platform)
