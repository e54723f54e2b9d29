"""A front's end of the link: asks the node, and relays to it what the node is to answer."""

import asyncio
from itertools import count
from typing import TypeVar

from hookline.clock import SystemClock, ToldClock
from hookline.http_api.messages import AsgiReceive, AsgiScope, AsgiSend, Reply
from hookline.node.front.messages import (
    Begin,
    Body,
    Broken,
    Confirm,
    Confirmed,
    Create,
    CreateAnswer,
    Drain,
    FromFront,
    FromNode,
    GivenAnswer,
    Gone,
    NodeTime,
    NotByYou,
    Part,
    Start,
    Taken,
    Want,
    encode,
    from_node,
)
from hookline.processes.link import Link
from hookline.telemetry.area_log import set_log_levels

Told = CreateAnswer | Confirmed
Piece = Want | Start | Body | Broken
A = TypeVar("A", bound=Told)


class RelayInstead(Exception):
    """The front is not to answer this call; nothing of it was accepted."""


class AnsweredByNode(Exception):
    """The node says what the call is answered with.

    Attributes:
        reply: as it is to be sent.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class BrokenOff(Exception):
    """The node could not go on with its answer: the client's connection ends."""


class FrontEnd:
    """One for each front.

    Attributes:
        link: to the node; to be set before anything is sent.
        term: in which the node leads, as far as the front has heard; 0: it does not.
        clock: the time as the node trusts it.
        draining: set when the front is to end.
    """

    link: Link

    def __init__(self) -> None:
        self._numbers = count(1)
        self._questions: dict[int, asyncio.Future[Told]] = {}
        self._relayed: dict[int, asyncio.Queue[Piece]] = {}
        self.term = 0
        self.clock = ToldClock(SystemClock())
        self.draining = asyncio.Event()

    def send(self, message: FromFront) -> None:
        """To the node."""
        self.link.send(encode(message))

    def number(self) -> int:
        """Of a new call."""
        return next(self._numbers)

    def received(self, frame: bytes) -> None:
        """Take a message."""
        message: FromNode = from_node(frame)
        match message:
            case CreateAnswer() | Confirmed():
                if (question := self._question(message.number)) is not None:
                    question.set_result(message)
            case GivenAnswer():
                reply = Reply(message.status, message.body, message.content_type, message.headers)
                self._refuse(message.number, AnsweredByNode(reply))
            case NotByYou():
                self.term = message.term
                self._refuse(message.number, RelayInstead())
            case Want() | Start() | Body() | Broken():
                if (pieces := self._relayed.get(message.number)) is not None:
                    pieces.put_nowait(message)
            case NodeTime():
                self.clock.offset_ms, self.term = message.offset_ms, message.term
                set_log_levels(message.log_levels)
            case Drain():
                self.draining.set()

    def _refuse(self, number: int, why: Exception) -> None:
        if (question := self._question(number)) is not None:
            question.set_exception(why)

    def _question(self, number: int) -> asyncio.Future[Told] | None:
        """None: nobody waits for the answer any more."""
        question = self._questions.pop(number, None)
        return None if question is None or question.done() else question

    async def ask(self, question: Create | Confirm, answer: type[A]) -> A:
        """The node's answer.

        Raises:
            RelayInstead: it does not lead, or leads in another term than the question says.
            AnsweredByNode: it refuses the call.
        """
        await self.link.room()
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._questions[question.number] = future
        self.send(question)
        try:
            told = await future
        finally:
            self._questions.pop(question.number, None)
        assert isinstance(told, answer)
        return told

    async def relay(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Have the node answer a call, as an ASGI application does.

        Raises:
            BrokenOff: its answer ends in the middle.
        """
        number = self.number()
        pieces = self._relayed[number] = asyncio.Queue()
        client = scope.get("client")
        begin = Begin(
            number,
            scope["method"],
            scope["path"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            None if client is None else (client[0], client[1]),
            scope["http_version"],
        )
        is_whole = False
        try:
            await self.link.room()
            self.send(begin)
            is_whole = await self._pass_on(number, pieces, receive, send)
        finally:
            del self._relayed[number]
            self.send(Gone(number))
        if not is_whole:
            raise BrokenOff

    async def _pass_on(self, number: int, pieces: "asyncio.Queue[Piece]", receive: AsgiReceive, send: AsgiSend) -> bool:
        """Whether all of the answer came."""
        async with asyncio.TaskGroup() as tasks:
            reading: asyncio.Task[None] | None = None
            is_over = is_whole = False
            while not is_over:
                piece = await pieces.get()
                match piece:
                    case Want():
                        reading = tasks.create_task(self._read(number, receive))
                    case Start():
                        await send({"type": "http.response.start", "status": piece.status, "headers": piece.headers})
                    case Body():
                        await send({"type": "http.response.body", "body": piece.body, "more_body": piece.has_more})
                        is_over = is_whole = not piece.has_more
                        if piece.has_more:
                            self.send(Taken(number))
                    case Broken():
                        is_over = True
            if reading is not None:
                reading.cancel()
        return is_whole

    async def _read(self, number: int, receive: AsgiReceive) -> None:
        """The next piece of the client's body, or its end."""
        message = await receive()
        if message["type"] == "http.disconnect":
            self.send(Gone(number))
            return
        await self.link.room()
        self.send(Part(number, message.get("body", b""), message.get("more_body", False)))
