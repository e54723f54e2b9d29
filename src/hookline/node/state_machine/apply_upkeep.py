"""Applying what keeps the state in shape: identity, destination settings, the topology, retention."""

from hookline.errors import EpochTaken, ForeignState, Misdirected
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.sums import ATTEMPTS, DESTINATIONS, JOBS, KEYS, LABELS, row_sum
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import (
    BeginLog,
    Changed,
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
    tables.summed_row(DESTINATIONS, "destination_row", number, -1)
    tables.run("put_destination", number, command.settings)
    tables.summed_row(DESTINATIONS, "destination_row", number, 1)
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
    spec = tables.row("purge_spec", seq)
    row = tables.row("purge_job", seq)
    if spec is not None:
        for label in label_texts(decode_spec(spec[0]).labels):
            tables.count(LABELS, "delete_label", label, seq, sign=-1)
    tables.count(ATTEMPTS, "purge_attempts", seq, sign=-1)
    if row is not None:
        tables.moved(State(row[0]), None, 0)
        if spec is not None:
            tables.summed(JOBS, -row_sum(seq, row[1], *spec))


def purge_keys(tables: Tables, command: PurgeKeys) -> Result:
    """Forget idempotency keys whose window is over."""
    keys = tables.rows("expired_keys", command.before_ms, command.limit)
    for row in keys:
        tables.run("purge_key", row[0])
        tables.summed(KEYS, -row_sum(*row))
    return Changed(len(keys))


def begin_log(tables: Tables, command: BeginLog) -> Result:
    """Keep whose log it is. Raise ForeignState when the state is another cluster's, or of a later generation."""
    own = tables.identity
    if own is not None and (own.cluster_id != command.cluster_id or own.generation >= command.generation):
        raise ForeignState(
            f"the log begins generation {command.generation} of cluster {command.cluster} ({command.cluster_id}); "
            f"this state is of generation {own.generation} of cluster {own.cluster} ({own.cluster_id})"
        )
    tables.keep_identity(command)
    return Changed(1)
