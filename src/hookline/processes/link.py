"""A stream of messages between two processes of one machine, over a socket pair: 4 bytes length, then the message.

What is sent within one turn of the loop leaves in one write, so a busy link costs one system call for many messages.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

_LENGTH_BYTES: Final = 4
_BEHIND_BYTES: Final = 1024 * 1024
MESSAGE_BYTES_MAX: Final = 64 * 2**20


class Link(asyncio.Protocol):
    """One end.

    Args:
        received: is called with each message, in the order in which they were sent.

    Attributes:
        ended: set when the other end is gone; what was sent and not received is lost.
    """

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self.ended = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._received = received
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._incoming = bytearray()
        self._loop = asyncio.get_running_loop()

    def send(self, message: bytes) -> None:
        """Send a message; after the end it goes nowhere."""
        if self._transport is None:
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing += (len(message).to_bytes(_LENGTH_BYTES, "big"), message)

    @property
    def unsent_bytes(self) -> int:
        """How much the other end has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    async def room(self) -> None:
        """Wait while the other end is behind; after the end there is room for what goes nowhere."""
        await self._has_room.wait()

    def close(self) -> None:
        """End it, once all is sent."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None:
            self._transport.write(b"".join(outgoing))

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop's transports are of no class of asyncio's
        transport.set_write_buffer_limits(high=_BEHIND_BYTES)  # type: ignore[attr-defined]

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def data_received(self, data: bytes) -> None:
        incoming = self._incoming
        incoming += data
        begin, size = 0, len(incoming)
        while size - begin >= _LENGTH_BYTES:
            end = begin + _LENGTH_BYTES + int.from_bytes(incoming[begin : begin + _LENGTH_BYTES], "big")
            if end > size:
                break
            self._received(bytes(memoryview(incoming)[begin + _LENGTH_BYTES : end]))
            begin = end
        if begin:
            del incoming[:begin]

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._has_room.set()
        self.ended.set()


async def linked(end: socket.socket, received: Callable[[bytes], None]) -> Link:
    """A link over one end of a socket pair; it closes the socket when it ends."""
    end.setblocking(False)
    link = Link(received)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=end)
    return link
