"""The pools of a daemon: made from its configuration, and kept as the user's settings say."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping

import trio

from runtimed.daemon.config import Config
from runtimed.document.settings_values import Settings
from runtimed.environments.cache import EnvironmentCache, Limits, Maker
from runtimed.environments.conda.builder import CondaBuilder
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.environment import Kind
from runtimed.environments.own_copies import OwnCopies
from runtimed.environments.pool import Pool
from runtimed.environments.uv_builder import UvBuilder
from runtimed.environments.wanted import NO_PACKAGES, CondaPackages, UvPackages
from runtimed.settings.store import SettingsStore

__all__ = ["channel_map", "make_cache", "make_copies", "make_pools", "run_pools"]


def make_pools(config: Config, settings: SettingsStore) -> dict[Kind, Pool]:
    """A pool of each kind; that of conda sleeps until somebody wants one of its environments."""
    conda = CondaBuilder(config.envs, channels=lambda: channel_map(settings.current))
    return {
        "uv": Pool("uv", config.envs, config.uv_pool_size, UvBuilder(config.envs)),
        "conda": Pool("conda", config.envs, config.conda_pool_size, conda, dormant=True),
    }


def make_cache(config: Config, settings: SettingsStore) -> EnvironmentCache:
    """The cache of environments for what notebooks list."""

    # What makes them is imported with the first: the daemon answers before that.
    def uv() -> Maker:
        from runtimed.environments.uv_packages import UvPackagesMaker

        return UvPackagesMaker()

    def conda() -> Maker:
        from runtimed.environments.conda.cached import CondaPackagesMaker

        return CondaPackagesMaker(channels=lambda: channel_map(settings.current))

    makers = {UvPackages: uv, CondaPackages: conda}
    return EnvironmentCache(config.cached_envs, makers, Limits.of(os.environ))


def make_copies(cache: EnvironmentCache) -> OwnCopies:
    """The copies that kernels get of what is in the cache."""
    return OwnCopies(cache, beginnings=(NO_PACKAGES,))


def channel_map(settings: Settings) -> ChannelMap:
    """Where conda packages come from: what the environment variables say, then the settings."""
    return ChannelMap.of(os.environ, settings.conda_channels)


async def run_pools(
    pools: Mapping[Kind, Pool],
    settings: SettingsStore,
    flushed: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the pools, whose environments have what the settings name. Runs until cancelled.

    Who takes from one before the settings are known waits for that. `flushed` is called when the
    uv pool was begun anew, for what was taken from it before.
    """

    async def flush(pool: Pool, packages: tuple[str, ...]) -> None:
        await pool.flush(packages)
        if pool.kind == "uv":
            await flushed()

    async with trio.open_nursery() as nursery:
        task_status.started()
        await settings.wait_loaded()
        current = settings.current
        for pool in pools.values():
            pool.packages = _packages(pool.kind, current)
            nursery.start_soon(pool.run)
        while True:
            if current.default_python_env == "conda":
                pools["conda"].wake()
            before, current = current, await settings.wait_changed(current)
            for pool in pools.values():
                if _recipe(pool.kind, current) != _recipe(pool.kind, before):
                    nursery.start_soon(flush, pool, _packages(pool.kind, current))


def _packages(kind: Kind, settings: Settings) -> tuple[str, ...]:
    return settings.uv_packages if kind == "uv" else settings.conda_packages


def _recipe(kind: Kind, settings: Settings) -> object:
    channels = settings.conda_channels if kind == "conda" else ()
    return _packages(kind, settings), channels
