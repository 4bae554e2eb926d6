"""The process that solves and links: `python -m runtimed.environments.conda.worker`.

Takes one order as a JSON line on its standard input and tells its progress in JSON lines on its
standard output, last Done or Failed. It ends at once when its input is closed, which also happens
when the daemon is killed. The solver stack is imported here and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import rattler
from rattler.exceptions import (
    DetectVirtualPackageError,
    GatewayError,
    InstallerError,
    InvalidChannelError,
    InvalidMatchSpecError,
    SolverError,
)
from rattler.networking.fetch_repo_data import CacheAction
from rattler.networking.middleware import (
    AuthenticationMiddleware,
    GCSMiddleware,
    OciMiddleware,
    S3Middleware,
)

from runtimed.environments.conda.channels import Channel, without_secrets
from runtimed.environments.conda.complaints import (
    failed_package,
    install_remedy,
    is_network_trouble,
    one_line,
    spec_name,
)
from runtimed.environments.conda.link_progress import LinkReporter
from runtimed.environments.conda.messages import (
    Answered,
    Done,
    Failed,
    Line,
    Order,
    order_from_line,
    to_line,
)
from runtimed.protocol import progress

_WAITS = (1.0, 2.0)


class _Reporter(LinkReporter, rattler.InstallerReporter):
    """With the library's empty methods for what is not told."""


class _Impossible(Exception):
    def __init__(self, message: str, package: str | None = None) -> None:
        super().__init__(message)
        self.package = package


def main() -> None:
    order = order_from_line(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_daemon, daemon=True).start()
    try:
        asyncio.run(_carry_out(order))
    except _Impossible as error:
        _say(Failed(without_secrets(str(error)), error.package))
    except OSError as error:
        _say(Failed(f"Failed to install packages: {error}"))
    else:
        _say(Done())


def _end_with_the_daemon() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def _say(line: Line) -> None:
    # one write each: the reporter speaks from the library's threads
    os.write(sys.stdout.fileno(), to_line(line))


async def _carry_out(order: Order) -> None:
    # No retries below ours for metadata; the installer has its own, three for each package.
    client = rattler.Client(
        [AuthenticationMiddleware(), OciMiddleware(), GCSMiddleware(), S3Middleware()]
    )
    specs = [_parsed(spec) for spec in order.specs]
    cache = Path(order.cache)
    channels = [_opened(channel) for channel in order.channels]
    gateway = await _fetch_metadata(order, channels, specs, client, cache)
    records = await _solve(channels, specs, gateway)
    await _install(order, records, client, cache)


def _parsed(spec: str) -> rattler.MatchSpec:
    try:
        if spec.lstrip().startswith("-"):
            raise ValueError("a package name does not begin with a dash")
        return rattler.MatchSpec(spec)
    except (InvalidMatchSpecError, ValueError) as error:
        message = f"Failed to parse match specs: {spec!r}: {one_line(str(error))}"
        raise _Impossible(message, spec_name(spec)) from error


def _opened(channel: Channel) -> rattler.Channel:
    try:
        return rattler.Channel(channel.url)
    except InvalidChannelError as error:
        message = f"Failed to parse channel {channel}: {one_line(str(error))}"
        raise _Impossible(message) from error


async def _fetch_metadata(
    order: Order,
    channels: Sequence[rattler.Channel],
    specs: Sequence[rattler.MatchSpec],
    client: rattler.Client,
    cache: Path,
) -> rattler.Gateway:
    """What the channels offer now; while the network is down, what they offered when last asked."""

    async def ask(action: CacheAction) -> tuple[rattler.Gateway, int]:
        gateway = rattler.Gateway(
            cache_dir=cache / "repodata",
            default_config=rattler.SourceConfig(cache_action=action),
            client=client,
        )
        # Each for itself first, so that it can be said which one is to blame.
        pairs = zip(order.channels, channels, strict=True)
        await asyncio.gather(*(_ask(gateway, named, opened) for named, opened in pairs))
        found = await gateway.query(channels, _platforms(), specs, recursive=True)
        return gateway, sum(len(records) for records in found)

    started = time.monotonic()
    _say(progress.FetchingRepodata(channels=tuple(channel.title for channel in order.channels)))
    trouble: Exception | None = None
    for wait in (0.0, *_WAITS):
        await asyncio.sleep(wait)
        try:
            gateway, count = await ask("cache-or-fetch")
        except (GatewayError, _Impossible) as error:
            if not is_network_trouble(str(error)):
                raise _Impossible(f"Failed to fetch package metadata: {error}") from error
            trouble = error
        else:
            break
    else:
        try:
            gateway, count = await ask("force-cache-only")
        except (GatewayError, _Impossible):
            raise _Impossible(
                f"Failed to fetch package metadata after {len(_WAITS)} retries: {trouble}. "
                "Look to the network, or name a channel that can be reached"
            ) from trouble
    _say(progress.RepodataComplete(record_count=count, elapsed_ms=_since(started)))
    return gateway


async def _ask(gateway: rattler.Gateway, named: Channel, opened: rattler.Channel) -> None:
    try:
        await gateway.names([opened], _platforms())
    except GatewayError as error:
        raise _Impossible(f"channel {named}: {one_line(str(error))}") from error
    _say(Answered(named.url))


async def _solve(
    channels: Sequence[rattler.Channel],
    specs: Sequence[rattler.MatchSpec],
    gateway: rattler.Gateway,
) -> list[rattler.RepoDataRecord]:
    started = time.monotonic()
    _say(progress.Solving(spec_count=len(specs)))
    try:
        overrides = rattler.VirtualPackageOverrides.from_env()
        virtual = rattler.VirtualPackage.detect(overrides)
    except DetectVirtualPackageError as error:
        raise _Impossible(f"Failed to detect virtual packages: {one_line(str(error))}") from error
    try:
        records = await rattler.solve(
            channels, specs, gateway, _platforms(), virtual_packages=virtual
        )
    except (SolverError, GatewayError) as error:
        message = str(error).strip()
        raise _Impossible(
            f"Failed to solve dependencies: {message}", failed_package(message)
        ) from error
    _say(progress.SolveComplete(package_count=len(records), elapsed_ms=_since(started)))
    return records


async def _install(
    order: Order,
    records: list[rattler.RepoDataRecord],
    client: rattler.Client,
    cache: Path,
) -> None:
    started = time.monotonic()
    _say(progress.Installing(total=len(records)))
    cached = await rattler.PackageCache(cache / "pkgs").index()
    missing = [record for record in records if not cached.contains_record(record)]
    sizes = {record.name.normalized: record.size for record in missing}
    try:
        await rattler.install(
            records,
            order.prefix,
            cache_dir=cache / "pkgs",
            installed_packages=[],
            execute_link_scripts=False,
            show_progress=False,
            client=client,
            reporter=_Reporter(len(records), sizes, _say),  # type: ignore[abstract]
        )
    except InstallerError as error:
        message = one_line(str(error))
        place = f"the disk of {order.prefix} and of the package cache"
        raise _Impossible(
            f"Failed to install packages: {message}{install_remedy(message, place)}",
            failed_package(message),
        ) from error
    _say(progress.InstallComplete(elapsed_ms=_since(started)))


def _platforms() -> list[rattler.Subdir]:
    return [rattler.Subdir.current(), rattler.Subdir("noarch")]


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


if __name__ == "__main__":
    main()
