"""Connections without the HTTP library and without TLS: for programs that make a call and end.

httpcore2 brings asyncio, anyio, h11 and TLS along, and importing them takes longer than such a call. What is sent, and
how it is read, is as in our own delivery client.
"""

import socket
from typing import Any

from hookline.client import carriers
from hookline.client.carriers import CarrierAnswer, CarrierCall
from hookline.client.connections import Connecting
from hookline.client.failed_calls import not_sent, unclear
from hookline.client.lookup import addresses
from hookline.client.place import Place
from hookline.errors import HooklineError, InvalidRequest
from hookline.http_client.answer import AnswerReader, BadAnswer
from hookline.http_client.request import Unsendable, request_parts

_PIECE_BYTES = 64 * 1024
_WAIT_S_MAX = 1.0  # Python does not see a signal that comes in just before a wait until the wait has ended


class PlainConnections:
    """Idle connections are kept and used again, each by one thread at a time."""

    def __init__(self, connecting: Connecting[Any]) -> None:
        self._place = Place(connecting.url)
        self._idle: list[_Connection] = []  # its pop and append are atomic

    def carry(self, call: CarrierCall) -> CarrierAnswer:
        parts = _request(self._place, call)
        connection = self._kept() or _Connection(_connected(self._place, call))
        try:
            answer = connection.exchange(parts, call)
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> "_Connection | None":
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_quiet():
                return connection
            connection.close()


class _Connection:
    """One connection. Each step gets what is left of the call's time; ``is_reusable``: it can carry another."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.is_reusable = False

    def exchange(self, parts: tuple[bytes, ...], call: CarrierCall) -> CarrierAnswer:
        """Send the request and read its answer."""
        self.is_reusable = False
        reader = AnswerReader(body_max=carriers.ANSWER_BYTES_MAX)
        try:
            self._send(parts, call)
            while not reader.is_complete:
                if data := self._receive(call):
                    reader.feed(data)
                elif reader.status is None:
                    raise BadAnswer("the connection ended before the answer")
                else:
                    reader.end()
        except BadAnswer as error:
            raise unclear(error.detail, call.url) from error
        except OSError as error:
            raise unclear(error, call.url) from error
        self.is_reusable = reader.is_reusable
        found = reader.answer()
        if not found.is_whole:
            if len(found.body) >= carriers.ANSWER_BYTES_MAX:
                raise carriers.too_long()
            raise unclear("the connection ended before all of the answer had come", call.url)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.headers}
        return CarrierAnswer(found.status, headers, found.body)

    def is_quiet(self) -> bool:
        """Whether the other side neither closed it nor said anything unasked."""
        self._sock.setblocking(False)
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _receive(self, call: CarrierCall) -> bytes:
        while True:
            self._sock.settimeout(min(_left_s(call), _WAIT_S_MAX))
            try:
                return self._sock.recv(_PIECE_BYTES)
            except TimeoutError:
                continue

    def _send(self, parts: tuple[bytes, ...], call: CarrierCall) -> None:
        try:
            for part in parts:
                self._sock.settimeout(_left_s(call))
                self._sock.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            return  # whoever takes no more may have answered


def _request(place: Place, call: CarrierCall) -> tuple[bytes, ...]:
    (_, host), *own = place.headers
    headers = [*own, *((name.encode(), value.encode()) for name, value in call.headers.items())]
    target = (place.path + call.path.encode()).decode()
    try:
        return request_parts(call.method, target, host.decode(), headers, call.body or b"")
    except (Unsendable, UnicodeError) as error:
        said = error.detail if isinstance(error, HooklineError) else str(error)
        raise InvalidRequest(f"This cannot be sent: {said}") from error


def _connected(place: Place, call: CarrierCall) -> socket.socket:
    """Try each address of the host; what is left is shared by those that are. Raises ConnectionFailed."""
    port = place.port or 80
    failed = OSError("the name has no address")
    try:
        found = addresses(place.host.decode(), port, call.left_s())
        for number, address in enumerate(found):
            share_s = _left_s(call) / (len(found) - number)
            try:
                return _connection(address, port, share_s)
            except OSError as error:
                failed = error
    except OSError as error:
        failed = error
    raise not_sent(failed, call.url) from failed


def _connection(address: str, port: int, timeout_s: float) -> socket.socket:
    # Not socket.create_connection, which imports the tables of international names even for an address.
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        made.settimeout(timeout_s)
        made.connect((address, port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        made.close()
        raise
    return made


def _left_s(call: CarrierCall) -> float:
    left_s = call.left_s()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s
