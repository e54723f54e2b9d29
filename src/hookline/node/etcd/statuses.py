"""Publishes and reads what nodes say of themselves, so that users see it and the log knows what it may forget."""

import asyncio
from collections.abc import Callable

import msgspec

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.client import EtcdClient, EtcdDenied, EtcdRefused, EtcdUnclear
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.identity import Position
from hookline.telemetry.area_log import log_of

_EVERY_S = 1.0
_TRY_S = 0.7

_log = log_of("etcd")


class NodeStatus(msgspec.Struct, frozen=True):
    """One node, as it saw itself at ``at_ms`` of its wall clock.

    Attributes:
        role: leader, follower or halted.
        applied, durable: the newest entry in its state, and the newest that survives a power cut of the node.
        position: whose state it has.
        halted: why it waits for a person.
        votes: for entries that some node disputes, by their index: the digest that this node's state had before.
        home, run: what tells its data directory, and its present start, from others.
        client_url: where it takes clients, if ``url`` is for our processes alone; jobs must not lead there.
    """

    name: str
    url: str
    role: str
    applied: int
    durable: int
    version: str
    at_ms: int
    position: Position | None = None
    halted: str | None = None
    votes: dict[str, str] = {}
    home: str = ""
    run: str = ""
    client_url: str = ""


def decode_status(value: bytes) -> NodeStatus:
    """As it is kept in etcd: JSON, so that an operator can read it."""
    return msgspec.json.decode(value, type=NodeStatus)


async def read_statuses(client: EtcdClient, keys: Keys) -> list[NodeStatus]:
    """Reads the newest status of every node. Raises EtcdUnclear, EtcdRefused."""
    request = rpc.RangeRequest(key=keys.nodes, range_end=prefix_end(keys.nodes))
    return [decode_status(kv.value) for kv in (await client.range(request, _TRY_S)).kvs]


class Statuses:
    """Publishes this node's status every second and reads those of all.

    Args:
        own: this node's status now.
        node: its name.

    Attributes:
        has_read: what the others told was read once.
        denied: why etcd does not let this node in any more.
        twin: what another process told under this node's name, if one did.
    """

    def __init__(self, client: EtcdClient, keys: Keys, own: Callable[[], NodeStatus], *, node: str) -> None:
        self._client = client
        self._keys = keys
        self._own = own
        self._node = node
        self._read: list[NodeStatus] = []
        self.has_read = False
        self.denied: str | None = None
        self.twin: NodeStatus | None = None
        self._twin_seen = 0

    def all(self) -> list[NodeStatus]:
        """Every node that ever told about itself, by name; this one as it is now."""
        return sorted([self._own(), *self.others()], key=lambda it: it.name)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Publish and read once, if etcd answers."""
        try:
            await self.exchange()
        except (EtcdUnclear, EtcdRefused) as error:
            denied = error.detail if isinstance(error, EtcdDenied) else None
            if denied is not None and denied != self.denied:
                _log.error("etcd_denied", error=denied)
            self.denied = denied
            self._client.rotate()

    def others(self) -> list[NodeStatus]:
        """Gives the other nodes' statuses, as they were read last."""
        return [status for status in self._read if status.name != self._node]

    async def exchange(self) -> None:
        """Publish and read now. Raises EtcdUnclear, EtcdRefused."""
        own = self._own()
        put = rpc.PutRequest(key=self._keys.node(own.name), value=msgspec.json.encode(own))
        read = rpc.RangeRequest(key=self._keys.nodes, range_end=prefix_end(self._keys.nodes))
        # Read first: what is there now under this node's name is its own last word, unless it has a twin.
        request = rpc.TxnRequest(success=[rpc.RequestOp(request_range=read), rpc.RequestOp(request_put=put)])
        response = await self._client.txn(request, _TRY_S)
        kvs = response.responses[0].response_range.kvs
        self._read = [decode_status(kv.value) for kv in kvs]
        self.has_read = True
        self.denied = None
        self._look_for_twin(own)

    def _look_for_twin(self, own: NodeStatus) -> None:
        twin = next((it for it in self._read if it.name == own.name and it.run != own.run), None)
        self._twin_seen += twin is not None
        # Once may be the last word of an earlier run, which was under way when that ended.
        if twin is not None and self.twin is None and self._twin_seen > 1:
            advice = "give each node of the cluster a --node name of its own; stop one of the two"
            _log.error("node_name_taken", node=own.name, other_url=twin.url, own_url=own.url, advice=advice)
            self.twin = twin
