"""What a notebook asks for, and whether that may be installed on the daemon's machine."""

from __future__ import annotations

from runtimed.client.arguments import as_optional_text
from runtimed.client.membership import Membership, unexpected
from runtimed.client.portal import on_trio
from runtimed.client.results import SimilarName, TrustInfo
from runtimed.protocol import requests, responses

__all__ = ["TrustCalls"]


class TrustCalls(Membership):
    """The part of a session that is about trust."""

    @on_trio
    async def trust_info(self) -> TrustInfo:
        """What the notebook asks for, and whether that was approved on this machine."""
        return _info(await self._request(requests.GetTrust()))

    @on_trio
    async def approve_trust(self, content: str | None = None) -> TrustInfo:
        """Approve what the notebook asks for, so that it may be installed.

        With `content`, that of a TrustInfo, nothing is approved that was not shown there. The
        notebook is signed for this machine; it stays approved until its dependencies are changed by
        something else than a session.
        Raises: RuntimedError if it was changed meanwhile, or can't be signed.
        """
        as_optional_text("content", content)
        return _info(await self._request(requests.ApproveTrust(content)))


def _info(answer: responses.NotebookResponse) -> TrustInfo:
    if not isinstance(answer, responses.TrustInfo):
        raise unexpected("get_trust", answer)
    return TrustInfo(
        status=answer.status,
        content=answer.content,
        uv_dependencies=answer.uv_dependencies,
        conda_dependencies=answer.conda_dependencies,
        conda_channels=answer.conda_channels,
        script_dependencies=answer.script_dependencies,
        constraints=answer.constraints,
        similar_names=[
            SimilarName(package=found.package, similar_to=found.similar_to, distance=found.distance)
            for found in answer.similar_names
        ],
    )
