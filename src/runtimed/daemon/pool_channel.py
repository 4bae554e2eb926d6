"""The pool channel: environments, rooms and the daemon itself, one response a request; and its
subscription, which pushes the state of the pools."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from runtimed.daemon.link import Link
from runtimed.environments.environment import Environment, Kind
from runtimed.environments.pool import Pool
from runtimed.errors import RemoteProtocolError, RuntimedError
from runtimed.kernels.kernels import Kernels
from runtimed.protocol import events, pool
from runtimed.rooms.rooms import Rooms

__all__ = ["PoolService", "serve_pool", "serve_pool_state"]

log = logging.getLogger(__name__)


@attrs.frozen
class PoolService:
    """What the pool channel reaches."""

    pools: Mapping[Kind, Pool]
    kernels: Kernels
    rooms: Rooms
    shutdown: trio.Event
    #: Environments that clients have taken, by path. Only these can be returned.
    lent: dict[str, Environment] = attrs.field(factory=dict)

    def take_back(self, path: str) -> None:
        """Throw away what a client returns: it may have been used. Other paths are none of ours."""
        environment = self.lent.pop(path, None)
        if environment is not None:
            self.pools[environment.kind].discard(environment)

    def stats(self) -> pool.PoolStats:
        uv, conda = self.pools["uv"].status(), self.pools["conda"].status()
        return pool.PoolStats(
            uv_available=uv.available,
            uv_warming=uv.warming,
            uv_target=uv.target,
            conda_available=conda.available,
            conda_warming=conda.warming,
            conda_target=conda.target,
            uv_error=self.error("uv"),
            conda_error=self.error("conda"),
            uv_warm_kernels=self.kernels.warm_count,
            uv_warm_kernels_target=self.kernels.warm_target,
        )

    def state(self) -> pool.PoolState:
        return pool.PoolState(uv_error=self.error("uv"), conda_error=self.error("conda"))

    def error(self, kind: Kind) -> pool.PoolError | None:
        error = self.pools[kind].status().error
        if error is None:
            return None
        return pool.PoolError(
            message=error.message,
            failed_package=error.failed_package,
            consecutive_failures=error.consecutive_failures,
            retry_in_secs=int(error.retry_in_secs),
        )

    async def flush(self) -> None:
        """Replace every environment that waits in a pool, and the kernels that wait in some."""
        async with trio.open_nursery() as nursery:
            for each in self.pools.values():
                nursery.start_soon(each.flush)
        await self.kernels.flush()


async def serve_pool(link: Link, service: PoolService) -> None:
    """Answer requests until the client closes or the daemon is asked to stop."""
    while True:
        event = await link.next_event()
        if isinstance(event, events.Closed):
            return
        if isinstance(event, events.UnknownRequest):
            await link.send(events.PoolResponse(pool.Error(message=event.error), event.id))
            continue
        assert isinstance(event, events.PoolRequest)
        try:
            response = await _answer(service, event.request)
        except RuntimedError as error:
            response = pool.Error(message=str(error))
        except Exception as error:
            log.exception("pool request failed request=%r", event.request)
            response = pool.Error(message=f"Internal error: {type(error).__name__}: {error}")
        await link.send(events.PoolResponse(response, event.id))
        if isinstance(event.request, pool.Shutdown):
            service.shutdown.set()


async def _answer(service: PoolService, request: Any) -> Any:
    if isinstance(request, pool.Ping):
        return pool.Pong()
    if isinstance(request, pool.Status):
        return pool.Stats(stats=service.stats())
    if isinstance(request, pool.ListRooms):
        return pool.RoomsList(service.rooms.list_rooms(), service.kernels.list_warm())
    if isinstance(request, pool.Take):
        return _take(service, request)
    if isinstance(request, pool.Return):
        service.take_back(request.env.venv_path)
        return pool.Returned()
    if isinstance(request, pool.FlushPool):
        await service.flush()
        return pool.Flushed()
    if isinstance(request, pool.InspectNotebook):
        from runtimed.rooms.inspect import inspect_notebook

        return await inspect_notebook(service.rooms, request.notebook_id)
    if isinstance(request, pool.ShutdownNotebook):
        found = await service.rooms.shutdown_notebook(request.notebook_id)
        return pool.NotebookShutdown(found=found)
    if isinstance(request, pool.InterruptNotebook):
        return service.rooms.interrupt_notebook(request.notebook_id)
    if isinstance(request, pool.Shutdown):
        return pool.ShuttingDown()
    return pool.Error(message=f"{type(request).__name__} is not available in this version")


def _take(service: PoolService, request: pool.Take) -> Any:
    """Hand out an environment that is ready; a miss is answered at once, as the protocol has it."""
    chosen = service.pools.get(request.env_type)
    environment = chosen.take_nowait() if chosen is not None else None
    if environment is None:
        return pool.Empty()
    service.lent[str(environment.path)] = environment
    return pool.Env(
        env=pool.PooledEnv(
            env_type=environment.kind,
            venv_path=str(environment.path),
            python_path=str(environment.python),
        )
    )


async def serve_pool_state(link: Link, service: PoolService) -> None:
    """Push the state of the pools: now, and after each change. Returns when the client closes."""
    fault: RemoteProtocolError | None = None
    changed = trio.Event()

    async def push() -> None:
        nonlocal changed
        last: pool.PoolState | None = None
        while True:
            changed = trio.Event()
            if (state := service.state()) != last:
                await link.send(state)
                last = state
            await changed.wait()

    async def watch(watched: Pool) -> None:
        seen = 0
        while True:
            seen = await watched.wait_changed(seen)
            changed.set()

    async with trio.open_nursery() as subscription:
        subscription.start_soon(push)
        for each in service.pools.values():
            subscription.start_soon(watch, each)
        try:
            while not isinstance(await link.next_event(), events.Closed):
                pass  # nothing is expected from a subscriber, but its end
        except RemoteProtocolError as error:
            fault = error
        subscription.cancel_scope.cancel()
    if fault is not None:  # not from inside the nursery, which would make a group of it
        raise fault
