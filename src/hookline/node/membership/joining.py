"""Asks etcd before a node is a member: who can give it a state, and which key seals the secrets."""

import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from hookline.clock import Clock
from hookline.node.config import NodeConfig
from hookline.node.etcd import transactions
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.client import EtcdAddress, EtcdClient, EtcdRefused, EtcdUnclear
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.outage import Outage
from hookline.node.etcd.statuses import NodeStatus, read_statuses
from hookline.node.identity import Charter, Log
from hookline.node.storage.snapshots import SnapshotInfo
from hookline.node.vault import KEY_BYTES, remember_key, remembered_key
from hookline.telemetry.area_log import log_of

T = TypeVar("T")

_log = log_of("leadership")
_TRY_S = 2.0


class Peers(NamedTuple):
    """The nodes that can give this one a state.

    Attributes:
        urls: of the other nodes.
        at_least: the entry that it must hold so that the log goes on from it.
        charter: whose state it must be.
    """

    urls: list[str]
    at_least: int
    charter: Charter | None

    def wants(self, info: SnapshotInfo) -> bool:
        """It is of the cluster whose log etcd holds, and of the time of that log."""
        charter = self.charter
        if charter is None or info.cluster_id != charter.cluster_id:
            return False
        is_its_beginning = (info.index, info.digest) == (charter.begins_after, charter.digest)
        return info.generation == charter.generation or is_its_beginning


async def find_peers(config: NodeConfig) -> Peers:
    """The other nodes, and what a snapshot of theirs must hold.

    Raises:
        EtcdUnclear, EtcdRefused: etcd does not answer.
    """
    keys = Keys(config.cluster)

    async def ask(client: EtcdClient) -> tuple[list[NodeStatus], tuple[Charter | None, Log]]:
        return await read_statuses(client, keys), await Charters(client, keys).read(0)

    statuses, (charter, log) = await _at_any_member(config, ask)
    at_least = max(log.first - 1, charter.begins_after if charter is not None else 0)
    return Peers([status.url for status in statuses if status.name != config.node], at_least, charter)


async def agree_on_secret_key(config: NodeConfig, clock: Clock, outage: Outage) -> str:
    """The key that all nodes of the cluster seal secrets with, when none was given: the first node makes it.

    It is kept in etcd, beside the log that holds the sealed secrets: better than three keys, and than none. Each node
    remembers it, so that an etcd that was lost does not take it along.

    Raises:
        EtcdUnclear, EtcdRefused: etcd does not answer.
    """
    remembered = remembered_key(config.data_dir)
    proposed = remembered or base64.b64encode(clock.token(KEY_BYTES)).decode()
    request = transactions.put_if_absent(Keys(config.cluster).secret_key, proposed.encode())
    response = await _at_any_member(config, lambda client: client.txn(request, _TRY_S), outage)
    _log.warning("secret_key_in_etcd", advice="give all nodes the same --secret-key-file or HOOKLINE_SECRET_KEY")
    found = transactions.found_in(response) if not response.succeeded else None
    agreed = proposed if found is None else found.value.decode()
    if remembered is None:
        remember_key(config.data_dir, agreed, clock)
    elif remembered != agreed:  # this node's came later, and may have sealed secrets of an etcd that was lost
        return f"{agreed},{remembered}"
    return agreed


async def _at_any_member(
    config: NodeConfig, ask: Callable[[EtcdClient], Awaitable[T]], outage: Outage | None = None
) -> T:
    """Ask one member after the other what may be asked twice; the first answer. Raises as the last one did."""
    client = EtcdClient(address_of(config), outage)
    try:
        for _ in config.etcd[1:]:
            with suppress(EtcdUnclear, EtcdRefused):
                return await ask(client)
            client.rotate()
        return await ask(client)
    finally:
        await client.close()


def address_of(config: NodeConfig) -> EtcdAddress:
    """The address of etcd, by the node's settings."""
    return EtcdAddress(
        config.etcd, config.etcd_ca, config.etcd_cert, config.etcd_key, config.etcd_user, config.etcd_password
    )
