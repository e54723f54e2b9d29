"""Reads a whole state and tells whether its rows are the ones that were written: none missing, none changed.

SQLite finds a broken structure, not a changed byte or a row that somebody took out. The sums that ``apply`` keeps
(``sums``) do. Reading is in slices, on a connection of its own, so that it can go on beside the node's work.
"""

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from hookline.errors import StateDamaged
from hookline.node.state_machine import sums
from hookline.node.state_machine.tables import PENDING_BYTES, new_counters, read_counters, read_sums
from hookline.protocol.jobs import State

SLICE_ROWS = 1_000

_JOBS = "SELECT j.seq, j.tenant, j.id, s.spec, s.fingerprint, s.sum FROM jobs j LEFT JOIN specs s ON s.seq = j.seq"
_BY_STATE = "SELECT tenant, state, count(*), sum(size) FROM jobs GROUP BY tenant, state"
_ROWS = {
    sums.KEYS: "SELECT key, tenant, seq, fingerprint, expires_ms FROM idempotency_keys",
    sums.SCHEDULES: "SELECT * FROM schedules",
    sums.DESTINATIONS: "SELECT id, tenant, name, settings FROM destinations",
    sums.API_KEYS: "SELECT id, record, used_ms FROM api_keys",
    sums.AUDIT: "SELECT number, note, time_ms, action, actor, record FROM audit",
    sums.TENANTS: "SELECT name, settings FROM tenants",
    sums.ARRIVALS: "SELECT source, number, batch FROM arrivals",
    sums.DEPARTURES: "SELECT shard, number, departure, jobs, schedules FROM departures",
}
_COUNTS = {
    sums.ATTEMPTS: "SELECT count(*) FROM attempts",
    sums.LABELS: "SELECT count(*) FROM labels",
    sums.ELSEWHERE: "SELECT count(*) FROM elsewhere",
}


def check_contents(connection: apsw.Connection, pause: Callable[[], None] = lambda: None) -> None:
    """Read all rows as of one moment. Blocking.

    Args:
        connection: for nothing else meanwhile.
        pause: called after each ``SLICE_ROWS`` rows; may raise to break off.

    Raises:
        StateDamaged: names the table.
    """
    connection.execute("BEGIN")
    try:
        _check(connection, pause)
    except (ValueError, TypeError) as error:  # text that is not UTF-8, a blob for a number, a state that is none
        raise StateDamaged(f"a row holds what was never written: {error}") from error
    finally:
        connection.execute("ROLLBACK")


def check_row(seq: int, tenant: str, job_id: str, spec: bytes, fingerprint: bytes, total: int) -> None:
    """Raise StateDamaged unless the spec of a job is the one that was written."""
    if sums.job_sum(seq, tenant, job_id, spec, fingerprint) != total:
        raise StateDamaged(f"what job {job_id} is to send was changed on the disk: its checksum does not match")


def _check(connection: apsw.Connection, pause: Callable[[], None]) -> None:
    kept = dict.fromkeys(sums.TABLES, 0) | read_sums(connection)
    found = dict.fromkeys(sums.TABLES, 0)
    jobs = 0
    for row in _sliced(connection, _JOBS, pause):
        jobs += 1
        seq, tenant, job_id, spec, fingerprint, total = row
        if spec is None:
            raise StateDamaged(f"job {job_id} has lost what it is to send")
        check_row(seq, tenant, job_id, spec, fingerprint, total)
        found[sums.JOBS] += total
    if _number(connection, "SELECT count(*) FROM specs") != jobs:
        raise StateDamaged("the table specs holds what no job is to send")
    for table, query in _ROWS.items():
        for row in _sliced(connection, query, pause):
            found[table] += sums.row_sum(*row)
    for table, query in _COUNTS.items():
        found[table] = _number(connection, query)
        pause()
    found = sums.wrapped(found)
    for table in sums.TABLES:
        if found[table] != kept[table]:
            raise StateDamaged(
                f"the table {table} does not hold the rows that were written: some are missing or changed"
            )
    _check_counters(connection)


def _check_counters(connection: apsw.Connection) -> None:
    kept = read_counters(connection)
    counted = {tenant: new_counters() for tenant in kept}
    for tenant, state, count, size in connection.execute(_BY_STATE):
        own = counted.setdefault(tenant, new_counters())
        own[State(state).label] = count
        if state in (State.PENDING, State.RUNNING):
            own[PENDING_BYTES] += size
    if counted != kept:
        raise StateDamaged(f"the table jobs holds {counted}, and {kept} were written: states or sizes were changed")


def _sliced(connection: apsw.Connection, query: str, pause: Callable[[], None]) -> Iterator[tuple[Any, ...]]:
    for number, row in enumerate(connection.execute(query), 1):
        yield row
        if number % SLICE_ROWS == 0:
            pause()


def _number(connection: apsw.Connection, query: str) -> int:
    ((number,),) = connection.execute(query)
    return int(number)
