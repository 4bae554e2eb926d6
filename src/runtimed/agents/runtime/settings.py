"""What can be set about a runtime. Durations are seconds, sizes bytes."""

from __future__ import annotations

from typing import Literal

import attrs

from runtimed.agents.legacy import CloseAfterResult

__all__ = ["RuntimeSettings"]

_GIB = 1 << 30


@attrs.frozen(kw_only=True)
class RuntimeSettings:
    """The limits and habits of a runtime."""

    #: Longest wait for PUTs in progress when a session ends, and for progress within one.
    upload_timeout: float = 30.0
    #: Longest wait for open upload round trips when a session ends.
    artifact_wait: float = 60.0
    #: Longest look-out for late files when a session ends; 0 skips it.
    post_invocation_delay: float = 3.0
    #: Between two signs of life of a request; 0 turns them off.
    heartbeat_interval: float = 15.0
    #: Longest wait before a terminal for what it announced to be uploaded.
    flush_wait: float = 10.0
    #: A request that arrives while one is in flight aborts that one, or is refused.
    on_busy: Literal["supersede", "refuse"] = "supersede"
    #: Whether the runtime closes after a request; `auto` does for clients that wait for it.
    close_after_result: CloseAfterResult = "auto"
    #: An answer that does not follow its request's schema is an error, or a warning in the log.
    on_schema_mismatch: Literal["error", "warn"] = "error"
    #: How long a cancelled request may take to let go before the next one starts beside it.
    cancel_grace: float = 5.0
    #: Longest wait for all connections when the server stops.
    shutdown_wait: float = 10.0
    #: Between two pings, and the longest wait for a pong.
    ping_interval: float = 25.0
    pong_timeout: float = 20.0
    #: Largest message that is read.
    max_message_bytes: int = 100 << 20
    #: What may wait for a client that reads slowly before a plain send fails its request.
    max_waiting_bytes: int = 64 << 20
    max_download_bytes: int = 10 * _GIB
    max_unpacked_bytes: int = 10 * _GIB
    #: Tar archives are unpacked like zips. By default callers do so with a command.
    unpack_tars: bool = False
    #: Errors carry their traceback to the client.
    debug: bool = False
