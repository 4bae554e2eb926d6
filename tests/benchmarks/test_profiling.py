from __future__ import annotations

from benchmarks.profiling import ImportTime, import_times, slowest_imports

TEXT = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   encodings.aliases
import time:       200 |        300 | encodings
INFO something else on stderr
import time:      1500 |       1500 | orjson
"""


def test_import_times_are_found_between_other_lines() -> None:
    assert import_times(TEXT) == [
        ImportTime(100, 100, "encodings.aliases"),
        ImportTime(200, 300, "encodings"),
        ImportTime(1500, 1500, "orjson"),
    ]


def test_the_slowest_imports_come_first() -> None:
    assert slowest_imports(TEXT, 2).splitlines() == [
        "3 imports, 1.8 ms",
        " total ms    own ms  module",
        "      1.5       1.5  orjson",
        "      0.3       0.2  encodings",
    ]
