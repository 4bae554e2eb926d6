"""Which kind of client a request comes from, told by its shape, and what follows from it.

Pure. Clients write unset fields as null, so the fields that a request has tell its client's age:
there is nothing else on the wire that would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

__all__ = ["CloseAfterResult", "closes_after_result", "is_legacy"]

#: Whether the runtime closes after a request: for clients that wait for it, always, never.
CloseAfterResult: TypeAlias = Literal["auto", "always", "never"]


def is_legacy(request: Mapping[str, Any]) -> bool:
    """Whether a request, as it came from the wire, is of a client up to 0.8.

    Such a client knows no messages about command output, and waits for the runtime to close.
    """
    if "artifacts_dirs" in request or "artifacts_ignore_content" in request:
        return False
    if "artifacts_dir" not in request:
        return False
    if request.get("message_type") != "command_execution_message":
        return "agent_env" not in request
    commands = request.get("commands")
    if not isinstance(commands, list) or not commands:
        return False
    return not any(isinstance(each, Mapping) and "env" in each for each in commands)


def closes_after_result(option: CloseAfterResult, *, legacy: bool) -> bool:
    """Whether the runtime closes once a request has ended."""
    return legacy if option == "auto" else option == "always"
