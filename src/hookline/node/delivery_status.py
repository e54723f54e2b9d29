"""What users may see of the running scheduler and executor: why a job waits, how a destination does."""

from hookline.clock import Clock
from hookline.node.api.services import DestinationStatus
from hookline.node.leader import Leader
from hookline.node.state_machine.leader_reads import LeaderReads

_IDLE = DestinationStatus("closed", None, 0, 0)


class DeliveryStatus:
    """Answers the API's questions (``api.services.Delivery``) about a leader."""

    def __init__(self, leader: Leader, reads: LeaderReads, clock: Clock) -> None:
        self._leader = leader
        self._reads = reads
        self._clock = clock

    def why_waiting(self, destination: str, due_ms: int, attempts: int) -> tuple[str, str, int | None]:
        """(reason, detail, until_ms) for a pending job."""
        if due_ms > self._clock.wall_ms():
            if attempts:
                return "retry", f"attempt {attempts} failed; the next one follows at its time", due_ms
            return "time", "it is not due yet", due_ms
        if not self._leader.scheduler.clock_is_trusted:
            return "clock", "the node's clock has jumped; nothing is claimed until it settles", None
        found = self._reads.destination(destination)
        blocked = self._leader.scheduler.parked(found[0]) if found else None
        if blocked is not None:
            return blocked.reason, blocked.detail, blocked.until_ms
        if self._leader.fairness.free() > 0:
            return "slots", "it is being claimed", None
        return "slots", f"all {self._leader.fairness.slots} slots are in use", None

    def destination_status(self, destination: str) -> DestinationStatus:
        """The present state of a destination."""
        found = self._reads.destination(destination)
        load = self._leader.fairness.load(found[0]) if found else None
        if found is None or load is None:
            return _IDLE
        breaker = load.breaker
        until_ms = int(breaker.until_ms) if breaker.state == "open" else None
        return DestinationStatus(breaker.state, until_ms, load.running, self._leader.scheduler.waiting(found[0]))

    def slots(self) -> tuple[int, int]:
        """(in use, limit)."""
        return self._leader.fairness.running, self._leader.fairness.slots
