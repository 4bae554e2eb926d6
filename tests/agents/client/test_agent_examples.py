"""The client's example, run as a reader would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

EXAMPLE = Path(__file__).parents[3] / "examples" / "agents_client.py"


def test_the_example_runs() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "agent says: Counting 5 words.",
        "answer: TextResult(text='5 words', type='text')",
        "answer: StructuredOutputResult(structured_output={'words': 2}, type='structured_output')",
        "stdout: noted",
        "uploaded: /notes.txt b'noted\\n'",
        "exit codes: [3]",
        "Query was cancelled",
    ]
