"""Slots between tenants: equal shares, weights, nothing left unused, and a tenant alone as if there were no others."""

from collections import Counter
from dataclasses import replace

import pytest

from hookline.client import requests
from hookline.node.dispatch.due import Due
from hookline.node.dispatch.plan import Now, Plan
from hookline.node.dispatch.tenant_shares import TenantShares
from hookline.protocol.jobs import destination_of, lane_of
from hookline.protocol.settings import DestinationSettings
from hookline.testing import InProcessNode, answer, run

T = 1_000_000
NOW = Now(T, 0.0, 0)
PER_TENANT = 1_000  # destinations have numbers by tenant: 1,000 to 1,999 are the first one's


def tenant_of(destination: int) -> str:
    return f"t{destination // PER_TENANT}"


class Slots:
    """A plan with jobs of several tenants; ``fill`` gives out what is free."""

    def __init__(self, slots: int = 100) -> None:
        self.plan = Plan(slots, tenant_of=tenant_of)
        self.running: list[Due] = []
        self._seq = 0

    def due(self, tenant: int, jobs: int, destinations: int = 20) -> None:
        """Jobs of a tenant, spread over its destinations."""
        rows = []
        for number in range(jobs):
            self._seq += 1
            rows.append((lane_of(tenant * PER_TENANT + number % destinations, 0, False), T, self._seq))
        self.plan.committed(rows)

    def fill(self) -> Counter[str]:
        """How many jobs each tenant has running then."""
        self.running += self.plan.take(NOW, self.plan.free)
        return Counter(tenant_of(destination_of(due.lane)) for due in self.running)

    def end(self, tenant: str, jobs: int) -> None:
        """So many of the tenant's are over, fast."""
        own = [due for due in self.running if tenant_of(destination_of(due.lane)) == tenant][:jobs]
        assert len(own) == jobs
        for due in own:
            self.running.remove(due)
            self.plan.ended(NOW, due.lane, "good", 10)


def test_tenants_that_wait_have_equal_shares_however_many_destinations_they_have() -> None:
    slots = Slots()
    slots.due(1, 500, destinations=50)
    slots.due(2, 500, destinations=10)
    assert slots.fill() == {"t1": 50, "t2": 50}
    slots = Slots()
    for tenant in range(1, 5):
        slots.due(tenant, 500, destinations=10 * tenant)
    assert set(slots.fill().values()) == {25}


def test_tenants_take_turns_while_both_are_within_their_shares() -> None:
    slots = Slots()
    slots.due(1, 10)
    slots.due(2, 10)
    taken = [slots.plan.take(NOW, 1)[0] for _ in range(6)]
    assert [tenant_of(destination_of(due.lane)) for due in taken] == ["t1", "t2"] * 3


def test_a_weight_is_so_many_shares() -> None:
    slots = Slots()
    slots.plan.weigh("t1", 3)
    slots.due(1, 500)
    slots.due(2, 500)
    assert slots.fill() == {"t1": 75, "t2": 25}
    slots.plan.weigh("t1", 1)
    slots.end("t1", 40)
    assert slots.fill() == {"t1": 50, "t2": 50}


def test_what_others_cannot_use_is_used() -> None:
    slots = Slots()
    slots.due(1, 500)
    slots.due(2, 5)
    assert slots.fill() == {"t1": 95, "t2": 5}
    held = Slots()
    held.due(1, 500)
    held.due(2, 500, destinations=1)
    held.plan.configure(2 * PER_TENANT, DestinationSettings(concurrency=7), NOW)
    assert held.fill() == {"t1": 93, "t2": 7}


def test_a_tenant_that_comes_late_gets_its_share_as_slots_become_free() -> None:
    slots = Slots()
    slots.due(1, 500)
    assert slots.fill() == {"t1": 100}
    slots.due(2, 500)
    assert slots.fill() == {"t1": 100}, "what runs goes on"
    slots.end("t1", 30)
    assert slots.fill() == {"t1": 70, "t2": 30}
    slots.end("t1", 30)
    assert slots.fill() == {"t1": 50, "t2": 50}
    slots.end("t2", 10)
    assert slots.fill() == {"t1": 50, "t2": 50}, "each keeps its share"


def test_a_tenant_with_ten_thousand_destinations_does_not_hide_another() -> None:
    slots = Slots()
    slots.due(1, 900, destinations=900)
    slots.fill()
    slots.due(2, 50, destinations=5)
    slots.end("t1", 20)
    assert slots.fill() == {"t1": 80, "t2": 20}


def test_with_more_tenants_than_slots_each_has_a_turn() -> None:
    slots = Slots(10)
    for tenant in range(1, 31):
        slots.due(tenant, 3)
    seen: Counter[str] = Counter()
    for _ in range(9):
        slots.fill()
        for due in slots.running:
            seen[tenant_of(destination_of(due.lane))] += 1
            slots.plan.ended(NOW, due.lane, "good", 10)
        slots.running.clear()
    assert set(seen.values()) == {3}


def test_a_claim_that_is_refused_gives_the_tenant_its_place_back() -> None:
    slots = Slots(10)
    slots.due(1, 100)
    slots.due(2, 100)
    slots.fill()
    for due in slots.running:
        slots.plan.refused(NOW, due.lane)
    assert (slots.plan.running_of("t1"), slots.plan.running_of("t2"), slots.plan.running) == (0, 0, 0)


def test_one_tenant_alone_is_served_as_if_there_were_none() -> None:
    one, plain = Slots(), Plan(100)
    one.due(1, 300, destinations=7)
    rows = [(lane_of(PER_TENANT + number % 7, 0, False), T, number + 1) for number in range(300)]
    plain.committed(rows)
    assert one.plan.take(NOW, 100) == plain.take(NOW, 100)


@pytest.mark.parametrize("places", [1, 7, 100])
def test_shares_add_up_to_what_there_is_and_each_is_one_at_least(places: int) -> None:
    for tenants in (1, 2, 3, 10):
        shares = TenantShares()
        names = [f"t{number}" for number in range(tenants)]
        shares.weigh("t0", 5)
        shares.divide(names, places)
        got: Counter[str] = Counter()
        for name in names:
            while got[name] <= places and not shares.has_its_share(name):
                shares.began(name)
                got[name] += 1
        assert got.total() <= places + tenants
        assert min(got.values()) >= 1


def test_a_node_divides_its_slots_by_what_is_set() -> None:
    """From the API to the receivers: a weight that was set before, then one that is set while jobs wait."""

    async def main() -> list[Counter[str]]:
        async with InProcessNode(lambda _: answer(after="10s"), slots=20) as node:
            await node.client.put_tenant("acme", weight=3)
            for number in range(160):
                for tenant in ("default", "acme"):
                    job = requests.create_job(f"https://{tenant}{number % 40}.example/", {}, node.clock)
                    await node.client.send(replace(job, headers=job.headers | {"hookline-tenant": tenant}))
            rounds = []
            for weight in (3, 1):
                await node.client.put_tenant("acme", weight=weight)
                await node.advance("20s")  # what had a slot before is over
                seen = len(node.receiver.requests)
                await node.advance("20s")
                hosts = [request.url for request in node.receiver.requests[seen:]]
                rounds.append(Counter("acme" if "acme" in host else "default" for host in hosts))
            return rounds

    heavy, equal = run(main())
    assert heavy.total() >= 40
    assert 2.5 <= heavy["acme"] / heavy["default"] <= 3.5
    assert 0.8 <= equal["acme"] / equal["default"] <= 1.25
