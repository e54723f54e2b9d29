"""States of other clusters: what is in a directory that a node gets by mistake."""

import random
from pathlib import Path

from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol import commands as c
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.jobs import DEFAULT_TENANT, Work
from hookline.testing.clock import START_MS

_ENTRIES = (3, 20, 400)
_WORK = Work(DEFAULT_TENANT, "http://10.0.0.1:8080", 0, False, 3, 30_000, (), b"\x80")


def make_foreign_state(path: Path, pick: random.Random) -> str:
    """Write one; says which."""
    cluster, shard = pick.choice((("c0", 0), ("c0", 0), ("c1", 1)))
    count = pick.choice(_ENTRIES)
    database = open_state(path, durable=False)
    database.writer.execute("BEGIN")  # one transaction for all
    machine = StateMachine(database)
    for index in range(1, count + 1):
        command: c.AnyCommand = c.CreateJob(f"foreign-{index}", START_MS, _WORK, key=f"key-{index}")
        if index == 1:
            command = c.BeginLog("f" * 32, 1, cluster, shard)
        elif index == 2:
            command = c.BeginTerm("n1/elsewhere/1")
        nonce = pick.randbytes(8)
        machine.apply(Entry(VERSION, 1, index, START_MS + index, nonce, machine.digest, (command,)))
    database.commit()
    database.close()
    return f"a state of cluster {cluster}, shard {shard}, with {count} entries"
