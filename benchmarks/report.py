"""What a run found: as a table, as JSON, as a picture.

Takes measurements and failures and knows nothing of how they came about. Matplotlib is imported
when the picture is drawn, and draws into a file only.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

from benchmarks.measure import Measurement, Sample, Verdict

__all__ = ["Failure", "Report", "number", "surroundings", "table", "to_json", "write", "write_plot"]

_HEADINGS = ("row", "unit", "ours", "p95", "theirs", "p95", "ratio", "p95 ratio", "budget", "")
_LIBRARIES = (
    "runtimed",
    "trio",
    "automerge",
    "pyzmq",
    "ipykernel",
    "jupyter_client",
    "nbclient",
)


@attrs.frozen
class Failure:
    """A row that could not be measured, and why in one line."""

    row: str
    reason: str


@attrs.frozen
class Report:
    """One run. `about` holds facts of the surroundings, see `surroundings`."""

    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...] = ()
    about: dict[str, Any] = attrs.field(factory=dict)


def surroundings(*, quick: bool) -> dict[str, Any]:
    """When, where and with which versions: what makes two reports comparable."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "quick": quick,
        "versions": versions,
    }


def number(value: float | None) -> str:
    """Three significant digits, no exponent; empty for None."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def table(report: Report) -> str:
    """The report as text: a Markdown table, then what must be known beside the numbers."""
    rows = [_HEADINGS, *map(_cells, report.measurements)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_HEADINGS))]
    lines = [_line(rows[0], widths), "|".join(["", *("-" * (w + 2) for w in widths), ""])]
    lines += [_line(row, widths) for row in rows[1:]]
    lines += ["", *_notes(report)]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, last = 0, len(cells) - 1
    padded = [
        cell.ljust(width) if n in (first, 1, last - 1, last) else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def _cells(found: Measurement) -> tuple[str, ...]:
    ours, theirs = found.ours, found.theirs
    return (
        found.name,
        found.unit,
        number(ours.median) if ours else "",
        number(ours.p95) if ours else "",
        number(theirs.median) if theirs else "",
        number(theirs.p95) if theirs else "",
        number(found.ratio()),
        number(found.ratio("p95")),
        found.budget,
        found.verdict.value,
    )


def _notes(report: Report) -> list[str]:
    lines = []
    for found in report.measurements:
        parts = [f"beside {found.against}"] if found.theirs and found.against else []
        parts += [f"reference {found.reference}"] if found.reference else []
        parts += [found.note] if found.note else []
        if parts:
            lines.append(f"- {found.name}: {'; '.join(parts)}")
    lines += [f"- {failure.row}: NOT MEASURED, {failure.reason}" for failure in report.failures]
    verdicts = [found.verdict for found in report.measurements]
    passed, missed = verdicts.count(Verdict.PASS), verdicts.count(Verdict.MISS)
    summary = f"{passed} pass, {missed} miss"
    if report.failures:
        summary += f", {len(report.failures)} not measured"
    if report.about:
        about = report.about
        summary += (
            f" (Python {about['python']}, {about['processors']} processors, "
            f"load {about['load'][0]} at the start{', quick' if about['quick'] else ''})"
        )
    return [*lines, "", summary]


def to_json(report: Report) -> dict[str, Any]:
    """Everything, with each single value, so that a later reader can compute what we did not."""
    return {
        **report.about,
        "measurements": [_measurement_json(found) for found in report.measurements],
        "failures": [attrs.asdict(failure) for failure in report.failures],
    }


def _measurement_json(found: Measurement) -> dict[str, Any]:
    return {
        "name": found.name,
        "unit": found.unit,
        "verdict": {Verdict.PASS: "pass", Verdict.MISS: "miss", Verdict.OPEN: None}[found.verdict],
        "budget": found.budget,
        "ratio": found.ratio(),
        "p95_ratio": found.ratio("p95"),
        "ours": _sample_json(found.ours),
        "theirs": _sample_json(found.theirs),
        "against": found.against,
        "reference": found.reference,
        "note": found.note,
    }


def _sample_json(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    return {
        "median": sample.median,
        "p95": sample.p95,
        "mean": sample.mean,
        "values": list(sample.values),
    }


def write(report: Report, folder: Path) -> list[Path]:
    """Put `report.md`, `report.json` and `report.png` into the folder, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    text, data = folder / "report.md", folder / "report.json"
    text.write_text(table(report), encoding="utf-8")
    data.write_text(json.dumps(to_json(report), indent=1), encoding="utf-8")
    written = [text, data]
    if any(found.ours or found.theirs for found in report.measurements):
        picture = folder / "report.png"
        write_plot(report, picture)
        written.append(picture)
    return written


def used(found: Measurement) -> float | None:
    """The share of the budget that is used up, by its tightest limit; None without one."""
    shares = [
        value / limit.at_most
        for limit in found.limits
        if (value := limit.value(found.ours, found.theirs)) is not None
    ]
    return max(shares, default=None)


def write_plot(report: Report, path: Path) -> None:
    """Left: how much of each budget is used. Right: ours and theirs, medians with p95."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    measurements = list(reversed(report.measurements))
    pairs = [found for found in measurements if found.ours and found.theirs]
    height = 1.5 + 0.38 * max(len(measurements), 1.5 * len(pairs))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(15, height), layout="constrained")

    shares = [(found.name, share) for found in measurements if (share := used(found)) is not None]
    colours = ["#2a9d5c" if share <= 1 else "#d1495b" for _, share in shares]
    left.barh([name for name, _ in shares], [share for _, share in shares], color=colours)
    left.axvline(1, color="black", linewidth=1)
    left.set_title("share of the budget used (tightest limit; 1 = all of it)")
    left.margins(x=0.12)
    for place, (_, share) in enumerate(shares):
        left.text(share, place, f" {number(share)}", va="center", fontsize=8)

    # Points, not bars: on a logarithmic axis the length of a bar means nothing.
    for side, offset, colour in (("ours", 0.12, "#1f6fb2"), ("theirs", -0.12, "#8a8a8a")):
        points = [
            (place + offset, sample.scaled(1000 if found.unit == "s" else 1))
            for place, found in enumerate(pairs)
            if (sample := found.ours if side == "ours" else found.theirs) is not None
        ]
        right.errorbar(
            [sample.median for _, sample in points],
            [place for place, _ in points],
            xerr=[[0] * len(points), [max(0, s.p95 - s.median) for _, s in points]],
            fmt="o",
            capsize=3,
            color=colour,
            label=side,
        )
    right.set_yticks(
        range(len(pairs)), [f"{p.name}\nbeside {p.against}" for p in pairs], fontsize=8
    )
    if pairs:
        right.set_xscale("log")
        right.legend()
        right.grid(axis="x", alpha=0.3)
    right.set_xlabel("milliseconds, logarithmic")
    right.set_title("ours and theirs: median, whisker to p95")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
