"""A stand-in for the daemon's pool channel: answers each request with what a test says.

A thread and a socket, for commands whose whole output is looked at. It can also be silent.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtimed.protocol import events, handshake
from runtimed.protocol.connection import NEED_DATA, Connection, Role

__all__ = ["Answer", "pool_server"]

#: Gives the response to a request, None for no answer at all.
Answer = Callable[[Any], Any]


@contextmanager
def pool_server(path: Path, answer: Answer) -> Iterator[None]:
    """Serve a socket as long as the block lasts."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, answer), name="pool server")
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX) as last:  # says goodbye, which ends the thread
                last.connect(str(path))
                last.shutdown(socket.SHUT_WR)
                thread.join()
            path.unlink()


def _serve(listener: socket.socket, answer: Answer) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            if not _serve_one(connection, answer):
                return


def _serve_one(connection: socket.socket, answer: Answer) -> bool:
    """Serve one client until it closes; False for one that never said a word."""
    protocol = Connection(Role.DAEMON)
    spoken = False
    while data := connection.recv(65536):
        spoken = True
        protocol.receive_data(data)
        while (event := protocol.next_event()) is not NEED_DATA:
            if isinstance(event, handshake.Pool | events.Closed):
                continue
            assert isinstance(event, events.PoolRequest)
            response = answer(event.request)
            if response is not None:
                connection.sendall(protocol.send(events.PoolResponse(response, event.id)))
    return spoken
