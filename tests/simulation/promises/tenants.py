"""Tenants never meet: what a caller is told of, and what it changes, is its own tenant's."""

from collections import defaultdict
from collections.abc import Iterator

from hookline.protocol.jobs import State
from tests.simulation.history import Call
from tests.simulation.promises.facts import Facts

_ABOUT_ONE = frozenset({"read", "cancel", "update", "run", "retry", "peek"})


def what_a_caller_meets_is_its_tenants(facts: Facts) -> Iterator[str]:
    owner = {job: row["tenant"] for job, row in facts.found.jobs.items()}
    for call in facts.calls:
        met = list(call.acknowledged)
        if call.is_ok and call.kind in _ABOUT_ONE:
            met.append(call.answer.id)
        elif call.kind in ("list", "peek_list") and call.answer:
            pages = call.answer if call.kind == "list" else [call.answer]
            met += [job.id for page in pages for job in page.data]
        for job in met:
            if owner.get(job, call.tenant) != call.tenant:
                yield f"call {call.number} of tenant {call.tenant!r} met {job}, which is of {owner[job]!r}"


def a_key_that_one_tenant_uses_does_not_bind_another(facts: Facts) -> Iterator[str]:
    """A mismatch needs another request of the same tenant with another body."""
    bodies: dict[tuple[str, str], set[str]] = defaultdict(set)
    keyed = [call for call in facts.calls if call.kind == "create" and "idempotency_key" in call.arguments]
    for call in keyed:
        bodies[call.tenant, call.arguments["idempotency_key"]].add(_body(call))
    for call in keyed:
        if call.code != "idempotency_mismatch" or "id" in call.arguments:
            continue
        if len(bodies[call.tenant, call.arguments["idempotency_key"]]) == 1:
            yield f"call {call.number} of tenant {call.tenant!r} was told of another body, and it sent no other"


def a_job_is_cancelled_by_its_tenant(facts: Facts) -> Iterator[str]:
    in_bulk = {call.tenant for call in facts.calls if call.kind == "bulk_cancel" and call.may_have_worked}
    for job, row in facts.found.jobs.items():
        if row["state"] == State.CANCELLED and row["tenant"] not in in_bulk and not facts.history.about(job, "cancel"):
            yield f"{job} of tenant {row['tenant']!r} is cancelled, and nobody of that tenant cancelled it"


def _body(call: Call) -> str:
    return repr({name: value for name, value in call.arguments.items() if name != "idempotency_key"})
