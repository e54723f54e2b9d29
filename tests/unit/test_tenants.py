"""Two tenants in one state: the same id, key, schedule and destination in both, and they never meet."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.node.state_machine import apply_tenants
from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.matching import JobFilter
from hookline.node.state_machine.reads import Reads
from hookline.protocol import commands as c
from hookline.protocol.jobs import DEFAULT_TENANT, State, destination_of
from hookline.protocol.settings import DELETED, DestinationSettings, ScheduleSpec, encode
from hookline.protocol.tenants import REMOVED, UNLIMITED, TenantSettings, encode_tenant
from hookline.protocol.ticks import tick_job_id
from tests.node_parts import OWNER, T0, apply, create, entry, job_spec, work

A, B = DEFAULT_TENANT, "acme"
HOST = "https://a.example:443"
CALENDAR = encode(ScheduleSpec("* * * * *", "UTC", "all", 1, False, 0, None, None))
PAUSED = encode(DestinationSettings(paused=True))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    database = open_state(tmp_path / "state.db", durable=False)
    yield StateMachine(database)
    check_contents(database.reader)
    database.close()


@pytest.fixture
def reads(machine: StateMachine) -> Reads:
    return Reads(machine.database.reader)


def chosen(tenant: str, body: bytes, *, job_id: str = "same", labels: tuple[str, ...] = ()) -> c.CreateJob:
    spec = job_spec(body=body, labels=labels)
    return create(job_id, spec, fingerprint=body, chosen=True, tenant=tenant)


def keyed(tenant: str, body: bytes, job_id: str) -> c.CreateJob:
    return create(job_id, fingerprint=body, key="key", key_expires_ms=T0 + 9, tenant=tenant)


def ids(reads: Reads, tenant: str, **wanted: object) -> list[str]:
    found = asyncio.run(reads.find(tenant, JobFilter(**wanted), None, 100))  # type: ignore[arg-type]
    return [match.id for match in found.matches]


def test_the_same_id_is_another_job(machine: StateMachine, reads: Reads) -> None:
    made = apply(machine, chosen(A, b"1"), chosen(B, b"22"), chosen(B, b"22"), chosen(B, b"1"))
    assert made[:2] == [c.Created(1, "same", False), c.Created(2, "same", False)]
    assert made[2:] == [c.Created(2, "same", True), c.Refused("idempotency_mismatch")]
    one, two = reads.job(A, "same"), reads.job(B, "same")
    assert [row and row.spec.body for row in (one, two)] == [b"1", b"22"]
    assert reads.seq_of("other", "same") is None


def test_the_same_key_names_another_job(machine: StateMachine, reads: Reads) -> None:
    made = apply(machine, keyed(A, b"1", "a"), keyed(B, b"2", "b"), keyed(A, b"1", "c"), keyed(B, b"1", "d"))
    assert made == [
        c.Created(1, "a", False),
        c.Created(2, "b", False),
        c.Created(1, "a", True),
        c.Refused("idempotency_mismatch"),
    ]
    assert [reads.job_of_key(tenant, "key", T0) for tenant in (A, B, "other")] == ["a", "b", None]
    assert apply(machine, c.PurgeKeys(T0 + 10, 1)) == [c.Changed(1)]
    assert [reads.job_of_key(tenant, "key", T0) for tenant in (A, B)] == [None, "b"]


def test_the_same_schedule_id_is_another_schedule(machine: StateMachine, reads: Reads) -> None:
    mine, theirs = (
        c.PutSchedule("s", 0, CALENDAR, work(one, body=body), T0, False) for one, body in ((A, b"1"), (B, b"2"))
    )
    assert apply(machine, mine, theirs) == [c.Created(1, "s", False), c.Created(2, "s", False)]
    ticks = [c.RecordTicks(number, 1, T0, ((T0, T0, "tick"),), 0, T0 + 60_000) for number in (1, 2)]
    assert apply(machine, *ticks) == [c.Changed(1), c.Changed(1)]
    assert apply(machine, c.RunSchedule(B, "s", "by-hand", T0)) == [c.Created(3, "by-hand", False)]
    assert (ids(reads, A, schedule="s"), ids(reads, B, schedule="s")) == (["tick"], ["by-hand", "tick"])
    assert apply(machine, c.DeleteSchedule(A, "s"), c.DeleteSchedule("other", "s"))[1] == c.Refused(
        "schedule_not_found"
    )
    assert reads.schedule(A, "s") is None
    listed, _ = asyncio.run(reads.schedules(B, "", 10))
    assert [(schedule.tenant, schedule.made) for schedule in listed] == [(B, 2)]


def test_a_destination_has_settings_and_lanes_of_its_own(machine: StateMachine, reads: Reads) -> None:
    _, effects = machine.apply(entry(1, [create("a", tenant=A), create("b", tenant=B)]))
    machine.commit()
    numbers = [destination_of(lane) for lane, _, _ in effects.due]
    assert len(set(numbers)) == 2
    apply(machine, c.PutDestination(B, HOST, PAUSED))
    shown = [reads.destination(tenant, HOST) for tenant in (A, B)]
    assert [row and (row.number, row.settings.paused) for row in shown] == [(numbers[0], False), (numbers[1], True)]
    claim = c.ClaimJobs(((1, T0), (2, T0)), T0 + 9, OWNER)
    assert apply(machine, claim) == [c.Claimed(((1, 1),))], "a pause holds the tenant's own jobs only"
    assert [row.name for row in reads.destinations(A, "", 10)] == [HOST]
    apply(machine, c.PutDestination("other", HOST, DELETED))
    assert reads.destinations("other", "", 10) == []


def test_counters_are_a_tenants_own(machine: StateMachine) -> None:
    apply(machine, chosen(A, b"1"), chosen(B, b"22"), chosen(B, b"333", job_id="other"))
    apply(machine, c.ClaimJobs(((2, T0),), T0 + 9, OWNER), c.CancelJobs((3,)))
    of = machine.tables.counters_of
    assert (of(A)["pending"], of(A)["pending_bytes"]) == (1, 1)
    assert (of(B)["pending"], of(B)["running"], of(B)["cancelled"], of(B)["pending_bytes"]) == (0, 1, 1, 2)
    assert machine.tables.counters["pending_bytes"] == 3
    again = StateMachine(machine.database)
    assert (again.tables.counters_of(B), again.tables.counters) == (of(B), machine.tables.counters)


@pytest.mark.parametrize(
    "wanted", [{}, {"state": State.PENDING}, {"label": "x"}, {"label": "n"}, {"destination": HOST}]
)
def test_lists_and_filters_find_a_tenants_own(machine: StateMachine, reads: Reads, wanted: dict[str, object]) -> None:
    for number in range(3):
        labels = ("x", f"n={number}")
        apply(machine, *[chosen(one, b"1", job_id=f"{one}{number}", labels=labels) for one in (A, B)])
    assert ids(reads, A, **wanted) == ["2", "1", "0"]
    assert ids(reads, B, **wanted) == ["acme2", "acme1", "acme0"]
    assert ids(reads, "other", **wanted) == []


def test_the_values_of_a_label_are_counted_among_a_tenants_own(machine: StateMachine, reads: Reads) -> None:
    many = [chosen(B, b"1", job_id=f"j{n}", labels=(f"n={n}",)) for n in range(101)]
    apply(machine, *many, chosen(A, b"1", labels=("n=1",)))
    assert ids(reads, A, label="n") == ["same"]


def test_what_is_deleted_was_a_tenants_own(machine: StateMachine, reads: Reads) -> None:
    apply(
        machine,
        *[create("same", job_spec(labels=("x",)), key="k", key_expires_ms=T0 + 9, tenant=one) for one in (A, B)],
    )
    assert apply(machine, c.DeleteJob(1)) == [c.Changed(1)]
    assert (ids(reads, A, label="x"), ids(reads, B, label="x")) == ([], ["same"])
    assert [reads.job_of_key(tenant, "k", T0) for tenant in (A, B)] == [None, "same"]


def test_a_job_stays_its_tenants(machine: StateMachine, reads: Reads) -> None:
    apply(machine, chosen(A, b"1"))
    assert apply(machine, c.UpdateJob(1, 1, T0, work(B))) == [c.Refused("job_not_found")]
    assert (ids(reads, A), ids(reads, B)) == (["same"], [])


def test_settings_of_tenants_are_kept_and_those_that_were_deleted_as_well(machine: StateMachine) -> None:
    some = encode_tenant(TenantSettings(pending_jobs=3, weight=2))
    machine.apply(entry(1, [c.PutTenant(A, some), c.PutTenant(B, some), c.PutTenant(B, REMOVED)]))
    machine.commit()
    for known in (machine.tables.tenants, StateMachine(machine.database).tables.tenants):
        assert (known.of(A).pending_jobs, known.of(A).weight, known.of(B)) == (3, 2, UNLIMITED)
        assert (known.rows(), list(known.names), known.is_set(B)) == ([(A, some), (B, REMOVED)], [A], False)


def test_a_state_takes_settings_of_tenants_with_those_of_destinations(machine: StateMachine) -> None:
    some = encode_tenant(TenantSettings(weight=2))
    _, effects = machine.apply(entry(1, [c.ImportDestinations(3, (), True, ((B, some),))]))
    machine.commit()
    assert (effects.tenants, machine.tables.tenants.of(B).weight) == ([B], 2)


def test_there_is_room_for_so_many_tenants_and_the_deleted_make_room(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_tenants, "TENANTS_MAX", 2)
    some = encode_tenant(TenantSettings(weight=2))
    full = apply(machine, *[c.PutTenant(name, some) for name in ("a", "b", "c", "b")])
    assert full == [c.Changed(1), c.Changed(1), c.Refused("too_many_tenants"), c.Changed(0)]
    assert apply(machine, c.PutTenant("a", REMOVED), c.PutTenant("c", some)) == [c.Changed(1), c.Changed(1)]
    assert [name for name, _ in machine.tables.tenants.rows()] == ["b", "c"]


def test_the_tenant_of_a_destination_is_known_by_its_number(machine: StateMachine) -> None:
    apply(machine, chosen(A, b"1"), chosen(B, b"1"))
    for tables in (machine.tables, StateMachine(machine.database).tables):
        numbers = {tenant: tables.destination_id(tenant, HOST) for tenant in (A, B)}
        assert {tenant: tables.tenant_of(number) for tenant, number in numbers.items()} == {A: A, B: B}


def test_ticks_of_two_tenants_have_ids_of_their_own() -> None:
    assert len({tick_job_id("nightly", T0, 0, tenant) for tenant in (A, B, "globex")}) == 3
