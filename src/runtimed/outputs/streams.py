"""The text of one stream output, as a terminal would show it.

Text without control codes is kept byte for byte and costs an append. Carriage returns, backspaces
and cursor movements act on the last lines only; whatever is above them is finished text.
"""

from __future__ import annotations

from runtimed.outputs.terminal import CONTROL, HEIGHT, Screen, complete_length
from runtimed.outputs.text_styles import PLAIN, Style, style_after, transition

__all__ = ["StreamText"]

_KEPT = 64 * 1024  # what stays reachable for the cursor when finished text is taken away
_LONGEST_LINE = 4 * 1024 * 1024  # a line beyond is taken away unfinished


class StreamText:
    """Text that grows by `append`; `text` is what it looks like now.

    How the text is cut into appends never matters: sequences may be split anywhere. The cost of an
    append is that of the new text, whatever was there before.
    """

    def __init__(self) -> None:
        # Finished text, then the screen's lines, then a tail that is kept as it came. The cursor is
        # at the end of the tail; while it is on the screen instead, there is no tail.
        self._done: list[str] = []
        self._done_size = 0
        self._done_style: Style = PLAIN
        self._screen = Screen()
        self._on_screen = False
        self._tail: list[str] = []
        self._tail_size = 0
        self._tail_style: Style = PLAIN
        self._pending = ""

    @property
    def text(self) -> str:
        """All the text, without what `take_finished` has taken."""
        self._done = ["".join(self._done)]
        screen, style = self._screen.render(self._done_style)
        if self._on_screen:
            return self._done[0] + screen
        self._tail = ["".join(self._tail)]
        parts = [self._done[0], screen]
        if self._tail_size:
            parts += (transition(style, self._tail_style), self._tail[0])
        if self._pending != "\r":
            parts.append(self._pending)
        return "".join([part for part in parts if part])  # a single part is not copied

    @property
    def size(self) -> int:
        """About how many characters `text` has."""
        return self._done_size + self._tail_size + sum(line.size for line in self._screen.lines)

    def append(self, text: str) -> None:
        """Write to the stream."""
        if self._pending:
            text, self._pending = self._pending + text, ""
        if "\r" not in text and "\x08" not in text and "\x1b" not in text:
            if not self._on_screen:
                self._add_to_tail(text)
                return
        elif (length := complete_length(text)) < len(text):
            text, self._pending = text[:length], text[length:]
        at = 0
        while at < len(text):
            if not self._on_screen:
                control = CONTROL.search(text, at)
                stop = control.start() if control else len(text)
                self._add_to_tail(text[at:stop])
                if control is None:
                    return
                at = stop
                self._tail_to_screen()
            at, new_line = self._screen.feed(text, at)
            if new_line:
                self._on_screen = False
                self._tail_style = self._screen.style
                self._shed(len(self._screen.lines) - HEIGHT + 1)

    def take_finished(self, *, everything: bool = False) -> str:
        """Take away text that is no longer going to change, and return it.

        Ends at a line end where possible and leaves the last lines, which the cursor may reach;
        with `everything` it takes what there is. Style and half-received sequences carry on in what
        comes later. Returns an empty text if nothing can be taken yet.
        """
        if self._on_screen:
            if everything or (not self._done and self.size > _LONGEST_LINE):
                text, self._done_style = self._screen.render(self._done_style)
                self._add_to_done(text)
                self._screen.shed(len(self._screen.lines), PLAIN)
                self._on_screen = False
                self._tail_style = self._screen.style
        else:
            tail = "".join(self._tail)
            cut = len(tail) if everything else _line_end(tail)
            if not cut and not self._done and len(tail) > _LONGEST_LINE:
                cut = len(tail)
            if cut or everything:
                self._tail_to_done(tail, cut)
            else:
                self._tail = [tail]
        finished = "".join(self._done)
        self._done = []
        self._done_size = 0
        return finished

    def _add_to_tail(self, text: str) -> None:
        if text:
            self._tail.append(text)
            self._tail_size += len(text)

    def _tail_to_screen(self) -> None:
        tail = "".join(self._tail)
        cut = _reachable(tail)
        if cut:
            self._tail_to_done(tail, cut)
            tail = tail[cut:]
        self._tail = []
        self._tail_size = 0
        self._screen.append(tail, self._tail_style)
        self._shed(len(self._screen.lines) - HEIGHT)
        self._on_screen = True

    def _tail_to_done(self, tail: str, cut: int) -> None:
        """Finish all lines of the screen and the first `cut` characters of the tail."""
        self._shed(len(self._screen.lines))
        finished = tail if cut == len(tail) else tail[:cut]
        if finished:
            self._add_to_done(transition(self._done_style, self._tail_style))
            self._add_to_done(finished)
            self._done_style = self._tail_style = style_after(self._tail_style, finished)
        self._tail = [tail[cut:]]
        self._tail_size = len(tail) - cut

    def _shed(self, count: int) -> None:
        if count > 0:
            text, self._done_style = self._screen.shed(count, self._done_style)
            self._add_to_done(text)

    def _add_to_done(self, text: str) -> None:
        if text:
            self._done.append(text)
            self._done_size += len(text)


def _reachable(text: str) -> int:
    """Where the last HEIGHT lines begin."""
    at = len(text)
    for _ in range(HEIGHT):
        at = text.rfind("\n", 0, at)
        if at < 0:
            return 0
    return at + 1


def _line_end(text: str) -> int:
    """Where the text can be parted: behind a newline, with not too much left after it."""
    cut = text.rfind("\n") + 1
    at = len(text)
    for _ in range(HEIGHT):
        at = text.rfind("\n", max(0, len(text) - _KEPT), at)
        if at < 0:
            break
        cut = at + 1
    return cut
