"""Progress of downloads and links, and the lines between daemon and worker."""

from __future__ import annotations

import pytest

from runtimed.environments.conda.channels import Channel
from runtimed.environments.conda.link_progress import LinkReporter
from runtimed.environments.conda.messages import (
    Answered,
    Done,
    Failed,
    Line,
    Order,
    from_line,
    order_from_line,
    to_line,
)
from runtimed.protocol import progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_downloads_are_told_at_most_every_100_ms_and_the_last_one_always() -> None:
    told: list[progress.Phase] = []
    clock = Clock()
    reporter = LinkReporter(2, {"big": 900, "other": 50}, told.append, clock)
    download = reporter.on_download_start(reporter.on_populate_cache_start(0, "big"))
    for received in range(0, 1000, 10):
        clock.now += 0.01
        reporter.on_download_progress(download, received, 1000)
    clock.now += 0.01
    reporter.on_download_completed(download)
    assert 9 <= len(told) <= 11
    other = reporter.on_download_start(reporter.on_populate_cache_start(1, "other"))
    reporter.on_download_progress(other, 50, 50)
    reporter.on_download_completed(other)
    last = told[-1]
    assert isinstance(last, progress.DownloadProgress)
    assert (last.completed, last.total, last.bytes_total) == (2, 2, 1050)
    assert last.bytes_per_second == pytest.approx(1040 / 1.01)


def test_a_download_that_begins_anew_counts_its_bytes_anew() -> None:
    told: list[progress.Phase] = []
    clock = Clock()
    reporter = LinkReporter(1, {"cut": None}, told.append, clock)
    entry = reporter.on_populate_cache_start(0, "cut")
    for received in (500, 200):
        clock.now += 1
        reporter.on_download_progress(reporter.on_download_start(entry), received, None)
    assert [phase.bytes_downloaded for phase in told] == [500, 200]  # type: ignore[union-attr]
    assert told[-1].total == 1  # type: ignore[union-attr]
    assert told[-1].bytes_total is None  # type: ignore[union-attr]


def test_links_are_told_with_the_last_one_complete() -> None:
    told: list[progress.Phase] = []
    reporter = LinkReporter(3, {}, told.append, Clock())
    for package in ("a", "b", "c"):
        reporter.on_link_complete(reporter.on_link_start(0, package))
    assert told == [progress.LinkProgress(0, 3, "a"), progress.LinkProgress(3, 3, "c")]


@pytest.mark.parametrize(
    "line",
    [
        progress.FetchingRepodata(channels=("a", "b")),
        progress.DownloadProgress(1, 2, "x", 10, None, 1.5),
        Answered("https://a"),
        Failed("no", "numpy"),
        Done(),
    ],
)
def test_lines_are_read_as_they_were_written(line: Line) -> None:
    assert from_line(to_line(line)) == line


@pytest.mark.parametrize("text", [b"", b"[]", b"no json", b'{"what": "unknown"}', b'{"what": 1}'])
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of the conda worker"):
        from_line(text)


def test_an_order_arrives_as_it_was_given() -> None:
    order = Order("/a", ["python >=3.9"], [Channel("conda-forge", "file:///b")], "/c")
    assert order_from_line(to_line(order)) == order


def test_what_is_to_be_downloaded_is_known_from_the_start() -> None:
    told: list[progress.Phase] = []
    reporter = LinkReporter(3, {"a": 10, "b": 20}, told.append, Clock())
    download = reporter.on_download_start(reporter.on_populate_cache_start(0, "a"))
    reporter.on_download_progress(download, 5, 10)
    assert told == [progress.DownloadProgress(0, 2, "a", 5, 30, 0.0)]
