"""Checks of the rows in docs/environments.md, a module for each kind of file."""
