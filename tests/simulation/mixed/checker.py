"""Does a cluster in which things are mixed up keep its promises? A cluster's checks, for the log that goes on."""

from pathlib import Path

from tests.simulation.cluster import checker as cluster
from tests.simulation.history import NEVER, Arrival
from tests.simulation.mixed.lineages import Written
from tests.simulation.mixed.world import MixedWorld


def violations(world: MixedWorld, directory: Path) -> list[str]:
    """All that is wrong with a run, in words; empty when it keeps every promise."""
    _set_aside(world)
    wrong = cluster.violations(world, directory)
    if world.has_lost_rows:  # what the odd one claimed in vain, the others have as claimed
        wrong = [text for text in wrong if not text.startswith(("slots: ", "an owner: "))]
    wrong += [f"the state of {name} is still another one" for name in sorted(world.odd)]
    wrong += [f"{arrival.job} was sent" for arrival in world.history.arrivals if arrival.job.startswith("foreign")]
    return wrong


def _set_aside(world: MixedWorld) -> None:
    """What came of entries that are in no log any more: of those nobody could know more, or the operator chose so.

    A call that was answered by one may have worked or not, and a request for one has no claim in the log. That the
    operator had no better choice is checked when he makes it.
    """
    history = world.history
    kept = {entry.nonce for _, entry in history.entries}
    forgotten = [(at, entry) for nonce, (at, entry) in world.etcd.lineages.written.items() if nonce not in kept]
    doubtful = [at for at, _ in forgotten] + _answered_by_the_odd_one(world)
    for call in history.calls:
        if any(call.began < at < call.ended for at in doubtful):
            call.outcome = "unknown"
    history.arrivals[:] = [arrival for arrival in history.arrivals if not _is_of(forgotten, world, arrival)]


def _is_of(forgotten: list[Written], world: MixedWorld, arrival: Arrival) -> bool:
    """The newest entry of its term, when it was sent, was one of these."""
    if not forgotten:
        return False
    before = [it for it in world.etcd.lineages.written.values() if it[1].term == arrival.term and it[0] < arrival.at]
    return bool(before) and max(before, key=lambda it: it[0]) in forgotten


def _answered_by_the_odd_one(world: MixedWorld) -> list[int]:
    """When entries were written by a leader that had lost rows.

    It answers before the others can find that it is wrong: it may take a repeat for a new job, which it is not. The
    first of these entries is the one before those that are overruled.
    """
    overruled = world.history.overruled
    return [
        at
        for at, entry in world.history.entries
        if world.has_lost_rows and entry.index >= overruled.get(entry.term, NEVER) - 1
    ]
