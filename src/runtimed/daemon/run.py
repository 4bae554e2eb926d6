"""Running the daemon: what starts after what, and what ends before what, is the nesting here."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any

import trio

from runtimed import __version__
from runtimed.blobs.collector import BlobCollector
from runtimed.blobs.server import BlobServer
from runtimed.blobs.store import BlobStore
from runtimed.daemon.config import Config, prepare_directories
from runtimed.daemon.greeting import Greeting
from runtimed.daemon.pool_channel import PoolService
from runtimed.daemon.pooling import make_cache, make_copies, make_pools, run_pools
from runtimed.daemon.server import ConnectionHandler, listening_socket, serve_unix
from runtimed.daemon.singleton import (
    DaemonInfo,
    hold_lock,
    now_text,
    record_workspace,
    write_info,
)
from runtimed.daemon.stopping import Stopping
from runtimed.environments.trust.files import TrustFiles
from runtimed.kernels.kernels import Kernels
from runtimed.kernels.preparation import Preparation
from runtimed.kernels.registry import KernelRegistry
from runtimed.paths import settings_folder
from runtimed.rooms.config import RoomConfig
from runtimed.rooms.rooms import Rooms
from runtimed.settings.store import SettingsStore

__all__ = ["run"]

log = logging.getLogger(__name__)

#: What the first kernel and the first notebook need, and answering does not.
_LATER = (
    "runtimed.kernels.kernel",
    "runtimed.kernels.launch",
    "runtimed.environments.uv_packages",
    "runtimed.daemon.notebook_channel",
)


async def run(
    config: Config, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run the daemon. Started with its socket path; returns after a shutdown request or a signal.

    Stop order, inside out: connections, rooms (they save), kernels, pool, blobs (they reach the
    disk), settings, then socket, info file and lock.
    Raises: AnotherDaemonRunning, StateDirectoryUnusable.
    """
    paths = config.paths
    stopping = Stopping()
    prepare_directories(config)
    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        hold_lock(paths.lock, paths.info),
        listening_socket(paths.socket) as listener,
    ):
        async with trio.open_nursery() as watching:
            watching.start_soon(stopping.ask_on_signal, signals)
            with stopping.starting:
                await _serve(config, listener, stopping, task_status)
            log.info("daemon ended pid=%d", os.getpid())
            watching.cancel_scope.cancel()


async def _serve(
    config: Config,
    listener: trio.SocketListener,
    stopping: Stopping,
    task_status: trio.TaskStatus[str],
) -> None:
    """Everything that lies inside socket and lock. Returns after an end was asked for."""
    paths = config.paths
    store = BlobStore(config.blobs)
    settings = SettingsStore(paths.settings, settings_folder())
    pools = make_pools(config, settings)
    cache = make_cache(config, settings)
    copies = make_copies(cache)
    kernels = Kernels(
        connections=paths.connections,
        registry=KernelRegistry(paths.kernel_registry),
        preparation=Preparation(pools, cache, copies),
        pool=pools["uv"],
        warm_target=config.warm_kernels,
    )
    rooms = Rooms(
        RoomConfig(
            paths.documents,
            config.notebooks,
            config.keep_alive,
            lambda: settings.current,
            trust=TrustFiles.of_user(),
        ),
        store,
        kernels,
    )
    blob_server = BlobServer(store)
    async with (
        _serving(settings.run),
        _serving(store.run),
        _serving(blob_server.run) as blob_port,
        _serving(partial(run_pools, pools, settings, kernels.flush)),
        _serving(cache.run),
        _serving(copies.run),
        _serving(kernels.run),
        _serving(rooms.run),
        _collecting(config, store, rooms),
        trio.open_nursery() as edges,
    ):
        service = PoolService(pools, kernels, rooms, stopping.asked)
        greeting = Greeting(__version__, blob_port, str(config.blobs), lambda: settings.current)
        handler = ConnectionHandler(service, store, greeting, settings)
        await edges.start(partial(serve_unix, listener, handler))
        info = _info(config, blob_port)
        if info.worktree_path is not None:
            record_workspace(paths.workspace_record, info)
            log.info(
                "development mode worktree=%s description=%s log=%s",
                info.worktree_path,
                info.workspace_description or "-",
                paths.log,
            )
        with write_info(paths.info, info):
            log.info("daemon ready pid=%d socket=%s", os.getpid(), paths.socket)
            edges.start_soon(_load_the_rest, settings)
            stopping.ready()
            task_status.started(str(paths.socket))
            await stopping.asked.wait()
        log.info("daemon stopping pid=%d", os.getpid())
        edges.cancel_scope.cancel()


@asynccontextmanager
async def _serving(service: Any) -> AsyncIterator[Any]:
    """Run a service for the length of the block: what is inside ends before it does."""
    async with trio.open_nursery() as nursery:
        yield await nursery.start(service)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _collecting(config: Config, store: BlobStore, rooms: Rooms) -> AsyncIterator[None]:
    """Collect blobs for the length of the block, where no other daemon can refer to them."""
    if not config.owns_blobs:
        log.info("blobs are not collected, the folder may be shared path=%s", config.blobs)
        yield
        return
    paths = config.paths
    collector = BlobCollector(
        store, paths.documents, paths.blob_marks, rooms.mentioned_blobs, config.blob_grace
    )
    async with _serving(collector.run):
        yield


async def _load_the_rest(settings: SettingsStore) -> None:
    """Load what notebooks need and the first answers do not, as long as nobody waits for it.

    In threads, so that connections are served meanwhile; the first notebook finds it done.
    """
    for module in _LATER:
        await trio.to_thread.run_sync(import_module, module, abandon_on_cancel=True)
    await settings.wait_loaded()
    gc.freeze()  # what start-up made stays: no collection need look at it again


def _info(config: Config, blob_port: int) -> DaemonInfo:
    workspace = config.paths.workspace
    description = os.environ.get("RUNTIMED_WORKSPACE_NAME", "").strip()
    if workspace is not None and not description:
        try:
            text = (workspace / ".context" / "workspace-description").read_text()
            description = text.strip()
        except (OSError, ValueError):
            pass
    return DaemonInfo(
        endpoint=str(config.paths.socket),
        pid=os.getpid(),
        version=__version__,
        started_at=now_text(),
        blob_port=blob_port,
        worktree_path=str(workspace) if workspace else None,
        workspace_description=(description or None) if workspace else None,
    )
