"""How far downloading and linking are: calls of the installer in, progress phases out.

Called from the library's threads, so everything happens under a lock. Knows nothing of the library.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import attrs

from runtimed.protocol import progress

__all__ = ["LinkReporter"]

_INTERVAL = 0.1


@attrs.define
class _Download:
    package: str
    received: int = 0
    expected: int | None = None
    complete: bool = False


class LinkReporter:
    """What the installer calls. Downloads, and links, are told at most every 100 ms, the last one
    of each always.

    total: packages to link. sizes: bytes of those that have to be downloaded, as far as known.
    """

    def __init__(
        self,
        total: int,
        sizes: Mapping[str, int | None],
        say: Callable[[progress.Phase], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._downloads = {name: _Download(name, expected=size) for name, size in sizes.items()}
        self._links: list[str] = []
        self._linked = 0
        self._began: float | None = None
        self._told = {"download": float("-inf"), "link": float("-inf")}

    # tokens are indices into what was told to us

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        with self._lock:
            self._names.append(package_name)
            return len(self._names) - 1

    def on_download_start(self, cache_entry: int) -> int:
        """Also at each retry, which begins anew."""
        with self._lock:
            if self._began is None:
                self._began = self._clock()
            name = self._names[cache_entry]
            known = self._downloads.get(name)  # none for what was in the cache, but damaged
            self._downloads[name] = _Download(name, expected=known.expected if known else None)
            return cache_entry

    def on_download_progress(self, download_idx: int, received: int, total: int | None) -> None:
        with self._lock:
            download = self._downloads[self._names[download_idx]]
            download.received, download.expected = received, total or download.expected
            self._tell_download(download)

    def on_download_completed(self, download_idx: int) -> None:
        with self._lock:
            download = self._downloads[self._names[download_idx]]
            download.complete = True
            last = all(one.complete for one in self._downloads.values())
            self._tell_download(download, always=last)

    def on_link_start(self, operation: int, package_name: str) -> int:
        with self._lock:
            self._links.append(package_name)
            self._tell_link(package_name)
            return len(self._links) - 1

    def on_link_complete(self, index: int) -> None:
        with self._lock:
            self._linked += 1
            self._tell_link(self._links[index], always=self._linked == self._total)

    def _tell_download(self, current: _Download, *, always: bool = False) -> None:
        now = self._clock()
        if not always and now - self._told["download"] < _INTERVAL:
            return
        self._told["download"] = now
        all_of_them = self._downloads.values()
        totals = [one.expected for one in all_of_them if one.expected is not None]
        received = sum(one.received for one in all_of_them)
        took = now - (self._began or now)
        self._say(
            progress.DownloadProgress(
                completed=sum(one.complete for one in all_of_them),
                total=len(self._downloads),
                current_package=current.package,
                bytes_downloaded=received,
                bytes_total=sum(totals) if len(totals) == len(self._downloads) else None,
                bytes_per_second=received / took if took > 0 else 0.0,
            )
        )

    def _tell_link(self, package: str, *, always: bool = False) -> None:
        now = self._clock()
        if always or now - self._told["link"] >= _INTERVAL:
            self._told["link"] = now
            self._say(progress.LinkProgress(self._linked, self._total, package))
