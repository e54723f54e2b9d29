"""Checks that acknowledged jobs can be read and listed, from one node, a cluster, or proxies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from hookline.protocol import http
from hookline.protocol.durations import parse_time
from tests.simulation.history import Call

_READINGS = {"read": "job", "cancel": "job", "update": "job", "run": "job", "retry": "job", "read_schedule": "schedule"}


class Made(NamedTuple):
    """A job that is there in the end, and in which cluster; ``ways``: in which clusters it ever was."""

    cluster: str
    id: str
    created_ms: int
    ways: frozenset[str] = frozenset()


class Readable(Protocol):
    """Tells what was called, what of it was acknowledged, and what came of it."""

    @property
    def calls(self) -> Sequence[Call]:
        """All of them."""

    @property
    def known(self) -> Mapping[str, Mapping[str, int]]:
        """When each id was acknowledged first; of jobs and of schedules."""

    @property
    def made(self) -> Sequence[Made]:
        """All jobs."""


def what_was_acknowledged_can_be_read(facts: Readable) -> Iterator[str]:
    deleted = {call.target for call in facts.calls if call.kind == "delete_schedule"}
    for call in facts.calls:
        if call.kind in _READINGS and (call.code or "").endswith("_not_found") and call.target not in deleted:
            since = facts.known[_READINGS[call.kind]].get(call.target or "", call.began)
            if since < call.began:
                yield f"call {call.number} says {call.code} of {call.target}, which was acknowledged at {since}"


def a_list_misses_nothing_without_a_word(facts: Readable) -> Iterator[str]:
    for call in facts.calls:
        if call.kind == "list":
            known = facts.known["job"]
            yield from _missed(call, [job for job in facts.made if known.get(job.id, call.began) < call.began])


def _missed(call: Call, due: list[Made]) -> Iterator[str]:
    seen: set[str] = set()
    for number, page in enumerate(call.answer, 1):
        seen.update(job.id for job in page.data)
        reached_ms = _reached_ms(page)
        for job in due:
            is_missing = job.id not in seen and job.created_ms > reached_ms
            if is_missing and not page.moving and {job.cluster, *job.ways}.isdisjoint(page.incomplete):
                yield (
                    f"the list of call {call.number} misses {job.id} of {job.cluster} on page {number}, incomplete:"
                    f" {page.incomplete}"
                )


def _reached_ms(page: http.JobPage) -> float:
    """Everything newer should have come by now."""
    if page.next_cursor is None:
        return -1
    return parse_time(page.data[-1].created_at) if page.data else float("inf")


def a_list_has_nothing_twice(facts: Readable) -> Iterator[str]:
    for call in facts.calls:
        ids = [job.id for page in call.answer for job in page.data] if call.kind == "list" else []
        if len(ids) != len(set(ids)):
            yield f"the list of call {call.number} has {sorted(one for one in ids if ids.count(one) > 1)} twice"


def a_page_is_in_order(facts: Readable) -> Iterator[str]:
    """By the time of creation: of clusters whose clocks nobody sets while they work."""
    for call in facts.calls:
        for page in call.answer if call.kind == "list" else ():
            created = [job.created_at for job in page.data]
            if created != sorted(created, reverse=True):
                yield f"a page of the list of call {call.number} is out of order"


def known_since(calls: Sequence[Call]) -> dict[str, dict[str, int]]:
    """As ``Readable.known``, of the default tenant."""
    known: dict[str, dict[str, int]] = {"job": {}, "schedule": {}}
    for call in sorted((call for call in calls if not call.tenant), key=lambda call: call.ended):
        for job in call.acknowledged:
            known["job"].setdefault(job, call.ended)
        if call.kind == "schedule" and call.is_ok and call.target is not None:
            known["schedule"].setdefault(call.target, call.ended)
    return known
