"""Agents that come with the runtime, each a handler in a module of its own.

`runt agent serve --agent NAME` runs them; a handler of one's own needs nothing of this.
"""
