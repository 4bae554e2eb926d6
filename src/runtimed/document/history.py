"""When a document's history has become too long for what the document contains. Pure numbers.

A change costs about 8 kB of memory at the daemon and as much at each peer, makes each exchange of
edits some 1 us slower and each joining some 50 us. Making a document anew costs some 10 us for each
character, here and at each peer.
"""

from __future__ import annotations

import attrs

__all__ = ["HistoryBounds"]


@attrs.frozen
class HistoryBounds:
    """Bounds in changes, for a content of so many operations (mostly characters).

    `fewest`: a history of fewer changes is never too long.
    `operations`: so many operations of content take as much memory as one change, so beyond this
    proportion most of the memory is history; and renewing costs less than a change did.
    `hurry`, `far`: times the bound.
    """

    fewest: int = 2000
    operations: int = 16
    hurry: int = 2
    far: int = 25

    def at_rest(self, extent: int) -> int:
        """Beyond it the history begins anew in the next quiet moment."""
        return max(self.fewest, extent // self.operations)

    def at_opening(self, extent: int) -> int:
        """Beyond it the history begins anew before anybody has joined."""
        return self.at_rest(extent) // 4

    def in_a_hurry(self, extent: int) -> int:
        """Beyond it the history begins anew as soon as all peers can follow."""
        return self.at_rest(extent) * self.hurry

    def at_last(self, extent: int) -> int:
        """Beyond it peers that can't follow are sent away."""
        return self.at_rest(extent) * self.far
