"""Checksums of rows, and their sums over whole tables, kept as rows come and go. Pure.

A row's sum does not depend on where the row lies, and a table's sum not on the order of its rows. So a table's sum is
kept with one addition for each row that comes or goes, and whoever reads all rows can tell whether they are the ones
that were written: see ``contents``. Why sums of our own: docs/decisions/0014-sums-of-rows.md.
"""

import hashlib

import msgspec

JOBS, KEYS, SCHEDULES, DESTINATIONS = "jobs", "idempotency_keys", "schedules", "destinations"
ATTEMPTS, LABELS = "attempts", "labels"
"""Tables; of the last two only the number of rows is kept."""
TABLES = (JOBS, KEYS, SCHEDULES, DESTINATIONS, ATTEMPTS, LABELS)

_MODULUS = 2**64
_encode = msgspec.msgpack.Encoder().encode


def row_sum(*values: object) -> int:
    """The checksum of a row with these values: a signed 64-bit number, as SQLite stores it."""
    return int.from_bytes(hashlib.blake2b(_encode(values), digest_size=8).digest(), "big", signed=True)


def added(total: int, change: int) -> int:
    """A table's sum after a row came (``change`` its sum) or went (minus its sum)."""
    return (total + change) % _MODULUS
