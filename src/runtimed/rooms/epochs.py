"""The epochs of one room: when its document's history begins anew, and who follows.

An epoch is the life of one document object. The next one has the same content and no past; see
docs/long-lives.md for the whole story.
"""

from __future__ import annotations

import logging

import trio

from runtimed.document.actors import daemon_actor
from runtimed.document.fresh_copy import FreshCopy
from runtimed.document.history import HistoryBounds
from runtimed.document.notebook import NotebookDocument

__all__ = ["begun_anew"]

log = logging.getLogger(__name__)


async def begun_anew(document: NotebookDocument, bounds: HistoryBounds) -> NotebookDocument:
    """A document just loaded, or a fresh copy if its history is too long for its content."""
    if document.changes <= bounds.fewest // 4:
        return document
    if document.changes <= bounds.at_opening(document.extent):
        return document
    copy = FreshCopy(document, daemon_actor())
    for _ in copy.steps():
        await trio.lowlevel.checkpoint()
    fresh = copy.finished()
    log.info(
        "history begun anew at opening notebook=%s changes=%d now=%d",
        document.notebook_id,
        document.changes,
        fresh.changes,
    )
    return fresh
