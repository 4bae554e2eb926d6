"""Who else is in the notebook and where, and where others see this peer."""

from __future__ import annotations

from runtimed.client.arguments import as_position, as_text
from runtimed.client.membership import Membership
from runtimed.client.portal import on_trio
from runtimed.protocol.presence import Cursor, Selection

__all__ = ["PresenceCalls"]


class PresenceCalls(Membership):
    """The part of a session that is about presence.

    Other peers hear of a session when it connects. Afterwards its cursor follows what it edits and
    runs, and goes where it is set.
    """

    @on_trio
    async def set_cursor(self, cell_id: str, line: int, column: int) -> None:
        """Show others a cursor of this peer. Lines and columns count from 0, in characters.

        Whether there is such a cell isn't checked.
        Raises: RuntimedError for a cell id too long to be announced.
        """
        link = self._linked()
        link.announcer.say(
            Cursor(
                as_text("cell_id", cell_id),
                as_position("line", line),
                as_position("column", column),
            )
        )
        link.announce()

    @on_trio
    async def set_selection(
        self, cell_id: str, anchor_line: int, anchor_col: int, head_line: int, head_col: int
    ) -> None:
        """Show others a selection of this peer; the head is its end that moves."""
        link = self._linked()
        link.announcer.say(
            Selection(
                as_text("cell_id", cell_id),
                as_position("anchor_line", anchor_line),
                as_position("anchor_col", anchor_col),
                as_position("head_line", head_line),
                as_position("head_col", head_col),
            )
        )
        link.announce()

    @on_trio
    async def get_peers(self) -> list[tuple[str, str]]:
        """Id and label of the other peers that have announced something, sorted by id."""
        return (await self._reading()).peers.labels()

    @on_trio
    async def get_remote_cursors(self) -> list[tuple[str, str, str, int, int]]:
        """Id, label, cell, line and column of the other peers' cursors, sorted by id."""
        return (await self._reading()).peers.cursors()
