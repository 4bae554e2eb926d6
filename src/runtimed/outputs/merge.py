"""Neighbouring stream outputs read as one.

A long stream is stored in several entries; readers put them together again. Works on resolved
outputs and changes none of them.
"""

from __future__ import annotations

from runtimed.document.ipynb_outputs import merge_streams

__all__ = ["merge_streams"]
