"""Slots between tenants: nobody beyond its share is served while another waits below its own, and no slot is wasted."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hookline.node.dispatch.due import Due
from hookline.node.dispatch.plan import Now, Plan
from hookline.protocol.jobs import destination_of, lane_of

NOW = Now(1_000_000, 0.0, 0)
SLOTS = 20
TENANTS = ("a", "b", "c", "d")
tenants = st.sampled_from(TENANTS)


class SharedSlots(RuleBasedStateMachine):
    """Each job has a destination of its own, so that destinations hold nothing back."""

    def __init__(self) -> None:
        super().__init__()
        self.owner: dict[int, str] = {}
        self.weights = dict.fromkeys(TENANTS, 1)
        self.waiting: Counter[str] = Counter()
        self.running: list[Due] = []
        self.plan = Plan(SLOTS, tenant_of=self.owner.__getitem__)

    @rule(tenant=tenants, jobs=st.integers(1, 25))
    def due(self, tenant: str, jobs: int) -> None:
        for _ in range(jobs):
            number = len(self.owner) + 1
            self.owner[number] = tenant
            self.plan.committed([(lane_of(number, 0, False), NOW.wall_ms, number)])
        self.waiting[tenant] += jobs

    @rule(tenant=tenants, weight=st.integers(1, 4))
    def weigh(self, tenant: str, weight: int) -> None:
        self.weights[tenant] = weight
        self.plan.weigh(tenant, weight)

    @rule(which=st.integers(0, SLOTS), is_refused=st.booleans())
    def end(self, which: int, is_refused: bool) -> None:
        if which < len(self.running):
            due = self.running.pop(which)
            if is_refused:
                self.plan.refused(NOW, due.lane)
            else:
                self.plan.ended(NOW, due.lane, "good", 10)

    @rule(limit=st.integers(1, SLOTS))
    def take(self, limit: int) -> None:
        held = self._held()
        present = [tenant for tenant in TENANTS if held[tenant] or self.waiting[tenant]]
        total = sum(self.weights[tenant] for tenant in present)
        share = {tenant: max(1, SLOTS * self.weights[tenant] // total) for tenant in present}
        taken = self.plan.take(NOW, min(limit, self.plan.free))
        assert len(taken) == min(limit, SLOTS - held.total(), self.waiting.total()), "no slot is wasted"
        for due in taken:
            tenant = self._tenant(due)
            if held[tenant] >= share[tenant]:
                starved = [one for one in present if self.waiting[one] and held[one] < share[one]]
                assert starved == [], f"{tenant} had its share, {starved} had not"
            held[tenant] += 1
            self.waiting[tenant] -= 1
        self.running += taken

    def _tenant(self, due: Due) -> str:
        return self.owner[destination_of(due.lane)]

    def _held(self) -> Counter[str]:
        return Counter(map(self._tenant, self.running))

    @invariant()
    def counts_are_right(self) -> None:
        assert self.plan.running == len(self.running)
        held = self._held()
        assert {tenant: self.plan.running_of(tenant) for tenant in TENANTS} == {one: held[one] for one in TENANTS}


def test_shares_hold_whatever_comes_and_ends() -> None:
    run_state_machine_as_test(SharedSlots, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
