"""Pages of several clusters merged into one, so that going on loses nothing and gives nothing twice. Pure.

A cluster's page is a stretch of its list. Items are taken from the heads of all pages in order. Where a page ends
though its cluster has more, the merged page ends too: what comes next there may belong before the others' heads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hookline.protocol.http import RecentAttempts
from hookline.protocol.latencies import joined as joined_recent

Item = dict[str, Any]
Key = tuple[object, ...]
Positions = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class ClusterPage:
    """A page of one cluster.

    Attributes:
        data: its items in the list's order.
        cursors: for each item, where the page after it begins.
        next_cursor: where the page after this one begins; None: there is no more.
        searched_to: of which time the jobs are at which a search stopped.
    """

    data: Sequence[Item]
    cursors: Sequence[str]
    next_cursor: str | None
    searched_to: str | None = None


@dataclass(frozen=True, slots=True)
class MergedPage:
    """The first items of all, and where the clusters go on that got further: None when one is at its end."""

    data: list[Item]
    positions: Positions = field(default_factory=dict)


def merge(
    pages: Mapping[str, ClusterPage],
    limit: int,
    *,
    key: Callable[[Item], Any],
    is_descending: bool = False,
    join: Callable[[list[Item]], Item] | None = None,
    is_given: Callable[[Item], bool] = lambda _item: False,
) -> MergedPage:
    """Up to ``limit`` items out of the pages, by name of cluster.

    Args:
        pages: those of the clusters that answered.
        limit: of items.
        key: the items are ordered by it.
        is_descending: largest first.
        join: makes one of items with the same key; without it they stay apart. Where clusters order what comes at one
            time differently, such items are not side by side: then the first one stays.
        is_given: the pages before had it, or it belongs there: then it is passed over.
    """
    taken = dict.fromkeys(pages, 0)
    data: list[Item] = []
    joined: set[Any] = set()
    best = max if is_descending else min
    while len(data) < limit:
        if any(taken[name] == len(page.data) and page.next_cursor is not None for name, page in pages.items()):
            break
        heads = {name: key(page.data[taken[name]]) for name, page in pages.items() if taken[name] < len(page.data)}
        if not heads:
            break
        first = best(heads.values())
        same = [name for name, head in heads.items() if head == first]
        items = [pages[name].data[taken[name]] for name in (same if join else same[:1])]
        for name in same if join else same[:1]:
            taken[name] += 1
        if first not in joined and not is_given(items[0]):
            data.append(join(items) if join else items[0])
        if join:
            joined.add(first)
    moved = {name: _position(page, taken[name]) for name, page in pages.items() if _has_moved(page, taken[name])}
    return MergedPage(data, moved)


def _has_moved(page: ClusterPage, taken: int) -> bool:
    """False: the cluster goes on where it was before."""
    return taken > 0 or not page.data


def _position(page: ClusterPage, taken: int) -> str | None:
    return page.next_cursor if taken == len(page.data) else page.cursors[taken - 1]


def job_key(job: Item) -> Key:
    """Jobs are listed newest first."""
    return (job["created_at"], job["id"])


def last_of_jobs(jobs: Sequence[Item], before: Sequence[str]) -> list[str]:
    """The time of the last job's creation, and the ids of those of that time; ``before``: the same of earlier pages."""
    if not jobs:
        return [*before]
    at = jobs[-1]["created_at"]
    earlier = before[1:] if before and before[0] == at else ()
    return [at, *earlier, *(job["id"] for job in jobs if job["created_at"] == at)]


def is_given_job(job: Item, last: Sequence[str]) -> bool:
    """Is it newer than the last one that was given, or that one? Jobs of one millisecond come in any order."""
    return bool(last) and (job["created_at"] > last[0] or (job["created_at"] == last[0] and job["id"] in last[1:]))


def last_of_schedules(schedules: Sequence[Item], before: Sequence[str]) -> list[str]:
    """The last one's id; ``before``: the same of earlier pages."""
    return [schedules[-1]["id"]] if schedules else [*before]


def is_given_schedule(schedule: Item, last: Sequence[str]) -> bool:
    """Does it come before the last one that was given, or is it that one?"""
    return bool(last) and schedule["id"] <= last[0]


def first_of(items: list[Item]) -> Item:
    """One thing that two clusters gave, as it was on its way from one to the other."""
    return items[0]


def audit_key(row: Item) -> Key:
    """The audit log is listed newest first."""
    return (row["at"], row["id"])


def schedule_key(schedule: Item) -> Key:
    """Schedules are listed by id."""
    return (schedule["id"],)


def destination_key(destination: Item) -> Key:
    """Destinations are listed by name."""
    return (destination["host"],)


def join_destinations(views: list[Item]) -> Item:
    """One destination as several clusters see it: settings of the first, counts summed, the worst breaker.

    So are the counts of recent attempts, and the percentiles are those of all.
    """
    joined = dict(views[0])
    for count in ("running", "waiting"):
        joined[count] = sum(view[count] for view in views)
    order = ("closed", "half_open", "open")
    joined["breaker"] = max((view["breaker"] for view in views), key=lambda breaker: order.index(breaker["state"]))
    recent = joined_recent(msgspec.convert(view["recent"], RecentAttempts) for view in views if "recent" in view)
    return joined if recent is None else joined | {"recent": recent}


def tenant_key(tenant: Item) -> Key:
    """Tenants are listed by name."""
    return (tenant["name"],)


def join_tenants(views: list[Item]) -> Item:
    """One tenant as several clusters see it: settings of the first, what it has summed."""
    used = [view["used"] for view in views]
    return {**views[0], "used": {name: sum(one[name] for one in used) for name in used[0]}}
