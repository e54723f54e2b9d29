"""A charter is written once, and whoever asks for one learns which is there."""

from typing import Any

import msgspec

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.transactions import LeaderRecord
from hookline.node.identity import Charter
from tests.simulation.cluster.store import Store

KEYS = Keys("c0")
CHARTER = Charter(cluster_id="a" * 32, cluster="c0", shard=0)


class Etcd:
    """Answers at once."""

    def __init__(self) -> None:
        self.store = Store(lambda *_: None)

    async def txn(self, request: rpc.TxnRequest, _timeout_s: float) -> rpc.TxnResponse:
        return self.store.txn(request)

    def put(self, key: bytes, value: bytes) -> None:
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))
        self.store.txn(rpc.TxnRequest(success=[put]))


def _at(etcd: Any) -> Charters:
    return Charters(etcd, KEYS)


async def test_the_first_charter_stays() -> None:
    etcd = Etcd()
    assert await _at(etcd).begin(CHARTER) == CHARTER
    assert await _at(etcd).begin(Charter(cluster_id="b" * 32, cluster="c0", shard=0)) == CHARTER


async def test_a_node_that_won_an_election_in_an_emptied_etcd_is_not_in_the_way() -> None:
    etcd = Etcd()
    record = LeaderRecord("n3", "http://n3", 1, "nonce")
    assert etcd.store.txn(transactions.campaign(KEYS, record, 0, 0)).succeeded
    assert await _at(etcd).begin(CHARTER) == CHARTER
    found = etcd.store.at(KEYS.charter)
    assert found is not None
    assert found.value == msgspec.json.encode(CHARTER)


async def test_nothing_is_written_beside_a_log_and_nobody_is_told_it_was() -> None:
    etcd = Etcd()
    etcd.put(KEYS.entry(7), b"entry")
    assert await _at(etcd).begin(CHARTER) is None
    assert etcd.store.at(KEYS.charter) is None
