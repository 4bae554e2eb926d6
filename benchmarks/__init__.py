"""What runtimed costs, beside jupyter_client and nbclient in the same run: `python -m benchmarks`.

Every row does the same work on both sides, in turns, so that a busy machine slows both alike. Only
the public names of `runtimed` are used, as a user's script would use them.
"""
