"""A server on 127.0.0.1 that answers bytes as a script says, and drips or never ends if it says so."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Behave = Callable[[socket.socket, threading.Event], None]


@dataclass
class DrippingServer:
    url: str
    requests: list[bytes] = field(default_factory=list)  # the heads, as they came
    connections: int = 0


def drip(head: bytes, piece: bytes) -> Behave:
    """The head at once, then a piece every 20 ms, for ever."""

    def behave(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        while not stop.wait(0.02):
            connection.sendall(piece)

    return behave


def flood(head: bytes, piece: bytes) -> Behave:
    """The head, then pieces as fast as they are taken, for ever."""

    def behave(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        while not stop.is_set():
            connection.sendall(piece)

    return behave


def silent(_connection: socket.socket, stop: threading.Event) -> None:
    """Nothing at all."""
    stop.wait()


@contextmanager
def dripping_server(behave: Behave, *, reads: bool = True) -> Iterator[DrippingServer]:
    """Every connection is treated so. ``reads`` False: not even the request is read."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = DrippingServer(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    if reads:
                        server.requests.append(connection.recv(65_536))
                    behave(connection, stop)
                except OSError:
                    pass  # the client has gone

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                server.connections += 1
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)
