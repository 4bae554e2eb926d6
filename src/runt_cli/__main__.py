"""`python -m runt_cli` is `runt`."""

from __future__ import annotations

from runt_cli import main

main()
