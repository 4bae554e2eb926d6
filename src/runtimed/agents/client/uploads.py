"""Answering the question where a file may be uploaded."""

from __future__ import annotations

import attrs
import trio

from runtimed.agents.client.callers import Invoke
from runtimed.agents.client.options import OnArtifactUploadRequestCallback
from runtimed.agents.errors import AgentRuntimeError
from runtimed.agents.messages import (
    ArtifactUploadRequestMessageInterface,
    ArtifactUploadResponseMessageInterface,
    ArtifactUploadResult,
)

__all__ = ["Uploads"]


@attrs.frozen
class Uploads:
    """Whom to ask: a caller's callback, where it runs, and the seconds that it is given."""

    callback: OnArtifactUploadRequestCallback
    invoke: Invoke
    limit: float | None

    async def answer(
        self, request: ArtifactUploadRequestMessageInterface
    ) -> ArtifactUploadResponseMessageInterface:
        """Ask the callback.

        Raises: whatever it raises; AgentRuntimeError when it takes too long; TypeError when it
        gives something else than an ArtifactUploadResult.
        """
        limit = float("inf") if self.limit is None else self.limit
        result = None
        with trio.move_on_after(limit) as patience:
            result = await self.invoke(self.callback, request)
        if patience.cancelled_caught:
            raise AgentRuntimeError(
                "on_artifact_upload_request callback timed out",
                {
                    "timeout_type": "artifact_upload_callback_timeout",
                    "timeout": self.limit,
                    "filename": request.filename,
                    "filepath": request.filepath,
                },
            )
        if not isinstance(result, ArtifactUploadResult):
            raise TypeError(
                "on_artifact_upload_request must give an ArtifactUploadResult, "
                f"not {type(result).__name__}"
            )
        return ArtifactUploadResponseMessageInterface(
            filename=request.filename,
            filepath=request.filepath,
            presigned_url=result.presigned_url,
            content_type=result.content_type,
        )
