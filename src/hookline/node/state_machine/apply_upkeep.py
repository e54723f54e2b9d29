"""Applying what keeps the state in shape: destination settings, the topology, retention."""

from hookline.errors import EpochTaken, Misdirected, StateDiffers
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import (
    Changed,
    CheckDigest,
    ImportDestinations,
    PurgeFinished,
    PurgeKeys,
    PutDestination,
    Refused,
    Result,
    SetTopology,
)
from hookline.protocol.jobs import FINISHED, State, decode_spec, label_texts
from hookline.protocol.settings import decode_destination
from hookline.protocol.topology_change import outranks


def put_destination(tables: Tables, effects: Effects, command: PutDestination) -> Result:
    """Replace the settings of a destination."""
    _put_settings(tables, effects, command.name, command.settings)
    return Changed(1)


def import_destinations(tables: Tables, effects: Effects, command: ImportDestinations) -> Result:
    """Replace the settings of these destinations, unless the topology they belong to is here already.

    Then the page is a late one, and what was set under that topology is newer.
    """
    if tables.topology is not None and tables.topology.epoch >= command.epoch:
        return Refused(Misdirected.code)
    for name, settings in command.settings:
        _put_settings(tables, effects, name, settings)
    if command.is_last:
        tables.keep_settings_epoch(command.epoch)
    return Changed(len(command.settings))


def _put_settings(tables: Tables, effects: Effects, name: str, settings: bytes) -> None:
    number = tables.destination_id(name)
    tables.run("put_destination", number, settings)
    if decode_destination(settings).paused:
        tables.paused.add(number)
    else:
        tables.paused.discard(number)
    effects.destinations.append(name)


def set_topology(tables: Tables, command: SetTopology) -> Result:
    """Keep the topology if it is newer. Of two with the same epoch the one that the smaller shard decided stays."""
    kept = tables.topology
    if kept is None or command.epoch > kept.epoch:
        tables.keep_topology(command)
        return Changed(1)
    if command.epoch < kept.epoch:
        return Refused(Misdirected.code)
    if outranks(command.decided_by, kept.decided_by):
        tables.keep_topology(command)
        return Changed(1)
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
