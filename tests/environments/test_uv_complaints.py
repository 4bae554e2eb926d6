"""What uv says, and what we say to it."""

from __future__ import annotations

import pytest

from runtimed.environments.uv_complaints import with_remedy


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Because nump was not found in the package registry and you", "Check the name"),
        ("there is no version of toolz==99 and you require", "a version that exists"),
        ("you require numpy<2 and numpy>=2, we can conclude unsatisfiable", "exclude each other"),
        ("error sending request for url (http://x/)\n tcp connect error", "can't be reached"),
        ("Failed to fetch: `http://x`\n operation timed out", "can't be reached"),
        ("failed to write: No space left on device (os error 28)", "`runt env clean`"),
        ("Failed to build `thing==1.0`", "has no wheel"),
        ("failed to write: File too large (os error 27)", "ulimit -f"),
        ("Resolved 3 packages\nit was killed (SIGKILL)", "want of memory"),
        ("Network connectivity is disabled, and the data wasn't cached", "UV_OFFLINE"),
        ("hint: pre-releases are available for thing", "Allow pre-releases"),
    ],
)
def test_each_complaint_comes_with_what_to_do(said: str, remedy: str) -> None:
    text = with_remedy(said)
    first, last = text.rsplit("\n", 1)
    assert first == said
    assert remedy in last


def test_other_complaints_are_passed_on_without_the_noise() -> None:
    assert with_remedy("Using Python 3.11.7 environment at: .\nerror: odd") == "error: odd"
