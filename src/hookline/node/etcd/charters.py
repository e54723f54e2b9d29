"""The charter of a cluster in etcd, and what its log looks like from a state: read as of one moment, written once."""

import msgspec

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.client import EtcdClient
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.identity import Anchor, Charter, Log, Overruled
from hookline.protocol.codec import decode_entry

_TRY_S = 2.0


class OverruledRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Of a term whose leader was found to be the odd one out.

    Attributes:
        index: of the first entry that it wrote for its own state only.
        digest: of the state that most nodes had before that entry, in hex.
        by: the node that found it.
    """

    term: int
    index: int
    digest: str
    by: str


class Charters:
    """The charter and the log of one cluster.

    Args:
        client: to etcd; every call is one try, and raises EtcdUnclear or EtcdRefused.
        keys: of the cluster.
    """

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def read(self, applied: int) -> tuple[Charter | None, Log]:
        """The charter, and the log as a state at entry ``applied`` sees it; both of the same moment."""
        keys = self._keys
        end = prefix_end(keys.log)
        ranges = (
            rpc.RangeRequest(key=keys.charter),
            rpc.RangeRequest(key=keys.log, range_end=end, limit=1, keys_only=True),
            rpc.RangeRequest(
                key=keys.log,
                range_end=end,
                limit=1,
                keys_only=True,
                sort_order=rpc.RangeRequest.DESCEND,
                sort_target=rpc.RangeRequest.KEY,
            ),
            rpc.RangeRequest(key=keys.entry(applied)),
            rpc.RangeRequest(key=keys.overruled, range_end=prefix_end(keys.overruled)),
        )
        request = rpc.TxnRequest(success=[rpc.RequestOp(request_range=it) for it in ranges])
        response = await self._client.txn(request, _TRY_S)
        charter, first, last, anchor, overruled = (it.response_range.kvs for it in response.responses)
        entry = decode_entry(anchor[0].value) if anchor else None
        log = Log(
            keys.index_of(first[0].key) if first else 0,
            keys.index_of(last[0].key) if last else 0,
            Anchor(entry.term, entry.nonce, entry.before) if entry else None,
            tuple(Overruled(it.term, it.index) for it in map(_record, overruled)),
        )
        return (_charter(charter[0].value) if charter else None), log

    async def begin(self, charter: Charter) -> Charter | None:
        """Write it, unless there is one or a log; returns the one that is there now; None: there is only a log."""
        keys = self._keys
        response = await self._client.txn(transactions.begin_cluster(keys, msgspec.json.encode(charter)), _TRY_S)
        if response.succeeded:
            return charter
        found = transactions.found_in(response)
        return _charter(found.value) if found is not None else None

    async def replace(self, before: Charter | None, charter: Charter) -> bool:
        """Forget the log and begin a new one; False when the charter is not ``before`` any more. A person decided."""
        old = None if before is None else msgspec.json.encode(before)
        request = transactions.begin_again(self._keys, old, msgspec.json.encode(charter))
        return (await self._client.txn(request, _TRY_S)).succeeded

    async def overruled(self, term: int) -> OverruledRecord | None:
        """Reads what most nodes found of a term's leader, if anything."""
        kvs = (await self._client.range(rpc.RangeRequest(key=self._keys.overruled_term(term)), _TRY_S)).kvs
        return _record(kvs[0]) if kvs else None

    async def overrule(self, record: OverruledRecord) -> None:
        """Write that a term's leader is the odd one out, once: from then on it can neither append nor renew its lead.

        Its record stays, so that nobody else leads before the time is over in which it may still send.
        """
        key = self._keys.overruled_term(record.term)
        await self._client.txn(transactions.put_if_absent(key, msgspec.json.encode(record)), _TRY_S)


def _charter(value: bytes) -> Charter:
    return msgspec.json.decode(value, type=Charter)


def _record(kv: rpc.KeyValue) -> OverruledRecord:
    return msgspec.json.decode(kv.value, type=OverruledRecord)
