"""The daemon under cProfile: the first argument is the file to write, the rest is the daemon's.

SIGUSR1 begins, SIGUSR2 ends and writes, so that start-up and warming stay out of the profile. Only
the thread that runs Trio is seen, by its processor time: waiting does not show.
"""

from __future__ import annotations

import cProfile
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    output = Path(sys.argv.pop(1))
    profile = cProfile.Profile(time.thread_time)

    def begin(*_: object) -> None:
        profile.enable()

    def end(*_: object) -> None:
        profile.disable()
        unfinished = output.with_suffix(".part")
        profile.dump_stats(unfinished)
        unfinished.rename(output)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    # A script's own folder comes first on the path, and ours has names like `document`.
    sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]
    sys.argv[0] = "runtimed"

    from runtimed.daemon.main import main as run

    run()


if __name__ == "__main__":
    main()
