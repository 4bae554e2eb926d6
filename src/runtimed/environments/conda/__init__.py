"""Conda environments: which channels, what to solve for, and the process that solves and links."""
