"""Applying what keeps the state in shape: identity, destination settings, the topology, retention."""

from msgspec.structs import astuple

from hookline.errors import EpochTaken, ForeignState, Misdirected
from hookline.node.state_machine.apply_deletes import forget
from hookline.node.state_machine.apply_tenants import keep_settings
from hookline.node.state_machine.effects import ChangedDestination, Effects
from hookline.node.state_machine.rows import StoredKey
from hookline.node.state_machine.sums import DESTINATIONS, KEYS, row_sum
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import (
    BeginLog,
    Changed,
    ImportDestinations,
    PurgeFinished,
    PurgeKeys,
    PutDestination,
    Refused,
    Result,
    SetMode,
    SetTopology,
)
from hookline.protocol.jobs import FINISHED
from hookline.protocol.settings import decode_destination
from hookline.protocol.topology_change import outranks


def put_destination(tables: Tables, effects: Effects, command: PutDestination) -> Result:
    """Replace the settings of a destination, if they are others."""
    number = tables.destination_id(command.tenant, command.name)
    ((before,),) = tables.rows("destination_settings", number)
    if before == command.settings:
        return Changed(0)
    _put_settings(tables, effects, command.tenant, command.name, command.settings)
    return Changed(1)


def import_destinations(tables: Tables, effects: Effects, command: ImportDestinations) -> Result:
    """Replace the settings of these destinations and tenants, unless the topology they belong to is here already.

    Then the page is a late one, and what was set under that topology is newer.
    """
    if tables.topology is not None and tables.topology.epoch >= command.epoch:
        return Refused(Misdirected.code)
    for tenant, name, settings in command.settings:
        _put_settings(tables, effects, tenant, name, settings)
    for tenant, settings in command.tenants:
        keep_settings(tables, effects, tenant, settings)
    if command.is_last:
        tables.keep_settings_epoch(command.epoch)
    return Changed(len(command.settings))


def _put_settings(tables: Tables, effects: Effects, tenant: str, name: str, settings: bytes) -> None:
    number = tables.destination_id(tenant, name)
    tables.summed_row(DESTINATIONS, "destination_row", number, -1)
    tables.run("put_destination", number, settings)
    tables.summed_row(DESTINATIONS, "destination_row", number, 1)
    if decode_destination(settings).paused:
        tables.paused.add(number)
    else:
        tables.paused.discard(number)
    effects.destinations.append(ChangedDestination(number, tenant, name))


def set_topology(tables: Tables, effects: Effects, command: SetTopology) -> Result:
    """Keep the topology if it is newer. Of two with the same epoch the one that the smaller shard decided stays."""
    kept = tables.topology
    if kept is not None and command.epoch < kept.epoch:
        return Refused(Misdirected.code)
    if kept is None or command.epoch > kept.epoch or outranks(command.decided_by, kept.decided_by):
        if command.begins_move:
            tables.begin_move()
        tables.keep_topology(command)
        effects.topology_changed = True
        return Changed(1)
    return Changed(0) if command.document == kept.document else Refused(EpochTaken.code)


def set_mode(tables: Tables, effects: Effects, command: SetMode) -> Result:
    """Keep the mode, if it is another one."""
    if command.mode == tables.mode:
        return Changed(0)
    tables.keep_mode(command.mode)
    effects.mode_changed = True
    return Changed(1)


def purge_finished(tables: Tables, time_ms: int, command: PurgeFinished) -> Result:
    """Forget the oldest finished jobs, a bounded number at a time: dead ones only with the room that others leave."""
    dead_before_ms = command.before_ms if command.dead_before_ms is None else command.dead_before_ms
    seqs = {seq for (seq,) in tables.rows("finished_before", 0, command.before_ms, time_ms, command.limit)}
    left = command.limit - len(seqs)
    seqs |= {seq for (seq,) in tables.rows("finished_before", 1, dead_before_ms, time_ms, left)}
    finished = tables.total(*FINISHED)
    excess = min(finished - command.keep, command.limit)
    if excess > len(seqs):
        seqs |= {seq for (seq,) in tables.rows("finished_oldest", time_ms, excess)}
    for seq in sorted(seqs):
        forget(tables, seq)
    return Changed(len(seqs))


def purge_keys(tables: Tables, command: PurgeKeys) -> Result:
    """Forget idempotency keys whose window is over."""
    keys = tables.all(StoredKey, "expired_keys", command.before_ms, command.limit)
    for known in keys:
        tables.run("purge_key", known.key, known.tenant)
        tables.summed(KEYS, -row_sum(*astuple(known)))
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
