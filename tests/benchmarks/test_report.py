from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.measure import Limit, Measurement, Sample
from benchmarks.report import Failure, Report, number, surroundings, table, to_json, used, write

FAST = Measurement(
    "one-plus-one",
    "ms",
    ours=Sample([4, 5, 6]),
    theirs=Sample([5, 5, 5]),
    against="execute_interactive",
    limits=(Limit(1.25, ratio=True),),
    reference="194 / 381 ms",
)
SLOW = Measurement("daemon-start", "s", ours=Sample([0.5]), limits=(Limit(0.35),), note="cold")
ABOUT = {"python": "3.11.7", "processors": 2, "load": [0.1, 0.2, 0.3], "quick": True}


def test_the_table_shows_figures_budgets_and_verdicts() -> None:
    report = Report((FAST, SLOW), (Failure("runt-ps", "no runt"),), ABOUT)
    assert table(report) == (
        "| row          | unit |  ours |   p95 | theirs |  p95 | ratio | p95 ratio "
        "| budget    |      |\n"
        "|--------------|------|-------|-------|--------|------|-------|-----------"
        "|-----------|------|\n"
        "| one-plus-one | ms   |  5.00 |  5.90 |   5.00 | 5.00 |  1.00 |      1.18 "
        "| <= 1.25 x | pass |\n"
        "| daemon-start | s    | 0.500 | 0.500 |        |      |       |           "
        "| <= 0.35 s | MISS |\n"
        "\n"
        "- one-plus-one: beside execute_interactive; reference 194 / 381 ms\n"
        "- daemon-start: cold\n"
        "- runt-ps: NOT MEASURED, no runt\n"
        "\n"
        "1 pass, 1 miss, 1 not measured "
        "(Python 3.11.7, 2 processors, load 0.1 at the start, quick)\n"
    )


def test_an_empty_report_is_still_a_table() -> None:
    assert table(Report(())).endswith("0 pass, 0 miss\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (0.00123456, "0.00123"),
        (0.0999, "0.0999"),
        (4.567, "4.57"),
        (45.67, "45.7"),
        (1234.5, "1234"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_json_keeps_every_value() -> None:
    found = json.loads(json.dumps(to_json(Report((FAST, SLOW), about=ABOUT))))
    fast, slow = found["measurements"]
    assert fast["ours"] == {"median": 5, "p95": 5.9, "mean": 5, "values": [4, 5, 6]}
    assert (fast["verdict"], fast["ratio"], fast["budget"]) == ("pass", 1, "<= 1.25 x")
    assert (slow["verdict"], slow["theirs"], slow["ratio"]) == ("miss", None, None)
    assert found["processors"] == 2
    assert found["failures"] == []


def test_the_share_used_is_that_of_the_tightest_limit() -> None:
    found = Measurement(
        "row", "s", Sample([2]), Sample([4]), limits=(Limit(8), Limit(1, ratio=True))
    )
    assert used(found) == 0.5
    assert used(Measurement("row", "s", Sample([2]))) is None


def test_surroundings_say_what_makes_runs_comparable() -> None:
    about = surroundings(quick=False)
    assert about["quick"] is False
    assert about["processors"] >= 1
    assert "trio" in about["versions"]
    json.dumps(about)


def test_a_report_is_written_as_text_json_and_picture(tmp_path: Path) -> None:
    half = Measurement("half", "s", None, Sample([1, 2]), against="theirs")
    paths = write(Report((FAST, SLOW, half), about=ABOUT), tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["report.md", "report.json", "report.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_a_report_without_measurements_has_no_picture(tmp_path: Path) -> None:
    paths = write(Report((), (Failure("row", "reason"),), ABOUT), tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.json"]
