"""Checksums of rows, and their sums over whole tables, kept as rows come and go. Pure.

A row's sum does not depend on where the row lies, and a table's sum not on the order of its rows. So a table's sum is
kept with one addition for each row that comes or goes, and a reader of all rows can tell whether they are the ones
that were written: see ``contents``. Why sums of our own: docs/decisions/0014-sums-of-rows.md.
"""

import msgspec
from xxhash import xxh64_intdigest

JOBS, KEYS, SCHEDULES, DESTINATIONS = "jobs", "idempotency_keys", "schedules", "destinations"
API_KEYS, AUDIT, TENANTS = "api_keys", "audit", "tenants"
ARRIVALS, DEPARTURES = "arrivals", "departures"
ATTEMPTS, LABELS, ELSEWHERE = "attempts", "labels", "elsewhere"
"""Tables; of the last three only the number of rows is kept."""
TABLES = (
    *(JOBS, KEYS, SCHEDULES, DESTINATIONS, API_KEYS, AUDIT, TENANTS, ARRIVALS, DEPARTURES),
    *(ATTEMPTS, LABELS, ELSEWHERE),
)

_MODULUS = 2**64
_encode = msgspec.msgpack.Encoder().encode


def row_sum(*values: object) -> int:
    """The checksum of a row with these values: 63 bits, so that SQLite can store it."""
    return xxh64_intdigest(_encode(values)) >> 1


def job_sum(seq: int, tenant: str, job_id: str, spec: bytes, fingerprint: bytes) -> int:
    """The checksum of a job: of what it is to send, and as whose."""
    return row_sum(seq, tenant, job_id, spec, fingerprint)


def wrapped(totals: dict[str, int]) -> dict[str, int]:
    """The sums as they are kept: unsigned 64-bit numbers, however much was added and taken away."""
    return {table: total % _MODULUS for table, total in totals.items()}
