"""Changes figures of the real parts for a simulation: how often they do things, and how much they hold."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hookline.node.dispatch import due, seats
from hookline.node.etcd import statuses, upkeep, upkeep_plan
from hookline.node.membership import etcd as membership
from hookline.node.state_machine import machine


@contextmanager
def patched(pick: random.Random, kind: str, seed: int, *, commit_ms: int | None) -> Iterator[None]:
    """Make a node do after a few entries or seconds what it else does after thousands of entries, or once a minute."""
    # A node that hands over does not follow until its last attempts have ended; that alone must not take the log away.
    kept = pick.choice((20, 100, 100_000)) if kind == "rough" else 100_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(due, "WINDOW_MIN", 2)
        patch.setattr(
            due, "WINDOW_MAX", random.Random(f"window {seed}").choice((2, 5, 1_000))
        )  # so that lanes are longer than their windows
        patch.setattr(machine, "_CHECKPOINT_ENTRIES", pick.choice((5, 40, 150)))
        if kind != "mixed up":  # there it counts how soon a node hears of the others
            patch.setattr(statuses, "_EVERY_S", 3.0)
        if commit_ms is not None:
            patch.setattr(seats, "_COMMIT_MS", commit_ms)
        patch.setattr(membership, "STEP_S", 1.0)
        patch.setattr(upkeep, "_SETTLED_MS", 4_000)
        patch.setattr(upkeep_plan, "_ENTRIES_WORTH_IT", 3)
        patch.setattr(upkeep_plan, "LOG_ENTRIES_MAX", kept)
        yield
