"""Runs statements for the apply functions and keeps numbers, counters and sums. Pure given the database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeVar

import apsw
import msgspec
from msgspec.structs import astuple, replace

from hookline.node.state_machine import numbers, rows, sql, sums
from hookline.node.state_machine.api_keys import ApiKeys
from hookline.node.state_machine.rows import ApiKeyRow, AuditRow
from hookline.node.state_machine.tenant_table import TenantTable
from hookline.protocol.commands import BeginLog, SetTopology
from hookline.protocol.jobs import DEFAULT_TENANT, State
from hookline.protocol.modes import DEFAULT_MODE, Mode
from hookline.protocol.moves import JOB, KEY, SCHEDULE, decode_batch
from hookline.protocol.settings import decode_destination

PENDING_BYTES = "pending_bytes"
_TOPOLOGY = "topology"
_SUMS = "sums"
_IDENTITY = "identity"
_SETTINGS_EPOCH = "settings_epoch"
_MODE = "mode"
_MOVED_EPOCH = "moved_epoch"
_HAS_LEFT = "has_left"
_FROZEN = "frozen_ms"
_ARRIVED = "arrived"
STATEMENTS = sql.load("statements.sql", rows.COLUMNS)

R = TypeVar("R", bound=sql.Row)


class KeptArrival(NamedTuple):
    """The newest batch of a source; ``counted``: the newest that counts here; ``names``: what is inert."""

    number: int
    counted: int
    batch: bytes | None
    names: frozenset[tuple[str, int, str]]

    @classmethod
    def of(cls, number: int, blob: bytes | None) -> Self:
        """As it is stored."""
        if blob is None:
            return cls(number, number, None, frozenset())
        batch = decode_batch(blob)
        names = [(record.work.tenant, JOB, record.id) for record in batch.jobs]
        names += [(record.work.tenant, KEY, key.key) for record in batch.jobs for key in record.keys]
        names += [(record.tenant, SCHEDULE, record.id) for record in batch.schedules]
        return cls(number, number - 1, blob, frozenset(names))


class KeptDeparture(NamedTuple):
    """The newest batch that was given up to a shard; ``departure`` None: it counts there.

    ``jobs``, ``schedules``: that went there since the topology changed.
    """

    number: int
    departure: bytes | None
    jobs: int
    schedules: int


class Tables:
    """A thin, cached view of the state, valid inside the transaction of one entry.

    The caches are derived from the database; ``reload`` reads them again after a rollback.

    Attributes:
        found: what the entry's statements have read and returned so far; part of the digest.
        sums: of each table, see ``sums``.
        api_keys: who may call the API.
        arrivals: what other clusters give up next, by its source.
        moved_epoch: of the newest topology by which all has moved that had to; ``has_left``: out of this cluster.
        longest_frozen_ms: for how long anything that moved counted nowhere.
        tenants: what is set for tenants.
        counters: of all tenants together, as of the last ``flush``; see ``counters_of``.
    """

    def __init__(self, writer: apsw.Connection) -> None:
        self._writer = writer
        self._cursor = writer.cursor()
        self.found: list[list[sql.Values]] = []
        self.reload()

    def reload(self) -> None:
        """Read the caches from the database."""
        known = self._writer.execute("SELECT tenant, name, id FROM destinations")
        self._destination_ids: dict[tuple[str, str], int] = {(tenant, name): number for tenant, name, number in known}
        self._tenants_of = {number: tenant for (tenant, _), number in self._destination_ids.items() if tenant}
        settings = self._writer.execute("SELECT id, settings FROM destinations WHERE settings IS NOT NULL")
        self.paused: set[int] = {number for number, blob in settings if decode_destination(blob).paused}
        self._counters = read_counters(self._writer)
        self._counters_written = {tenant: dict(own) for tenant, own in self._counters.items()}
        self.came: set[tuple[str, int, str]] = set()  # (tenant, kind, name): came to count here by the present entry
        self._counted: set[str] = set()  # tenants whose counters changed since they were written
        self.counters = {name: sum(own[name] for own in self._counters.values()) for name in new_counters()}
        self._next_seq: int | None = None
        self._next_seq_written: int | None = None
        self.sums = dict.fromkeys(sums.TABLES, 0) | read_sums(self._writer)
        self._sums_written = dict(self.sums)
        kept = self._meta(_TOPOLOGY)
        self.topology = None if kept is None else msgspec.msgpack.decode(kept, type=SetTopology)
        self.settings_epoch: int = self._meta(_SETTINGS_EPOCH) or 0
        self.identity = read_identity(self._writer)
        self.mode: Mode = self._meta(_MODE) or DEFAULT_MODE
        self.api_keys = ApiKeys(self._writer.execute(STATEMENTS["all_api_keys"]))
        self.tenants = TenantTable(self._writer.execute(STATEMENTS["all_tenants"]))
        self.arrivals = {
            source: KeptArrival.of(number, batch)
            for source, number, batch in self._writer.execute("SELECT source, number, batch FROM arrivals")
        }
        self._departures = {
            shard: KeptDeparture(*kept)
            for shard, *kept in self._writer.execute("SELECT shard, number, departure, jobs, schedules FROM departures")
        }
        self.moved_epoch: int = self._meta(_MOVED_EPOCH) or 0
        self.has_left = bool(self._meta(_HAS_LEFT))
        self.longest_frozen_ms: int = self._meta(_FROZEN) or 0

    def _meta(self, name: str) -> Any:
        rows: list[sql.Values] = self._writer.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchall()
        return rows[0][0] if rows else None

    def run(self, name: str, *values: object) -> None:
        """Execute a statement that answers nothing."""
        self._cursor.execute(STATEMENTS[name], values)

    def value(self, name: str, *values: object) -> Any:
        """Execute a statement that answers one column, which is never null; its value, None: there is no row."""
        found = self.rows(name, *values)
        return found[0][0] if found else None

    def row(self, kind: type[R], name: str, *values: object) -> R | None:
        """Execute a statement to its end and return its first row, if any."""
        found: list[sql.Values] = self._cursor.execute(STATEMENTS[name], values).fetchall()
        self.found.append(found)
        return kind(*found[0]) if found else None

    def all(self, kind: type[R], name: str, *values: object) -> list[R]:
        """Execute a statement and return all its rows."""
        return [kind(*row) for row in self.rows(name, *values)]

    def rows(self, name: str, *values: object) -> list[sql.Values]:
        """The same as they are, for their sums: the values of each in the order of the columns."""
        rows: list[sql.Values] = self._cursor.execute(STATEMENTS[name], values).fetchall()
        self.found.append(rows)
        return rows

    def count(self, table: str, name: str, *values: object, sign: int = 1) -> None:
        """Execute a statement that adds rows to a table of which only the number is summed, or takes rows from it."""
        self.summed(table, sign * self.changed(name, *values))

    def changed(self, name: str, *values: object) -> int:
        """Execute a statement that answers nothing; how many rows it changed."""
        self._cursor.execute(STATEMENTS[name], values)
        return self._writer.changes()

    def summed(self, table: str, change: int) -> None:
        """A row of the table came (``change`` its sum), or went (minus its sum)."""
        self.sums[table] += change

    def summed_row(self, table: str, statement: str, key: object, sign: int) -> None:
        """The same for the row that ``statement`` finds: call it with -1 before the row changes and with 1 after."""
        for row in self.rows(statement, key):
            self.summed(table, sign * sums.row_sum(*row))

    @contextmanager
    def overwriting(self) -> Iterator[None]:
        """SQLite overwrites what is deleted meanwhile with zeros, and does not only mark it as free."""
        self._writer.pragma("secure_delete", True)
        try:
            yield
        finally:
            self._writer.pragma("secure_delete", False)

    def take_seq(self, time_ms: int) -> int:
        """The number of a job that is created now: larger than any ever given, so that a purge never reuses one."""
        if self._next_seq is None:
            self._next_seq = self._next_seq_written = int(self._meta("next_seq") or 1)
        seq = self._next_seq
        if self.topology is not None:
            seq = numbers.of_new(time_ms, seq)
        self._next_seq = seq + 1
        return seq

    def take_arrivals_seq(self, created_ms: int) -> int:
        """The number of a job that comes from another cluster: among those that were created when it was."""
        arrived = int(self._meta(_ARRIVED) or 0)
        while True:
            arrived += 1
            seq = numbers.of_arrival(created_ms, arrived)
            if not self.rows("seq_in_use", seq):
                self.run("put_meta", _ARRIVED, arrived)
                return seq

    def destination_id(self, tenant: str, name: str) -> int:
        """The number of a tenant's destination, which is made when it is new."""
        number = self._destination_ids.get((tenant, name))
        if number is None:
            number = self._destination_ids[tenant, name] = int(self.value("insert_destination", tenant, name))
            if tenant != DEFAULT_TENANT:
                self._tenants_of[number] = tenant
            self.summed(sums.DESTINATIONS, sums.row_sum(number, tenant, name, None))
        return number

    def tenant_of(self, destination: int) -> str:
        """The tenant whose destination has that number."""
        return self._tenants_of.get(destination, DEFAULT_TENANT)

    def keep_tenant(self, tenant: str, settings: bytes) -> None:
        """Insert or replace what is set for a tenant."""
        self.summed_row(sums.TENANTS, "tenant", tenant, -1)
        self.run("put_tenant", tenant, settings)
        self.summed_row(sums.TENANTS, "tenant", tenant, 1)
        self.tenants.put(tenant, settings)

    def drop_tenant(self, tenant: str) -> None:
        """Forget that anything was ever set for a tenant."""
        self.summed_row(sums.TENANTS, "tenant", tenant, -1)
        self.run("delete_tenant", tenant)
        self.tenants.drop(tenant)

    def keep_topology(self, command: SetTopology) -> None:
        """Replace the topology; it is kept as the command that brought it."""
        self.run("put_meta", _TOPOLOGY, msgspec.msgpack.encode(command))
        self.topology = command

    def keep_identity(self, command: BeginLog) -> None:
        """Keep the state's identity, as the command that brought it."""
        self.run("put_meta", _IDENTITY, msgspec.msgpack.encode(command))
        self.identity = command

    def keep_settings_epoch(self, epoch: int) -> None:
        """Note that all of the fleet's settings of destinations are here, as of the topology of that epoch."""
        self.run("put_meta", _SETTINGS_EPOCH, epoch)
        self.settings_epoch = epoch

    def keep_mode(self, mode: Mode) -> None:
        """Replace the cluster's mode."""
        self.run("put_meta", _MODE, mode)
        self.mode = mode

    def keep_arrival(self, source: str, number: int, batch: bytes | None) -> None:
        """Insert or replace the newest batch of a source; ``batch`` None: it counts here."""
        self.summed_row(sums.ARRIVALS, "arrival", source, -1)
        self.run("put_arrival", source, number, batch)
        self.summed_row(sums.ARRIVALS, "arrival", source, 1)
        self.arrivals[source] = KeptArrival.of(number, batch)

    def is_arriving(self, tenant: str, kind: int, name: str) -> bool:
        """Is it here, inert?"""
        return any((tenant, kind, name) in kept.names for kept in self.arrivals.values())

    @property
    def departures(self) -> Mapping[int, KeptDeparture]:
        """The newest batch that was given up to each shard."""
        return self._departures

    def departure(self, shard: int) -> KeptDeparture | None:
        """The newest batch that was given up to that shard."""
        return self._departures.get(shard)

    def keep_departure(
        self, shard: int, number: int, departure: bytes | None, *, jobs: int = 0, schedules: int = 0
    ) -> None:
        """Insert or replace the newest batch that was given up to a shard; None: it counts there.

        ``jobs``, ``schedules``: that went with it.
        """
        before = self._departures.get(shard)
        if before is not None:
            jobs, schedules = jobs + before.jobs, schedules + before.schedules
        self._put_departure(shard, KeptDeparture(number, departure, jobs, schedules))

    def _put_departure(self, shard: int, kept: KeptDeparture) -> None:
        self.summed_row(sums.DEPARTURES, "departure", shard, -1)
        self.run("put_departure", shard, *kept)
        self.summed_row(sums.DEPARTURES, "departure", shard, 1)
        self._departures[shard] = kept

    def begin_move(self) -> None:
        """Another change of the topology: what has moved is counted anew, and a cluster that left may be back."""
        for shard, kept in sorted(self._departures.items()):
            self._put_departure(shard, kept._replace(jobs=0, schedules=0))
        self.run("put_meta", _FROZEN, 0)
        self.longest_frozen_ms = 0
        self.keep_moved(0, has_left=False)

    def keep_moved(self, epoch: int, *, has_left: bool) -> None:
        """Note that nothing is left to move by the topology of that epoch."""
        self.run("put_meta", _MOVED_EPOCH, epoch)
        self.run("put_meta", _HAS_LEFT, int(has_left))
        self.moved_epoch, self.has_left = epoch, has_left

    def keep_frozen(self, frozen_ms: int) -> None:
        """Note for how long what moved counted nowhere, if it was the longest time."""
        if frozen_ms > self.longest_frozen_ms:
            self.run("put_meta", _FROZEN, frozen_ms)
            self.longest_frozen_ms = frozen_ms

    def keep_api_key(self, row: ApiKeyRow) -> None:
        """Insert or replace an API key."""
        self._drop_api_key_sum(row.id)
        self.run("put_api_key", row.id, row.record, row.used_ms)
        self.summed(sums.API_KEYS, sums.row_sum(row.id, row.record, row.used_ms))
        self.api_keys.put(row.id, row.record, row.used_ms)

    def drop_api_key(self, key_id: str) -> None:
        """Forget an API key."""
        self._drop_api_key_sum(key_id)
        self.run("delete_api_key", key_id)
        self.api_keys.drop(key_id)

    def _drop_api_key_sum(self, key_id: str) -> None:
        for values in self.rows("api_key", key_id):
            self.summed(sums.API_KEYS, -sums.row_sum(*values))

    def add_audit(self, note: str, time_ms: int, action: str, actor: str, record: bytes) -> None:
        """A new row of the audit log."""
        number = int(self.value("insert_audit", note, time_ms, action, actor, record))
        self.summed(sums.AUDIT, sums.row_sum(number, note, time_ms, action, actor, record))

    def replace_audit(self, row: AuditRow, record: bytes) -> None:
        """The same request has changed more."""
        self.run("replace_audit", row.number, record)
        self.summed(sums.AUDIT, -sums.row_sum(*astuple(row)))
        self.summed(sums.AUDIT, sums.row_sum(*astuple(replace(row, record=record))))

    def drop_audit(self, row: AuditRow) -> None:
        """Forget a row of the audit log."""
        self.run("delete_audit", row.number)
        self.summed(sums.AUDIT, -sums.row_sum(*astuple(row)))

    def counters_of(self, tenant: str) -> dict[str, int]:
        """One tenant's jobs by state, and bytes of pending payload."""
        own = self._counters.get(tenant)
        if own is None:
            own = self._counters[tenant] = new_counters()
        return own

    def known_counters(self, tenant: str) -> Mapping[str, int]:
        """The same to look at: of a tenant without a job nothing is kept."""
        return self._counters.get(tenant, _NO_JOBS)

    @property
    def counters_by_tenant(self) -> Mapping[str, Mapping[str, int]]:
        """Those of each tenant that ever had a job."""
        return self._counters

    def total(self, *states: State) -> int:
        """How many jobs of all tenants are in these states now."""
        return sum(own[state.label] for own in self._counters.values() for state in states)

    def moved(self, tenant: str, before: State | None, after: State | None, size: int) -> None:
        """Keep the counters when one job changes state (None: it did not exist, or no longer does)."""
        self._counted.add(tenant)
        was_open = is_open = False
        counters = self._counters.get(tenant) or self.counters_of(tenant)
        if before is not None:
            counters[before.label] -= 1
            was_open = before.is_open
        if after is not None:
            counters[after.label] += 1
            is_open = after.is_open
        if was_open is not is_open:
            counters[PENDING_BYTES] += size if is_open else -size

    def flush(self) -> None:
        """Write what changed in the counters, the sums and the next job number; what did not is not written again.

        What is written of the counters is ``found`` as well: the digest has the sums and totals anyway.
        """
        if self._counted:
            self.found.append([counter for tenant in sorted(self._counted) for counter in self._flush_counters(tenant)])
            self._counted.clear()
        if self._next_seq != self._next_seq_written:
            self.run("put_meta", "next_seq", self._next_seq)
            self._next_seq_written = self._next_seq
        self.sums = sums.wrapped(self.sums)
        if self.sums != self._sums_written:
            self.run("put_meta", _SUMS, msgspec.msgpack.encode(self.sums))
            self._sums_written = dict(self.sums)

    def _flush_counters(self, tenant: str) -> list[sql.Values]:
        written = self._counters_written.setdefault(tenant, {})
        changed = [
            (tenant, name, value) for name, value in self.counters_of(tenant).items() if written.get(name) != value
        ]
        for _, name, value in changed:
            self.run("put_counter", tenant, name, value)
            self.counters[name] += value - written.get(name, 0)
            written[name] = value
        return changed


def new_counters() -> dict[str, int]:
    """The counters of a tenant without a job."""
    return {state.label: 0 for state in State} | {PENDING_BYTES: 0}


_NO_JOBS: Mapping[str, int] = MappingProxyType(new_counters())


def read_counters(connection: apsw.Connection) -> dict[str, dict[str, int]]:
    """The counters as the state has kept them, by tenant."""
    found: dict[str, dict[str, int]] = {}
    for tenant, name, value in connection.execute("SELECT tenant, name, value FROM counters"):
        found.setdefault(tenant, new_counters())[name] = value
    return found


def read_identity(connection: apsw.Connection) -> BeginLog | None:
    """The identity of the state; None when it is empty."""
    kept: list[sql.Values] = connection.execute("SELECT value FROM meta WHERE name = ?", (_IDENTITY,)).fetchall()
    return msgspec.msgpack.decode(kept[0][0], type=BeginLog) if kept else None


def read_sums(connection: apsw.Connection) -> dict[str, int]:
    """The sums of the tables, as the state has kept them."""
    kept: list[sql.Values] = connection.execute("SELECT value FROM meta WHERE name = ?", (_SUMS,)).fetchall()
    return msgspec.msgpack.decode(kept[0][0], type=dict[str, int]) if kept else {}
