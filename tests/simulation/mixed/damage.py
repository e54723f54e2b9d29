"""Damages the rows of a state, as disks, memories and hasty people do."""

import random
from pathlib import Path

import apsw

from hookline.node.state_machine import sums
from hookline.node.state_machine.machine import StateMachine

AT_REST = (
    "DELETE FROM jobs WHERE seq % 2 = ?1",
    "DELETE FROM specs WHERE seq % 2 = ?1",
    "DELETE FROM labels WHERE seq % 2 = ?1",
    "DELETE FROM idempotency_keys WHERE seq % 2 = ?1",
    "DELETE FROM attempts WHERE seq % 2 = ?1",
    "UPDATE specs SET spec = CAST(substr(spec, 1, length(spec) - 1) || x'7a' AS BLOB) WHERE seq % 2 = ?1",
    "UPDATE idempotency_keys SET seq = seq + 1 WHERE seq % 2 = ?1",
    "UPDATE idempotency_keys SET expires_ms = expires_ms - 1 WHERE seq % 2 = ?1",
    "UPDATE jobs SET state = CASE state WHEN 0 THEN 2 ELSE 0 END WHERE seq % 2 = ?1",
)
_RUNNING = (AT_REST[0], AT_REST[3])


def damage_file(path: Path, pick: random.Random) -> str | None:
    """Change rows in the file of a node that is down; what was done, None when nothing was there to change."""
    connection = apsw.Connection(str(path))
    try:
        statement = pick.choice(AT_REST)
        connection.execute(statement, (pick.randint(0, 1),))
        return statement if connection.changes() else None
    finally:
        connection.close()


def damage_running(machine: StateMachine, pick: random.Random) -> str | None:
    """The same in the state of a node that runs, or in what it keeps in memory of that."""
    what = pick.choice(("digest", "digest", "counter", "sum", "rows"))
    match what:
        case "digest" if machine.digest:
            machine.digest = bytes([machine.digest[0] ^ 1]) + machine.digest[1:]
        case "counter":
            machine.tables.counters["succeeded"] += 1
        case "sum":
            machine.tables.summed(sums.KEYS, 1)
        case "rows":
            writer, statement = machine.database.writer, pick.choice(_RUNNING)
            writer.execute(statement, (pick.randint(0, 1),))
            return statement if writer.changes() else None
        case _:
            return None
    return what
