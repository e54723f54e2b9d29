"""A TCP proxy that harms HTTP/1.1 connections on purpose: before a request arrives, or after it was acted on.

It reads no HTTP but the first bytes: what a client sends while no answer is due begins a request, and what comes back
then is its answer. Clients that send a request before they have the last answer are not understood.
"""

import asyncio
from collections.abc import AsyncIterator

from tests.faulty_proxy import Carrier, FaultyProxy

_CHUNK_BYTES = 65_536


class FaultyHttpProxy(FaultyProxy):
    """The rules of ``FaultyProxy`` for HTTP/1.1.

    Attributes:
        harmed: only requests that begin so are cut, lose their answer, and are counted.
        spared: requests that begin so come through a black hole, and their answers.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.harmed = (b"POST /jobs", b"POST /internal/jobs")  # creates, alone and together, and changes
        self.spared: tuple[bytes, ...] = ()
        self._made = 0
        self._silent_to = 0

    def carrier(self) -> Carrier:
        self._made += 1
        return _HttpConnection(self, self._made)

    def silence_connections(self) -> None:
        """As if the peers of all connections that are open now had vanished: nothing passes, and nobody says so."""
        self._silent_to = self._made

    def is_silent(self, connection: int) -> bool:
        """Whether its peers have vanished."""
        return connection <= self._silent_to

    def heal(self) -> None:
        """Harm nothing from now on; what was dropped or has vanished stays away."""
        self.delay_s = 0.0
        self.requests_to_cut = self.answers_to_lose = 0
        self.lose_by_reset = True
        self.is_black_hole = False
        self.spared = ()


class _HttpConnection:
    def __init__(self, rules: FaultyHttpProxy, number: int) -> None:
        self._rules = rules
        self._number = number
        self._is_answer_due = False
        self._is_harmed = False
        self._is_spared = False
        self._is_silent = False

    async def carry_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for data in _chunks(reader):
            if not self._is_answer_due:
                self._is_answer_due = True
                self._is_harmed = data.startswith(self._rules.harmed)
                self._is_spared = data.startswith(self._rules.spared)
                if self._is_harmed and self._rules.requests_to_cut > 0:
                    self._rules.requests_to_cut -= 1
                    raise ConnectionResetError
                self._rules.requests += self._is_harmed
            await self._pass(data, writer)

    async def carry_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for data in _chunks(reader):
            if self._is_answer_due:
                self._is_answer_due = False
                if self._is_harmed and self._rules.answers_to_lose > 0:
                    self._rules.answers_to_lose -= 1
                    if self._rules.lose_by_reset:
                        raise ConnectionResetError
                    self._is_silent = True
            await self._pass(data, writer)

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if not (self._is_silent or self._rules.is_silent(self._number)):
            await self._rules.pass_on(data, writer, is_spared=self._is_spared)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Raises EOFError at the end."""
    while data := await reader.read(_CHUNK_BYTES):
        yield data
    raise EOFError
