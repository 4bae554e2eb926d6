"""Whether what a room's notebook asks for may be installed.

One rule: only what came with a file can taint, and only an approval clears it. A file that is
opened, or merged because another program wrote it, is judged by its signature; without a good one
the room is tainted. What peers edit in an untainted room needs no approval, and what they edit in a
tainted one gives none. A room is clear again when its content is signed by this machine's key, by
us or by a peer that has the key, or when nothing is left that would have a say in an installation.

An untainted room signs what it saves, so that its notebook is trusted when it is opened again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import trio

from runtimed.document.ipynb_metadata import unsigned
from runtimed.document.metadata import DEFAULT_RUNT
from runtimed.document.notebook import NotebookDocument
from runtimed.document.three_way import NotebookState
from runtimed.environments.trust.content import Content, signature_of
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.key import make_key, read_key
from runtimed.environments.trust.projects import approve_project, is_project_approved
from runtimed.environments.trust.signature import sign
from runtimed.environments.trust.standing import Standing, is_vouched_for, refusal, status_of
from runtimed.environments.wanted import Choice
from runtimed.errors import NotTrusted, RuntimedError, TrustKeyUnusable
from runtimed.rooms.trust_record import read_record, write_record

__all__ = ["RoomTrust"]

log = logging.getLogger(__name__)


class TrustRoom(Protocol):
    """What trust needs of its room."""

    notebook_id: str
    document: NotebookDocument
    path: Path | None
    loading: bool

    def document_changed(self) -> None: ...


class RoomTrust:
    """The trust of one room. Its record lies beside the room's document."""

    def __init__(
        self, room: TrustRoom, files: TrustFiles, record: Path, disk: trio.CapacityLimiter
    ) -> None:
        self._room = room
        self._files = files
        self._record = record
        self._recorded: bool | None = None  # what the record says: whether the document is tainted
        self._disk = disk
        self._tainted = False
        self._coming: NotebookState | None = None  # the file that goes into the document now
        self._key: bytes | None = None
        self._trouble: str | None = None

    def __repr__(self) -> str:
        return f"<RoomTrust {'tainted' if self._tainted else 'clear'}>"

    # ------------------------------------------------------------------ what comes from files

    async def file_opened(self, state: NotebookState) -> None:
        """The document is to be filled from a file. Judged before anything of it is there."""
        content = _content(state)
        if not content.is_bare:
            await self.refresh()
        self._coming = state
        self._recorded = None
        self._tainted = not self._vouched(content, signature_of(state.snapshot))

    async def document_restored(self) -> None:
        """The room has its saved document. Where nothing was recorded of it, it is judged as if it
        had come with a file."""
        self._recorded = await self._in_thread(read_record, self._record)
        self._tainted = self._recorded is not False
        self._settle()
        if self._tainted:
            await self.refresh()
            self._settle()

    def file_merged(self, before: Content, state: NotebookState) -> None:
        """Another program's file was merged into the document, which had this content `before`.

        To be called in one go with the merge, after `refresh`.
        """
        after = self.content
        if after != before and not self._vouched(_content(state), signature_of(state.snapshot)):
            if not self._tainted:
                log.warning("not trusted: its file was changed")
            self._tainted = True
        self._settle()

    def metadata_offered(self) -> None:
        """A peer that joined has brought metadata, of a file as far as we know. After `refresh`."""
        self._tainted = True
        self._settle()

    # ------------------------------------------------------------------ questions

    @property
    def content(self) -> Content:
        """What the notebook asks for now. Cost: all sources are read."""
        if self._room.loading and self._coming is not None:
            return _content(self._coming)
        document = self._room.document
        return Content.of(
            document.metadata_snapshot(),
            [(document.cell_type(id_), document.source(id_)) for id_ in document.cell_ids()],
        )

    @property
    def standing(self) -> Standing:
        """What the notebook asks for and whether it is approved. After `refresh`, to be exact."""
        self._settle()
        content = self.content
        return Standing(status_of(content, self._signature, not self._tainted), content)

    @property
    def needs_approval(self) -> bool:
        """Whether the notebook asks for packages that must not be installed yet."""
        return self._tainted and self.standing.needs_approval

    def check(self, choice: Choice) -> None:
        """See that what was chosen may be installed, as far as it comes from the notebook.

        To be called in one go with the choice: without an await since the snapshot and the sources
        that it was made from were read.
        Raises: NotTrusted, which says what would be installed and what can be done.
        """
        if choice.consent == "notebook":
            self.check_content()

    def check_content(self) -> None:
        """See that what the notebook asks for now may be installed. Raises: NotTrusted."""
        if not self._tainted:
            return
        standing = self.standing
        if self._tainted:
            path = None if self._room.path is None else str(self._room.path)
            if not standing.needs_approval:  # the choice was made from something else than this
                standing = Standing("untrusted", standing.content)
            raise NotTrusted(refusal(standing, path, self._trouble))

    async def check_project(
        self, choice: Choice, *, explicit: bool, content: bytes | None = None
    ) -> None:
        """See that what was chosen may be installed, as far as a project file says what it is.

        An explicit launch is consent, which is remembered; any other needs that consent. `content`
        is that of the project file when the choice was made.
        Raises: NotTrusted with the remedy.
        """
        project = choice.origin
        if choice.consent != "project" or project is None:
            return
        store = self._files.projects
        try:
            if await self._in_thread(is_project_approved, store, project, content):
                return
            if explicit:
                await self._in_thread(approve_project, store, project, content)
        except OSError as error:
            raise NotTrusted(f"{project} can't be read: {error.strerror or error}") from error
        except RuntimedError as error:  # it can't be remembered, but was consented to
            log.warning("%s", error)
        if not explicit:
            raise NotTrusted(
                f"{project} was not approved on this machine, so no kernel was started with its "
                "packages. Start it with Session.start_kernel(), which approves it, or with "
                'env_source="uv:prewarmed" to run without them'
            )

    # ------------------------------------------------------------------ approving and signing

    async def refresh(self) -> None:
        """Read the key, which others may have made meanwhile, so that signatures can be checked."""
        try:
            self._key = await self._in_thread(read_key, self._files.key)
            self._trouble = None
        except TrustKeyUnusable as error:
            self._key = None
            self._complain(str(error))

    async def approve(self, digest: str | None = None) -> Standing:
        """Sign what the notebook asks for now; the room is clear then.

        With a `digest`, that of what was shown: nothing is approved that is other than this.
        Raises: RuntimedError if it was changed, or can't be signed.
        """
        self._key = await self._in_thread(make_key, self._files.key)
        content = self.content
        if digest is not None and digest != content.digest:
            raise RuntimedError(
                "The notebook's dependencies were changed meanwhile: look at them again "
                "before you approve them"
            )
        self._tainted = False
        if not content.is_bare:
            self._write_signature(content)
            log.info("approved content=%r", content.describe())
        return self.standing

    def lacks_signature(self, state: NotebookState) -> bool:
        """Whether a state of the document may have a good signature, and needs and has none."""
        return not (self._tainted or self._vouched(_content(state), signature_of(state.snapshot)))

    async def sign(self) -> bool:
        """Have a good signature in the document; False if it may have none, or can't."""
        try:
            self._key = await self._in_thread(make_key, self._files.key)
            content = self.content
            if not self._tainted and not content.is_bare:
                self._write_signature(content)
                return True
        except RuntimedError as error:  # the notebook will not be trusted when it is opened again
            self._complain(str(error))
        return False

    def for_copy(self, snapshot: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The snapshot for a file elsewhere: a tainted one takes no signature along."""
        return unsigned(snapshot) if snapshot is not None and self._tainted else snapshot

    def _write_signature(self, content: Content) -> None:
        assert self._key is not None
        document = self._room.document
        snapshot = document.metadata_snapshot() or {}
        runt = {
            **snapshot.get("runt", DEFAULT_RUNT),
            "trust_signature": sign(self._key, content.to_bytes()),
            "trust_timestamp": datetime.now(timezone.utc).isoformat(),
        }
        document.set_metadata_snapshot({**snapshot, "runt": runt})
        self._room.document_changed()

    # ------------------------------------------------------------------ lasting

    @asynccontextmanager
    async def recorded(self) -> AsyncIterator[None]:
        """Save the document inside the block: nothing tainted is ever on disk that is not known to
        be. What is done inside must take the document as it is then, before it waits.

        Raises: OSError if the record can't be written.
        """
        while self._tainted and self._recorded is not True:
            await self._write_record(True)
        was_clear = not self._tainted
        yield
        if was_clear and not self._tainted and self._recorded is not False:
            try:
                await self._write_record(False)
            except OSError as error:  # so it is judged anew next time, which is safe
                self._complain(f"The record of trust can't be written: {error}")

    async def _write_record(self, tainted: bool) -> None:
        self._recorded = None
        await self._in_thread(write_record, self._record, tainted)
        self._recorded = tainted

    # ------------------------------------------------------------------ inside

    @property
    def _signature(self) -> str | None:
        if self._room.loading and self._coming is not None:
            return signature_of(self._coming.snapshot)
        return signature_of(self._room.document.metadata_snapshot())

    def _settle(self) -> None:
        """Be clear again if nothing is left to approve. While a file comes in, all of it is."""
        if self._room.loading or not self._tainted:
            return
        self._coming = None
        self._tainted = not self._vouched(self.content, self._signature)

    def _vouched(self, content: Content, signature: str | None) -> bool:
        return is_vouched_for(content, signature, self._key)

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("%s", trouble)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await trio.to_thread.run_sync(partial(function, *arguments), limiter=self._disk)


def _content(state: NotebookState) -> Content:
    return Content.of(state.snapshot, [(cell.cell_type, cell.source) for cell in state.cells])
