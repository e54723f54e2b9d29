"""Lets creates travel together that are on their way to the same node at the same time.

It stands between the forwarder and the connections. As far as the forwarder can see, each create is sent and answered
by itself: its tries, its deadline, its id and what an unclear failure means for it are decided there, alone.

There are no timers: what arrives while ``BATCHES_MAX`` calls are under way gathers, and leaves when one returns.
One that is alone travels as it came. So does one that is repeated: it may be what broke the batch before.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from enum import Enum, auto
from math import inf
from typing import Final

import msgspec

from hookline.http_api.forwarded_headers import CLUSTER, EPOCH, TIMEOUT, TOPOLOGY
from hookline.http_api.messages import HeaderPair
from hookline.peers.sender import UNREADABLE, NeverLeft, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.internal_http import MESSAGEPACK, GatheredAnswer, GatheredCreate
from hookline.protocol.limits import GATHERED_BYTES_MAX, GATHERED_JOB_BYTES_MAX, GATHERED_JOBS_MAX
from hookline.proxy.metrics import ProxyMetrics

BATCHES_MAX: Final = 3  # under way to one node: one it commits, one waits for that, one is on its way
WITHOUT_S: Final = 60.0  # how long a node that does not know the call is not asked again
_CREATE, _TOGETHER = CALLS["createJob"], CALLS["createGathered"]
_ROUTE = frozenset({EPOCH, TOPOLOGY, CLUSTER})  # the same for all that travel together
_NOT_TOGETHER = frozenset({401, 404, 413})  # it takes us for strangers, does not know the call, or takes less
_encode = msgspec.msgpack.Encoder().encode
_answers = msgspec.msgpack.Decoder(list[GatheredAnswer])

_Headers = tuple[HeaderPair, ...]


class _Told(Enum):
    """The fates of a create that waits, other than to be answered."""

    CARRY = auto()  # take the batch to the node, and tell the others
    ALONE = auto()  # travel by yourself


class _Passenger:
    """One create on its way.

    Attributes:
        route: the headers that say by which topology it was routed.
        headers: all others.
        size: in bytes.
        until_s: nobody waits for it after that, by the loop's time.
        told: how it goes on.
        batch: those it travels with, itself among them; empty while it waits.
    """

    __slots__ = ("batch", "call", "came_s", "headers", "route", "size", "told", "until_s")

    def __init__(self, call: NodeCall, came_s: float, until_s: float) -> None:
        route: list[HeaderPair] = []
        headers: list[HeaderPair] = []
        size = len(call.body)
        for pair in call.headers:
            name, value = pair
            if name in _ROUTE:
                route.append(pair)
            elif name != TIMEOUT:
                headers.append(pair)
                size += len(name) + len(value)
        self.call = call
        self.route = tuple(route)
        self.headers = headers
        self.size = size
        self.came_s = came_s
        self.until_s = until_s
        self.told: asyncio.Future[NodeAnswer | _Told] = asyncio.get_running_loop().create_future()
        self.batch: Sequence[_Passenger] = ()

    def is_late(self, answered_s: float) -> None:
        """Its time is over; the node answered others at ``answered_s`` last."""
        if self.batch:
            self.fail(Unclear("no answer in time"))
        else:
            self.fail(NeverLeft("it waited for others to return", is_silence=answered_s < self.came_s))

    def tell(self, how: NodeAnswer | _Told) -> None:
        """Say how it goes on, unless it has gone."""
        if not self.told.done():
            self.told.set_result(how)

    def fail(self, error: NotSent | Unclear) -> None:
        """Likewise."""
        if not self.told.done():
            self.told.set_exception(error)


class _Stop:
    """The place where creates gather that go to one node by one topology."""

    __slots__ = ("answered_s", "is_called", "under_way", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Passenger] = deque()
        self.under_way = 0
        self.is_called = False
        self.answered_s = -inf  # the node, last

    @property
    def is_idle(self) -> bool:
        """Nobody is here, and nobody comes back."""
        return not (self.waiting or self.under_way or self.is_called)

    def call_soon(self) -> None:
        """Let those leave for whom there is room, once all are here that arrive at this moment."""
        if not self.is_called:
            self.is_called = True
            asyncio.get_running_loop().call_soon(self._depart)

    def _depart(self) -> None:
        self.is_called = False
        while self.under_way < BATCHES_MAX and (batch := self._next()):
            self.under_way += 1
            for passenger in batch:
                passenger.batch = batch
            # Whoever waits longest carries it, so that it is not given up while others wait.
            max(batch, key=lambda passenger: passenger.until_s).tell(_Told.CARRY)

    def _next(self) -> list[_Passenger]:
        batch: list[_Passenger] = []
        size = 0
        while self.waiting and len(batch) < GATHERED_JOBS_MAX:
            if self.waiting[0].told.done():  # its time is over
                self.waiting.popleft()
                continue
            size += self.waiting[0].size
            if batch and size > GATHERED_BYTES_MAX:
                break
            batch.append(self.waiting.popleft())
        return batch

    def give_up(self, passenger: _Passenger) -> None:
        """Nobody waits for it any more. If it had just been told to carry a batch, another one does."""
        told = passenger.told
        if told.done() and not told.cancelled() and told.exception() is None and told.result() is _Told.CARRY:
            self.under_way -= 1
            others = [other for other in passenger.batch if other is not passenger]
            for other in others:
                other.batch = ()
            self.waiting.extendleft(reversed(others))
            self.call_soon()
        elif not passenger.batch and passenger in self.waiting:
            self.waiting.remove(passenger)


class GatheringSender:
    """Sends calls; creates that meet travel together.

    Args:
        sender: carries calls.
        metrics: told how many travel together.
    """

    def __init__(self, sender: Sender, metrics: ProxyMetrics) -> None:
        self._sender = sender
        self._metrics = metrics
        self._stops: dict[tuple[str, _Headers], _Stop] = {}
        self._without_until: dict[str, float] = {}  # nodes that do not know the call, by url

    @property
    def ways(self) -> int:
        """To so many nodes creates are under way now."""
        return len(self._stops)

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the node at ``url``. Raises NotSent or Unclear."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if not _may_gather(call) or self._without_until.get(url, 0.0) > now_s:
            return await self._sender.send(url, call, timeout_s)
        passenger = _Passenger(call, now_s, now_s + timeout_s)
        if passenger.size > GATHERED_JOB_BYTES_MAX:
            return await self._sender.send(url, call, timeout_s)
        told = await self._travel((url, passenger.route), passenger)
        if isinstance(told, NodeAnswer):
            return told
        return await self._sender.send(url, call, max(0.0, passenger.until_s - loop.time()))

    async def _travel(self, way: tuple[str, _Headers], passenger: _Passenger) -> NodeAnswer | _Told:
        """Its answer, or that it has to travel by itself."""
        stop = self._stops.get(way)
        if stop is None:
            stop = self._stops[way] = _Stop()
        stop.waiting.append(passenger)
        stop.call_soon()
        loop = asyncio.get_running_loop()
        timer = loop.call_at(passenger.until_s, lambda: passenger.is_late(stop.answered_s))
        try:
            told = await passenger.told
        except BaseException:
            stop.give_up(passenger)
            raise
        finally:
            timer.cancel()
            self._forget_if_idle(way, stop)
        return await self._carry(way, stop, passenger) if told is _Told.CARRY else told

    async def _carry(self, way: tuple[str, _Headers], stop: _Stop, carrier: _Passenger) -> NodeAnswer | _Told:
        """Take its batch to the node, and tell the others; what the carrier itself is told."""
        batch = carrier.batch
        self._metrics.gathered(len(batch))
        try:
            told = await self._ask(way, batch, carrier.until_s)
            stop.answered_s = asyncio.get_running_loop().time()
        except BaseException as error:
            kind = NotSent if isinstance(error, NotSent) else Unclear
            for passenger in batch:
                passenger.fail(kind(str(error) or "it was broken off"))
            raise
        finally:
            stop.under_way -= 1
            if stop.waiting:
                stop.call_soon()
            self._forget_if_idle(way, stop)
        for passenger, how in zip(batch, told, strict=True):
            passenger.tell(how)
        return told[batch.index(carrier)]

    async def _ask(
        self, way: tuple[str, _Headers], batch: Sequence[_Passenger], until_s: float
    ) -> Sequence[NodeAnswer | _Told]:
        """Ask the node; one answer for each of them. Raises NotSent or Unclear."""
        url, route = way
        now_s = asyncio.get_running_loop().time()
        timeout_s = max(0.0, until_s - now_s)
        if len(batch) == 1:
            return [await self._sender.send(url, batch[0].call, timeout_s)]
        creates = [GatheredCreate(passenger.call.body, passenger.headers) for passenger in batch]
        headers = ((b"content-type", MESSAGEPACK), *route, (TIMEOUT, b"%d" % max(1, int(timeout_s * 1_000))))
        answer = await self._sender.send(
            url, NodeCall(_TOGETHER.method, _TOGETHER.path, headers, _encode(creates)), timeout_s
        )
        if answer.status in _NOT_TOGETHER:
            self._without_until[url] = now_s + WITHOUT_S
            return [_Told.ALONE] * len(batch)
        if answer.status != 200:  # about all of them
            return [answer] * len(batch)
        return _each(answer, batch, now_s)

    def _forget_if_idle(self, way: tuple[str, _Headers], stop: _Stop) -> None:
        if stop.is_idle and self._stops.get(way) is stop:
            del self._stops[way]


def _may_gather(call: NodeCall) -> bool:
    is_create = call.target == _CREATE.path and call.method == _CREATE.method
    return is_create and call.is_repeatable and not call.is_again and call.fresh is None


def _each(answer: NodeAnswer, batch: Sequence[_Passenger], sent_s: float) -> Sequence[NodeAnswer]:
    """The answers to each of them. Raises Unclear when they cannot be told apart."""
    try:
        found = _answers.decode(answer.body)
    except UNREADABLE as error:
        raise Unclear("the answer cannot be read") from error
    if len(found) != len(batch):
        raise Unclear(f"{len(found)} answers came to {len(batch)} creates")
    return [
        NodeAnswer(
            one.status,
            one.body,
            one.content_type,
            (*answer.headers, *one.headers),
            waited_ms=(sent_s - passenger.came_s) * 1_000,
        )
        for one, passenger in zip(found, batch, strict=True)
    ]
