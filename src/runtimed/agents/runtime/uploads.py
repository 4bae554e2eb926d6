"""The upload handshake of a connection: asking where a file may go, and putting it there.

A failed upload never fails a request. It is tried again where that may help, and logged.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from pathlib import Path

import trio

from runtimed.agents.messages import (
    ArtifactUploadRequestMessageInterface,
    ArtifactUploadResponseMessageInterface,
    decode,
    encode,
)

__all__ = ["Uploads"]

#: Before the second and the third try. Seconds.
_BACK_OFF = (0.5, 2.0)


class Uploads:
    """Pairs answers with requests by path. Answers to what was not asked are refused."""

    def __init__(
        self,
        nursery: trio.Nursery,
        send: Callable[[ArtifactUploadRequestMessageInterface], None],
        logger: Logger,
        *,
        put_timeout: float,
    ) -> None:
        self._nursery = nursery
        self._send = send
        self._logger = logger
        self._put_timeout = put_timeout
        self._asked: dict[str, str] = {}  # the path as it is on the wire: the path on disk
        self._late: set[str] = set()  # asked so long ago that no terminal waits for them
        self._putting = 0
        self._changed = trio.Event()

    def ask(self, path: str) -> None:
        """Ask the client where this file may be uploaded, unless that question is open."""
        wire_path: str = decode(encode(path))  # a path that is not UTF-8 comes back changed
        if wire_path in self._asked:
            return  # its answer will upload what is there then
        self._asked[wire_path] = path
        self._send(
            ArtifactUploadRequestMessageInterface(
                filename=wire_path.rpartition("/")[2], filepath=wire_path
            )
        )

    def answered(self, answer: ArtifactUploadResponseMessageInterface) -> None:
        path = self._asked.pop(answer.filepath, None)
        if path is None:
            self._logger.warning("An upload was offered that nobody asked for; ignored")
            return
        self._putting += 1
        self._nursery.start_soon(self._put, path, answer)

    def forget_unanswered(self) -> None:
        """Nobody will answer any more."""
        if self._asked:
            self._logger.warning("%d artifacts were not uploaded: no answer", len(self._asked))
        self._asked.clear()
        self._tell()

    async def wait_answered(self) -> None:
        while self._asked:
            await self._changed.wait()

    async def wait_put(self) -> None:
        while self._putting:
            await self._changed.wait()

    async def wait_done(self, limit: float) -> None:
        """Wait until every question is answered and every file is where it should be.

        For so long at most; a question that is still open then holds up nobody a second time.
        """
        with trio.move_on_after(limit):
            while self._asked.keys() - self._late or self._putting:
                await self._changed.wait()
        self._late = set(self._asked)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _put(self, path: str, answer: ArtifactUploadResponseMessageInterface) -> None:
        from runtimed.agents.runtime.http import HttpFailed, put_file

        try:
            self._tell()  # one question less
            for pause in (*_BACK_OFF, None):
                try:
                    await put_file(
                        answer.presigned_url,
                        Path(path),
                        content_type=answer.content_type,
                        timeout=self._put_timeout,
                    )
                    return
                except FileNotFoundError:
                    return
                except HttpFailed as error:
                    # Not the URL: it is a key to somebody's storage.
                    if pause is None or not error.may_pass:
                        self._logger.error("Upload of %s failed: %s", path, error)
                        return
                    self._logger.info("Upload of %s failed, tried again: %s", path, error)
                    await trio.sleep(pause)
        except OSError as error:
            self._logger.error("Upload of %s failed: %s", path, error)
        finally:
            self._putting -= 1
            self._tell()
