"""Applying what keeps the state in shape: destination settings, the topology, retention."""

from hookline.errors import EpochTaken, Misdirected, StateDiffers
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import (
    Changed,
    CheckDigest,
    PurgeFinished,
    PurgeKeys,
    PutDestination,
    Refused,
    Result,
    SetTopology,
)
from hookline.protocol.jobs import FINISHED, State, decode_spec, label_texts
from hookline.protocol.settings import decode_destination


def put_destination(tables: Tables, effects: Effects, command: PutDestination) -> Result:
    """Replace the settings of a destination."""
    number = tables.destination_id(command.name)
    tables.run("put_destination", number, command.settings)
    if decode_destination(command.settings).paused:
        tables.paused.add(number)
    else:
        tables.paused.discard(number)
    effects.destinations.append(command.name)
    return Changed(1)


def set_topology(tables: Tables, command: SetTopology) -> Result:
    """Keep the topology if it is newer. Of two different ones with the same epoch the first stays."""
    kept = tables.topology
    if kept is None or command.epoch > kept.epoch:
        tables.keep_topology(command)
        return Changed(1)
    if command.epoch < kept.epoch:
        return Refused(Misdirected.code)
    return Changed(0) if command.document == kept.document else Refused(EpochTaken.code)


def purge_finished(tables: Tables, time_ms: int, command: PurgeFinished) -> Result:
    """Forget the oldest finished jobs, a bounded number at a time."""
    seqs = {row[0] for row in tables.rows("finished_before", command.before_ms, time_ms, command.limit)}
    finished = sum(tables.counters[state.label] for state in FINISHED)
    excess = min(finished - command.keep, command.limit)
    if excess > len(seqs):
        seqs |= {row[0] for row in tables.rows("finished_oldest", time_ms, excess)}
    for seq in sorted(seqs):
        _forget(tables, seq)
    return Changed(len(seqs))


def _forget(tables: Tables, seq: int) -> None:
    spec = tables.row("spec_of", seq)
    if spec is not None:
        for label in label_texts(decode_spec(spec[0]).labels):
            tables.run("delete_label", label, seq)
    row = tables.row("purge_job", seq)
    tables.run("purge_spec", seq)
    tables.run("purge_attempts", seq)
    if row is not None:
        tables.moved(State(row[0]), None, 0)


def purge_keys(tables: Tables, command: PurgeKeys) -> Result:
    """Forget idempotency keys whose window is over."""
    keys = tables.rows("expired_keys", command.before_ms, command.limit)
    for (key,) in keys:
        tables.run("purge_key", key)
    return Changed(len(keys))


def check_digest(tables: Tables, command: CheckDigest) -> Result:
    """Raise StateDiffers unless this node's state is the one the leader had when it wrote the entry."""
    row = tables.row("digest")
    if row is None or row[0] != command.digest:
        raise StateDiffers
    return Changed(0)
