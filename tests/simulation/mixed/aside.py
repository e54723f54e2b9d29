"""Sets aside what is seen of lost entries, and of a leader that had lost rows: nobody can know more of them."""

from dataclasses import dataclass

from tests.simulation.history import NEVER, Arrival, Call, History
from tests.simulation.mixed.lineages import Lineages, Written
from tests.simulation.replay import Replay


@dataclass(slots=True)
class Loss:
    """Entries that etcd no longer has.

    Attributes:
        main: the log as it was, and ``missing`` what it has lost of that; the nonces.
        is_continued: somebody went on with the log as if nothing were lost.
        decided: when somebody did, or nothing was lost any more; by the counter.
    """

    at: int
    at_s: float
    is_all: bool
    main: list[bytes]
    missing: set[bytes]
    is_continued: bool = False
    decided: int = 0


def set_aside(history: History, lineages: Lineages, losses: list[Loss]) -> None:
    """Set aside what came of lost entries. Nobody could know more of them, or the operator chose to lose them.

    A call that was answered by one may have worked or not, and a request for one has no claim in the log.
    """
    kept = {entry.nonce for _, entry in history.entries}
    forgotten = [(at, entry) for nonce, (at, entry) in lineages.written.items() if nonce not in kept]
    _doubt(history, [at for at, _ in forgotten])
    history.calls[:] = [call for call in history.calls if not _is_seen_in_lost_log(call, losses)]
    history.arrivals[:] = [it for it in history.arrivals if not _is_of(forgotten, lineages, it)]


def _is_seen_in_lost_log(call: Call, losses: list[Loss]) -> bool:
    """It told what a state held, between a loss and the decision what to do about it: also why it was refused."""
    code = call.code or ""
    is_look = call.kind in ("read", "read_schedule", "list") or code.startswith("job_") or code.endswith("_not_found")
    return is_look and any(loss.at < call.ended and call.began < (loss.decided or NEVER) for loss in losses)


def _is_of(forgotten: list[Written], lineages: Lineages, arrival: Arrival) -> bool:
    """The newest entry of its term, when it was sent, was one of these."""
    if not forgotten:
        return False
    before = [it for it in lineages.written.values() if it[1].term == arrival.term and it[0] < arrival.at]
    return bool(before) and max(before, key=lambda it: it[0]) in forgotten


def doubt_what_the_odd_one_answered(history: History) -> None:
    """Of a leader that had lost rows.

    It answers before the others can find that it is wrong: it may take a repeat for a new job, which it is not.
    """
    _doubt(history, [at for at, entry in history.entries if _is_of_the_odd_one(history, entry.term, entry.index)])


def drop_requests_in_vain(history: History, found: Replay) -> None:
    """Of a leader that had lost rows, those that it sent for a claim which the others have as another job's, or not.

    It numbers the jobs that it makes otherwise than they do, as soon as it has taken a repeat for a new job.
    """
    since: dict[int, int] = {}
    for at, entry in history.entries:
        if _is_of_the_odd_one(history, entry.term, entry.index):
            since.setdefault(entry.term, at)
    history.arrivals[:] = [it for it in history.arrivals if it.at < since.get(it.term, NEVER) or _is_granted(it, found)]


def _is_granted(arrival: Arrival, found: Replay) -> bool:
    grant = found.grants.get((arrival.job, arrival.attempt))
    return grant is not None and grant.term == arrival.term and grant.at < arrival.at


def _is_of_the_odd_one(history: History, term: int, index: int) -> bool:
    """The first of its entries is the one before those that are overruled."""
    return index >= history.overruled.get(term, NEVER) - 1


def _doubt(history: History, stamps: list[int]) -> None:
    for call in history.calls:
        if any(call.began < at < call.ended for at in stamps):
            call.outcome = "unknown"
