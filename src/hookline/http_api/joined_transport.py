"""The writing side of a connection, as uvicorn sees it: head and body leave together, and the end is ours to make."""

from asyncio import Transport
from collections.abc import Callable

from hookline.protocol.limits import KIB

_LARGE_BYTES = 64 * KIB


class JoinedTransport:
    """Holds the head of an answer back until its body comes, so that both leave in one system call.

    A call of its own for the head costs 35 µs, a third of a whole create.

    Args:
        transport: the real one.
        headed: given a head that is about to be sent, gives it back, or another one.
        ended: told that the last answer is written.
        resumed: told that there is room for more to read.

    Attributes:
        last_bytes: the length of what was written last: a part of it that waits keeps all of it in memory.
    """

    __slots__ = (
        "_ended",
        "_head",
        "_headed",
        "_resumed",
        "_transport",
        "get_extra_info",
        "is_ended",
        "last_bytes",
        "pause_reading",
    )

    def __init__(
        self,
        transport: Transport,
        headed: Callable[[bytes], bytes],
        ended: Callable[[], None],
        resumed: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._headed, self._ended, self._resumed = headed, ended, resumed
        self._head = b""
        self.is_ended = False
        self.last_bytes = 0
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading

    def write(self, data: bytes) -> None:
        """Write what was held and ``data``, or hold it if it is a head."""
        if self.is_ended:
            return
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = self._headed(data)
            return
        head, self._head = self._head, b""
        self.last_bytes = len(data)
        if len(data) > _LARGE_BYTES:  # not copied, as joining would
            self._transport.writelines((head, data))
        else:
            self._transport.write(head + data)

    def flush(self) -> None:
        """Write what was held: an answer without a body is complete."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def resume_reading(self) -> None:
        """There is room again."""
        self._resumed()

    def is_closing(self) -> bool:
        """No more requests are taken."""
        return self.is_ended or self._transport.is_closing()

    def close(self) -> None:
        """Close when everything is written."""
        self.flush()
        if not self.is_closing():
            self.is_ended = True
            self._ended()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()
