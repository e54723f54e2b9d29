"""The transactions that safety rests on, as plain messages. Pure.

Each compares the leader record's revision and contains a put or a deletion, so that etcd puts it through Raft and a
node that lost the lead, or talks to a member that lags, cannot slip through.
"""

import msgspec

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.keys import Keys, prefix_end


class LeaderRecord(msgspec.Struct, frozen=True):
    """The leader. ``url`` empty: nobody, the last leader handed over. ``nonce`` tells this write from any other.

    ``owner``: the leader's process, as its claims name it.
    """

    node: str
    url: str
    term: int
    nonce: str
    owner: str = ""


def encode_leader(record: LeaderRecord) -> bytes:
    """As JSON, so that an operator can read it with etcdctl."""
    return msgspec.json.encode(record)


def decode_leader(value: bytes) -> LeaderRecord:
    """The inverse."""
    return msgspec.json.decode(value, type=LeaderRecord)


def append(
    keys: Keys, index: int, data: bytes, leader_revision: int, term: int, *, begins: bool = False
) -> rpc.TxnRequest:
    """Write entry ``index`` if we still lead in ``term``, the slot is empty and the one before it is not.

    ``begins``: it is the first entry of its log, number 1 or the one after a kept state. It has none before it; there
    the whole log has to be empty, or one that was truncated would begin anew, and the charter has to be there. A
    refusal brings the entry in the slot or, when that is empty, the next one.
    """
    slot = keys.entry(index)
    compare = _leads(keys, leader_revision, term)
    if begins or index == 1:
        compare += [_none_in(keys.log), _present(keys.charter)]
    else:
        compare += [_absent(slot), _present(keys.entry(index - 1))]
    found = rpc.RangeRequest(key=slot, range_end=prefix_end(keys.log), limit=1)
    return rpc.TxnRequest(
        compare=compare,
        success=[_put(slot, data), _put(keys.beat, b"%d" % index)],
        failure=[rpc.RequestOp(request_range=found)],
    )


def renew(keys: Keys, leader_revision: int, term: int, beat: int, newest: int = 0) -> rpc.TxnRequest:
    """Show that the leader lives, if ``newest``, the entry it wrote last, is still there; 0: it wrote none yet.

    An etcd that was set back may have the leader's record again, and not its entries.
    """
    return rpc.TxnRequest(
        compare=[*_leads(keys, leader_revision, term), *([_present(keys.entry(newest))] if newest else [])],
        success=[_put(keys.beat, b"idle %d" % beat)],
        failure=[_get(keys.leader)],
    )


def campaign(keys: Keys, record: LeaderRecord, leader_revision: int, beat_revision: int) -> rpc.TxnRequest:
    """Become the leader if neither the leader nor its beat has moved since they were seen (0: they were absent)."""
    value = encode_leader(record)
    return rpc.TxnRequest(
        compare=[_unchanged(keys.leader, leader_revision), _unchanged(keys.beat, beat_revision)],
        success=[_put(keys.leader, value), _put(keys.beat, b"elected")],
        failure=[_get(keys.leader)],
    )


def release(keys: Keys, record: LeaderRecord, leader_revision: int) -> rpc.TxnRequest:
    """Give the lead up; the followers may campaign at once."""
    return rpc.TxnRequest(
        compare=[_unchanged(keys.leader, leader_revision)],
        success=[_put(keys.leader, encode_leader(record))],
        failure=[_get(keys.leader)],
    )


def truncate(keys: Keys, upto: int, leader_revision: int) -> rpc.TxnRequest:
    """Delete the entries up to ``upto``, if we still lead. No put: a full etcd takes deletions, but nothing else."""
    delete = rpc.DeleteRangeRequest(key=keys.entry(0), range_end=keys.entry(upto + 1))
    return rpc.TxnRequest(
        compare=[_unchanged(keys.leader, leader_revision)],
        success=[rpc.RequestOp(request_delete_range=delete)],
    )


def begin_cluster(keys: Keys, charter: bytes) -> rpc.TxnRequest:
    """Write the charter of a new cluster, if there is none and no log; a refusal brings the charter.

    There may be a leader: a node that ran while etcd was emptied stands for election, and finds only then that it must
    not write. Nobody can before the charter is there.
    """
    return rpc.TxnRequest(
        compare=[_absent(keys.charter), _none_in(keys.log)],
        success=[_put(keys.charter, charter)],
        failure=[_get(keys.charter)],
    )


def begin_again(keys: Keys, before: bytes | None, charter: bytes) -> rpc.TxnRequest:
    """Put a charter in the place of ``before`` (None: of none), and forget the log, its leader and what nodes told."""
    forgotten = [(keys.leader, b""), (keys.beat, b"")]
    forgotten += [(prefix, prefix_end(prefix)) for prefix in (keys.log, keys.overruled, keys.nodes)]
    return rpc.TxnRequest(
        compare=[_absent(keys.charter) if before is None else _holds(keys.charter, before)],
        success=[
            _put(keys.charter, charter),
            *(
                rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key, range_end=end))
                for key, end in forgotten
            ),
        ],
    )


def put_if_absent(key: bytes, value: bytes) -> rpc.TxnRequest:
    """Write a value that all nodes share, unless one has written it before; a refusal brings that one."""
    return rpc.TxnRequest(compare=[_absent(key)], success=[_put(key, value)], failure=[_get(key)])


def put_if_unchanged(key: bytes, value: bytes, revision: int) -> rpc.TxnRequest:
    """Write it if nobody has since ``revision`` (0: since it was absent)."""
    return rpc.TxnRequest(compare=[_unchanged(key, revision)], success=[_put(key, value)])


def found_in(response: rpc.TxnResponse) -> rpc.KeyValue | None:
    """Gives the key that the failure branch read; None when it is not there."""
    kvs = response.responses[0].response_range.kvs
    return kvs[0] if kvs else None


def _leads(keys: Keys, leader_revision: int, term: int) -> list[rpc.Compare]:
    """We are still the leader of this term, and most nodes did not find our state to be the odd one out."""
    return [_unchanged(keys.leader, leader_revision), _absent(keys.overruled_term(term))]


def _unchanged(key: bytes, revision: int) -> rpc.Compare:
    return rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=key, mod_revision=revision)


def _absent(key: bytes) -> rpc.Compare:
    return rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.CREATE, key=key, create_revision=0)


def _holds(key: bytes, value: bytes) -> rpc.Compare:
    return rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.VALUE, key=key, value=value)


def _none_in(prefix: bytes) -> rpc.Compare:
    return rpc.Compare(
        result=rpc.Compare.EQUAL,
        target=rpc.Compare.CREATE,
        key=prefix,
        range_end=prefix_end(prefix),
        create_revision=0,
    )


def _present(key: bytes) -> rpc.Compare:
    return rpc.Compare(result=rpc.Compare.GREATER, target=rpc.Compare.CREATE, key=key, create_revision=0)


def _put(key: bytes, value: bytes) -> rpc.RequestOp:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))


def _get(key: bytes) -> rpc.RequestOp:
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key))
