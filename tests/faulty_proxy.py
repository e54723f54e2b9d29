"""A TCP proxy that harms gRPC connections on purpose, so that ambiguous answers are real.

It reads the frames of HTTP/2 (RFC 9113, section 4.1), no more: a HEADERS frame from the client begins a request, the
first one from the server for that stream its answer. It runs in a thread of its own, so that a test whose event loop
is blocked or busy still has a network.
"""

import asyncio
import threading
from types import TracebackType
from typing import Protocol, Self

_PREFACE_BYTES = 24  # "PRI * HTTP/2.0…", once, from the client
_HEADERS = 1


class FaultyProxy:
    """Listens on a free port of 127.0.0.1 and passes everything on to ``target`` (``host:port``), until told otherwise.

    The plain attributes may be set at any time, from any thread:

    Attributes:
        delay_s: each frame waits this long, in both directions.
        requests_to_cut: so many of the next requests never arrive; their connection is reset instead.
        answers_to_lose: so many of the next answers never come back, though the server acted.
        lose_by_reset: a lost answer resets its connection; else the connection falls silent.
        is_black_hole: connections are accepted and stay open, but nothing passes.
        requests: how many were passed on.
    """

    def __init__(self, target: str) -> None:
        self._host, port = target.rsplit(":", 1)
        self._target_port = int(port)
        self.delay_s = 0.0
        self.requests_to_cut = 0
        self.answers_to_lose = 0
        self.lose_by_reset = True
        self.is_black_hole = False
        self.requests = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="faulty-proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def carrier(self) -> "Carrier":
        """Makes the object that carries the bytes of one connection."""
        return _Connection(self)

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._writers) // 2

    def reset_connections(self) -> None:
        """Break all connections that are open now."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def _reset_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._end_tasks())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        self._reset_all()
        server.close()

    async def pass_on(self, data: bytes, writer: asyncio.StreamWriter, *, is_spared: bool = False) -> None:
        """By the rules for all connections; no black hole takes what ``is_spared``."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if is_spared or not self.is_black_hole:
            writer.write(data)
            await writer.drain()

    async def _end_tasks(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection(self._host, self._target_port)
            writers.append(up_writer)
            self._writers.update(writers)
            connection = self.carrier()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(connection.carry_requests(reader, up_writer))
                tasks.create_task(connection.carry_answers(up_reader, writer))
        except* (OSError, EOFError):
            pass
        finally:
            for each in writers:
                self._writers.discard(each)
                each.transport.abort()


class Carrier(Protocol):
    """One client's connection and the one to the server behind it. Raises OSError or EOFError to end both."""

    async def carry_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the client to the server."""

    async def carry_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the client."""


class _Connection:
    """One client's connection and the one to the server behind it."""

    def __init__(self, rules: FaultyProxy) -> None:
        self._rules = rules
        self._asked: set[int] = set()  # streams without an answer so far
        self._is_silent = False

    async def carry_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._rules.pass_on(await reader.readexactly(_PREFACE_BYTES), writer)
        while True:
            kind, stream, frame = await _frame(reader)
            if kind == _HEADERS and stream not in self._asked:
                if self._rules.requests_to_cut > 0:
                    self._rules.requests_to_cut -= 1
                    raise ConnectionResetError
                self._asked.add(stream)
                self._rules.requests += 1
            await self._rules.pass_on(frame, writer)

    async def carry_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, stream, frame = await _frame(reader)
            if kind == _HEADERS and stream in self._asked:
                self._asked.discard(stream)
                if self._rules.answers_to_lose > 0:
                    self._rules.answers_to_lose -= 1
                    if self._rules.lose_by_reset:
                        raise ConnectionResetError
                    self._is_silent = True
            if not self._is_silent:
                await self._rules.pass_on(frame, writer)


async def _frame(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """(type, stream, all bytes) of the next frame."""
    head = await reader.readexactly(9)
    payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
    return head[3], int.from_bytes(head[5:9], "big") & 0x7FFF_FFFF, head + payload
