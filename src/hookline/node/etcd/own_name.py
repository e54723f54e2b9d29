"""A node takes its name before it tells anything under it: two nodes of one name would each hide what the other tells.

Nothing here has to be given back. A status stays in etcd for good, and one that still moves is of a node that runs; one
that does not is of a node that ended, or whose machine was replaced. Only etcd is asked: the url of the other node may
lead to this one, or nowhere.
"""

import asyncio

import msgspec

from hookline.errors import NodeNameInUse
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.client import EtcdClient
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.statuses import NodeStatus, decode_status

_LOOK_S = 0.25
_STILL_LOOKS = 14  # 3.5 s: a node that runs tells about itself every second
_TRY_S = 0.7


class OwnName:
    """Takes the name of this node's status.

    Attributes:
        looks: how often the status of a possible twin was found unmoved.
    """

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._seen: int | None = None  # the revision of another's status
        self.looks = 0

    async def take(self, own: NodeStatus) -> None:
        """Return when the name is this node's; what was seen before an error counts when it is called again.

        Raises:
            NodeNameInUse: another process runs under it.
            EtcdUnclear, EtcdRefused: etcd does not answer; call it again.
        """
        while not await self._try(own):  # noqa: ASYNC110 - it depends on another process, which sets no event here
            await asyncio.sleep(_LOOK_S)

    async def _try(self, own: NodeStatus) -> bool:
        key = self._keys.node(own.name)
        kvs = (await self._client.range(rpc.RangeRequest(key=key), _TRY_S)).kvs
        revision = kvs[0].mod_revision if kvs else 0
        found = decode_status(kvs[0].value) if kvs else None
        if found is not None and found.home != own.home:
            if self._seen is not None and self._seen != revision:
                raise NodeNameInUse(
                    f"another node called {own.name} runs in this cluster, at {found.url}; start this one with another "
                    "--node name, or stop that one first"
                )
            self._seen = revision
            self.looks += 1
            if self.looks < _STILL_LOOKS:
                return False
        put = transactions.put_if_unchanged(key, msgspec.json.encode(own), revision)
        return (await self._client.txn(put, _TRY_S)).succeeded
