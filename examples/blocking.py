"""A blocking session: the simplest way to run code in a kernel that the daemon owns.

Run it with `python examples/blocking.py`.
"""

from __future__ import annotations

import runtimed


def main() -> None:
    with runtimed.Session(peer_label="example") as session:
        # The kernel comes from the pool; the first time ever, its environment is built first.
        session.start_kernel()

        cell_id = session.create_cell("total = sum(range(101))\nprint(total)")
        result = session.execute_cell(cell_id)
        print("stdout:", result.stdout, end="")

        # A Python exception is a result, not an exception of the API.
        failed = session.run("1 / 0")
        assert failed.error is not None
        print("error: ", failed.error.ename, "-", failed.error.evalue)

        # Outputs can be followed while the cell runs. A stream that grows comes with all its text.
        counting = session.create_cell(
            "import time\nfor n in range(3):\n    print(n, flush=True)\n    time.sleep(0.2)"
        )
        for event in session.stream_execute(counting):
            if event.output is not None:
                print("so far:", repr(event.output.text))

        for cell in session.get_cells():
            print(f"[{cell.execution_count}] {cell.source.splitlines()[0]}")


if __name__ == "__main__":
    main()
