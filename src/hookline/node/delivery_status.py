"""Shows users the running dispatch: why a job waits, how a destination does."""

from collections.abc import Mapping
from dataclasses import replace

from hookline.node.api.services import DestinationStatus
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.dispatch.seats import RunnerStatus
from hookline.node.membership.leader import Leader
from hookline.node.membership.member import Member
from hookline.node.state_machine.leader_reads import LeaderReads

NO_WORKER = "no worker is connected; start one with: hookline worker --cluster URL"
NO_PROCESS = "no attempt process of the leader is ready yet; the log says if one does not start"
_NUMBERS_KEPT = 10_000
_IDLE = DestinationStatus("closed", None, 0, 0)


class DeliveryStatus:
    """Answers the API's questions (``api.services.Delivery``), in detail while this node leads."""

    def __init__(self, member: Member, reads: LeaderReads, clock: GuardedClock, *, slots: int) -> None:
        self._member = member
        self._slots = slots
        self._reads = reads
        self._clock = clock
        self._numbers: dict[tuple[str, str], int] = {}

    def why_waiting(self, tenant: str, destination: str, due_ms: int, attempts: int) -> tuple[str, str, int | None]:
        """(reason, detail, until_ms) for a pending job."""
        if due_ms > self._clock.wall_ms():
            if due_ms <= self._clock.latest_ms() and (why := self._clock.why_not()) is not None:
                return "clock", f"it may be due: {why}", None
            if attempts:
                return "retry", f"attempt {attempts} failed; the next one follows at its time", due_ms
            return "time", "it is not due yet", due_ms
        leader = self._member.leader
        if leader is None:
            return "slots", "another node leads and will claim it", None
        number = self._number(tenant, destination)
        blocked = None if number is None else leader.plan.blocked(number)
        if blocked is not None:
            return blocked.reason, blocked.detail, blocked.until_ms
        if leader.plan.running < leader.plan.slots:
            return "slots", "it is being claimed", None
        if leader.plan.slots == 0:
            return "slots", _nobody(leader), None
        return "slots", f"all {leader.plan.slots} slots are in use", None

    def _number(self, tenant: str, destination: str) -> int | None:
        """Of a destination; it never has another one. Each create asks, so the database is asked once only."""
        number = self._numbers.get((tenant, destination))
        if number is None and (number := self._reads.destination_number(tenant, destination)) is not None:
            if len(self._numbers) >= _NUMBERS_KEPT:
                self._numbers.clear()
            self._numbers[tenant, destination] = number
        return number

    def destination_status(self, tenant: str, destination: str) -> DestinationStatus:
        """The present state of a destination."""
        number = self._number(tenant, destination)
        leader = self._member.leader
        if leader is None or number is None:
            return _IDLE
        recent = leader.dispatcher.recent.of(self._clock.boot_ms(), number)
        load = leader.plan.load(number)
        if load is None:
            return replace(_IDLE, recent=recent)
        breaker = load.breaker
        until_ms = int(breaker.until_ms) if breaker.state == "open" else None
        return DestinationStatus(
            breaker.state, until_ms, load.running, leader.plan.waiting(number, self._clock.wall_ms()), recent
        )

    def delivers(self) -> bool:
        """Are attempts under way, or due within a second?"""
        leader = self._member.leader
        return leader is not None and leader.delivers()

    def breakers(self) -> Mapping[str, int]:
        """Of a leader; a follower keeps none."""
        leader = self._member.leader
        return leader.plan.breakers() if leader else {}

    def lacking_keys(self) -> list[str]:
        """Ids of keys that jobs are held for; a follower holds none."""
        leader = self._member.leader
        return leader.secrets.lacking() if leader else []

    def slots(self) -> tuple[int, int]:
        """(in use, limit): of the cluster at its leader, else of this node, whose attempts may go on."""
        leader = self._member.leader
        if leader is None:
            return min(self._member.runner.running, self._slots), self._slots
        return min(leader.plan.running, leader.plan.slots), leader.plan.slots

    def why_nobody_attempts(self) -> str | None:
        """There are no slots at all."""
        leader = self._member.leader
        return None if leader is None or leader.plan.slots else _nobody(leader)

    def runners(self) -> list[RunnerStatus] | None:
        """The processes that make attempts; None: the leader knows."""
        leader = self._member.leader
        return leader.seats.status() if leader else None


def _nobody(leader: Leader) -> str:
    return NO_WORKER if leader.replica.mode == "workers" else NO_PROCESS
