"""Two processes share one notebook: its cells, its kernel, its results.

Run it with `python examples/shared_notebook.py`; it starts the second process itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

import runtimed


def first(notebook_id: str) -> None:
    """Defines x, lets the second process work, and reads what that has left in the notebook."""
    with runtimed.Session(notebook_id=notebook_id, peer_label="first") as session:
        session.start_kernel()
        session.run("x = 42")
        subprocess.run([sys.executable, __file__, notebook_id], check=True)
        for cell in session.get_cells():
            for output in cell.outputs:
                print(f"first sees the output of {cell.source!r}: {output.text!r}")


def second(notebook_id: str) -> None:
    """Uses the kernel that the first process has started."""
    with runtimed.Session(notebook_id=notebook_id, peer_label="second") as session:
        session.connect()
        session.start_kernel()  # finds the one that runs
        print("second sees the cells", [cell.source for cell in session.get_cells()])
        session.run("print(x)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        second(sys.argv[1])
    else:
        first(f"shared-example-{os.getpid()}")
