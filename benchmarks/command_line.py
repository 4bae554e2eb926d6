"""What a look through `runt` costs, as processes."""

from __future__ import annotations

import subprocess
from functools import partial

from benchmarks.daemon import command
from benchmarks.measure import Limit, Measurement, clocked, interleave
from benchmarks.row import Bench, Row
from runtimed import Session

COMMANDS = (("ps",), ("notebooks",), ("daemon", "status", "--json"))


def runt_ps(bench: Bench) -> list[Measurement]:
    """Wall time of each command with one notebook and its kernel to show."""
    runt = command("runt")

    def run(arguments: tuple[str, ...]) -> float:
        return clocked(
            lambda: subprocess.run([runt, *arguments], check=True, stdout=subprocess.PIPE)
        )

    with Session() as session:
        session.start_kernel()
        bench.daemon.wait_warm()
        samples = interleave(
            [partial(run, arguments) for arguments in COMMANDS],
            bench.rounds(20, 5),
        )
    return [
        Measurement(
            name=f"runt {' '.join(arguments)}",
            unit="s",
            ours=sample,
            limits=(Limit(0.25),),
        )
        for arguments, sample in zip(COMMANDS, samples, strict=True)
    ]


ROWS = (Row("runt-ps", "runt ps, notebooks, daemon status", runt_ps, alone=True),)
