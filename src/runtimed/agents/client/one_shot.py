"""A call with a connection of its own."""

from __future__ import annotations

from contextlib import aclosing

from runtimed.agents.client.call import Call
from runtimed.agents.client.callers import Invoke
from runtimed.agents.client.exchange import Exchange
from runtimed.agents.client.request import R, Request
from runtimed.agents.client.transports import Transport

__all__ = ["one_shot"]


async def one_shot(transport: Transport, request: Request[R], call: Call, invoke: Invoke) -> R:
    """Connect, ask, read up to the end of the request, hang up.

    Raises: OSError if there is no connection to be had; what callbacks raise; AgentRuntimeError;
    CancelledException; AgentCallTimedOut.
    """
    exchange = Exchange(request, call, invoke)
    with exchange.bounds.scope:
        exchange.begin()
        exchange.send_request()
        async with aclosing(transport(exchange.outgoing)) as stream:
            await exchange.read(stream)
            if exchange.end is not None and request.goes_on and not exchange.has_failed:
                await exchange.read_on(stream)
    return exchange.outcome()
