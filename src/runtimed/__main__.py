"""`python -m runtimed` is the `runtimed` executable."""

from runtimed.daemon.main import main

main()
