"""The calls of a leader to the clusters that take over what it gives up."""

import msgspec

from hookline.errors import BatchUnknown, HooklineError
from hookline.http_api.forwarded_headers import CLUSTER, EPOCH
from hookline.http_api.messages import HeaderPair
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.internal_http import MESSAGEPACK, Arrived
from hookline.protocol.moves import Activation, Arrival
from hookline.protocol.topology import ClusterEntry

_TIMEOUT_S = 5.0
_encode = msgspec.msgpack.Encoder().encode
_arrived = msgspec.msgpack.Decoder(Arrived)


class NotTaken(HooklineError):
    """The other cluster did not say that it has it; ``detail`` says why."""

    code = "not_taken"


class NewHomes:
    """Any node of a cluster will do: each passes on to its leader.

    Args:
        sender: carries the calls.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._answered: dict[str, str] = {}  # by name: the node that answered last

    async def take(self, home: ClusterEntry, arrival: Arrival, epoch: int) -> Arrived:
        """Have a batch kept there, inert.

        Args:
            home: which takes it once it has the topology of that epoch, and with it the settings of destinations.
            arrival: the batch.
            epoch: of the topology by which it moves.

        Raises:
            NotTaken: it may be there or not; it can be sent again.
        """
        answer = await self._ask(home, "takeArrival", _encode(arrival), (EPOCH, b"%d" % epoch))
        try:
            return _arrived.decode(answer.body)
        except UNREADABLE as error:
            raise NotTaken(f"cluster {home.name} answers what cannot be read") from error

    async def activate(self, home: ClusterEntry, activation: Activation) -> bool:
        """Have what arrived there count; False: it did not arrive there.

        Raises:
            NotTaken: nobody knows whether it counts; it has to be asked again.
        """
        return (await self._ask(home, "activateArrival", _encode(activation))).status < 300

    async def _ask(self, home: ClusterEntry, name: str, body: bytes, *headers: HeaderPair) -> NodeAnswer:
        known = self._answered.get(home.name)
        urls = sorted(home.nodes, key=lambda url: url != known)
        why = "it has no node"
        for url in urls:
            call = NodeCall.to(CALLS[name], body, (CLUSTER, home.name.encode()), *headers).with_headers(
                (b"content-type", MESSAGEPACK)
            )
            try:
                answer = await self._sender.send(url, call, _TIMEOUT_S)
            except (NotSent, Unclear) as error:
                why = error.detail
                continue
            if answer.status < 300 or answer.code == BatchUnknown.code:
                self._answered[home.name] = url
                return answer
            why = str(answer.problem.get("detail", answer.status))
        raise NotTaken(f"cluster {home.name} does not take it: {why}")
