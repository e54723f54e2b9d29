"""A connection's plain side: what a protocol writes leaves encrypted, and it is given what arrives decrypted.

uvloop's own TLS would do for that, and hides what a strict server has to see: how long a handshake takes and how many
are under way, what a client sends that speaks no TLS, and how much it has not taken yet.
"""

import ssl
from asyncio import AbstractEventLoop, Transport
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

_RECORD_BYTES = 16 * 1024  # the most that one has
_TURN_RECORDS = 256  # decrypted before others have their turn; one may hold a single byte


class TlsTransport:
    """The transport of a protocol, once hands are shaken.

    Args:
        wire: the real one.
        tls: between ``incoming`` and ``outgoing``.
        received: is given what arrives.
    """

    def __init__(
        self,
        wire: Transport,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        received: Callable[[bytes], None],
        loop: AbstractEventLoop,
    ) -> None:
        self._wire, self._tls, self._incoming, self._outgoing = wire, tls, incoming, outgoing
        self._received, self._loop = received, loop
        self._is_paused = False
        self._has_more = False  # is to be decrypted
        self._is_ended = False  # we have said that we are done
        self.set_write_buffer_limits = wire.set_write_buffer_limits
        self.get_write_buffer_size = wire.get_write_buffer_size
        self.can_write_eof = wire.can_write_eof
        self.abort = wire.abort

    # --- what comes in ---

    def feed(self, data: bytes) -> None:
        """Take what came over the wire."""
        if self._is_ended:
            self._received(data)  # it only counts
            return
        self._incoming.write(data)
        self._read()

    def _read(self) -> None:
        pieces, is_over = self._decrypted()
        if sent := self._outgoing.read():  # of TLS itself
            self._wire.write(sent)
        if pieces:
            self._received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self.is_closing():
            return
        if is_over:
            self.close()
        elif self._has_more:
            self._wire.pause_reading()
            if not self._is_paused:
                self._loop.call_soon(self._read_on)

    def _decrypted(self) -> tuple[list[bytes], bool]:
        """Decrypts what is there, or a turn of it; says, too, whether no more comes."""
        pieces: list[bytes] = []
        self._has_more = False
        try:
            for _ in range(_TURN_RECORDS):
                piece = self._tls.read(_RECORD_BYTES)
                if not piece:
                    return pieces, True
                pieces.append(piece)
                if not self._incoming.pending and not self._tls.pending():
                    return pieces, False
        except ssl.SSLWantReadError:
            return pieces, False
        except ssl.SSLError:  # somebody has changed it on its way, or it is not TLS
            return pieces, True
        self._has_more = True
        return pieces, False

    def _read_on(self) -> None:
        if not self._is_paused and not self.is_closing():
            self._wire.resume_reading()
            self._read()

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._is_paused = True
        self._wire.pause_reading()

    def resume_reading(self) -> None:
        """There is room again."""
        self._is_paused = False
        if self._has_more:
            self._loop.call_soon(self._read_on)
        else:
            self._wire.resume_reading()

    # --- what goes out ---

    def write(self, data: bytes) -> None:
        """Send it."""
        if not self._is_ended and data:
            self._tls.write(data)
            self._wire.write(self._outgoing.read())

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send them together."""
        if not self._is_ended:
            for part in parts:
                if part:
                    self._tls.write(part)
            self._wire.write(self._outgoing.read())

    def write_eof(self) -> None:
        """Say that nothing more is sent, and go on to listen."""
        self._say_the_end()
        self._wire.write_eof()

    def close(self) -> None:
        """Say that nothing more is sent, and close when everything is written."""
        self._say_the_end()
        self._wire.close()

    def is_closing(self) -> bool:
        """Nothing more is read or sent."""
        return self._is_ended or self._wire.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the wire, and ``ssl_object``."""
        return self._tls if name == "ssl_object" else self._wire.get_extra_info(name, default)

    def _say_the_end(self) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        with suppress(ssl.SSLError):  # the other side's end has not come yet: nobody waits for it
            self._tls.unwrap()
        if not self._wire.is_closing():
            self._wire.write(self._outgoing.read())
