"""The node's end of the link to one front.

It puts the front's creates into the log, confirms that the front may answer by what it read, and runs what it relays.
"""

from collections.abc import Callable

from hookline.http_api.endpoint import AsgiApp
from hookline.node.api.context import Api
from hookline.node.front.creates import Creates, Spawn
from hookline.node.front.door import FrontDoor
from hookline.node.front.messages import (
    Begin,
    Confirm,
    Confirmed,
    Counts,
    Create,
    Drain,
    FromFront,
    FromNode,
    Gone,
    NodeTime,
    NotByYou,
    Part,
    Ready,
    Taken,
    encode,
    from_front,
)
from hookline.node.front.relayed import Relayed
from hookline.processes.link import Link
from hookline.telemetry.area_log import log_levels


class NodeEnd:
    """Serves one front.

    Args:
        api: of the node.
        app: the node's, for what is relayed.
        spawn: starts a task that may outlive the front: what it has begun goes on.
        told_ready: called when the front takes connections.

    Attributes:
        link: to the front; to be set before anything is received.
        is_ready: the front takes connections.
        silent_s: for how long whoever watches has not heard of it; set back by each word.
    """

    link: Link

    def __init__(self, api: Api, app: AsgiApp, spawn: Spawn, told_ready: Callable[[], None]) -> None:
        self._api = api
        self._app = app
        self._door = FrontDoor(api)
        self._spawn = spawn
        self._creates = Creates(api, self._door, self.send, spawn)
        self._relayed: dict[int, Relayed] = {}
        self._told_ready = told_ready
        self.is_ready = False
        self.silent_s = 0.0

    def send(self, message: FromNode) -> None:
        """To the front."""
        self.link.send(encode(message))

    def drain(self) -> None:
        """Make the front end in good order."""
        self.send(Drain())

    def tell_time(self) -> None:
        """The front goes by this node's time, and knows by its term who leads."""
        clock = self._api.services.clock
        self.send(NodeTime(clock.wall_ms() - clock.boot_ms(), self._door.term, log_levels()))

    def gone(self) -> None:
        """The front is gone, and so are its clients' connections."""
        for relayed in self._relayed.values():
            relayed.client_is_gone()

    def received(self, frame: bytes) -> None:
        """Take a message."""
        message: FromFront = from_front(frame)
        self.silent_s = 0.0
        match message:
            case Create():
                self._creates.take(message)
            case Confirm():
                self._confirm(message)
            case Begin():
                self._relay(message)
            case Gone():
                self._creates.forget(message.number)
                self._pass_on(message)
            case Part() | Taken():
                self._pass_on(message)
            case Counts():
                self._count(message)
            case Ready():
                self.is_ready = True
                self._told_ready()

    def _confirm(self, asked: Confirm) -> None:
        """Lead in the term in which the front read the state: then it may answer."""
        try:
            self._door.admitted(asked.call, asked.caller)
            if self._door.term != asked.term:
                self.send(NotByYou(asked.number, self._door.term))
                return
            reasons = [self._api.views.waiting_for(one) for one in asked.pending]
        except Exception as error:  # noqa: BLE001 - whatever it is, the front is told
            self.send(self._door.refusal(asked.number, error, is_open=False))
        else:
            self.send(Confirmed(asked.number, reasons))

    def _relay(self, begin: Begin) -> None:
        relayed = Relayed(begin, self.link)
        self._relayed[begin.number] = relayed
        self._spawn(self._run(begin.number, relayed))

    async def _run(self, number: int, relayed: Relayed) -> None:
        try:
            await relayed.run(self._app)
        finally:
            del self._relayed[number]

    def _pass_on(self, message: Part | Gone | Taken) -> None:
        if (relayed := self._relayed.get(message.number)) is not None:
            relayed.received(message)

    def _count(self, counts: Counts) -> None:
        for seconds in counts.create_seconds:
            self._api.observe_create(seconds)
        for code, times in counts.refusals.items():
            self._api.count_refusal(code, times)
