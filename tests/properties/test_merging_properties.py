"""Paging through merged pages to the end gives every item once, in order, whatever the pages were cut like."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hookline.proxy.merging import ClusterPage, Positions, job_key, merge

Lists = dict[str, list[int]]

lists = st.dictionaries(
    st.sampled_from(["c0", "c1", "c2", "c3"]), st.lists(st.integers(0, 30), max_size=25), min_size=1
)


class _Clusters:
    """Lists, newest first; a position is the sequence number that the next page stays below."""

    def __init__(self, times: Lists) -> None:
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        for name, given_times in times.items():
            for time in sorted(given_times):
                self.add(name, time)

    def add(self, name: str, time: int) -> None:
        jobs = self.jobs.setdefault(name, [])
        jobs.append({"created_at": f"{time:05d}", "id": f"{name}-{len(jobs):04d}", "seq": len(jobs)})

    def page(self, name: str, position: str | None, limit: int, looked_at_max: int) -> ClusterPage:
        """At most ``limit`` jobs; ends early, even empty, as a filter that finds nothing for long does."""
        before = int(position) if position else len(self.jobs[name])
        size = min(limit, looked_at_max)
        found = list(reversed(self.jobs[name][max(0, before - size) : before]))
        next_cursor = str(before - len(found)) if before > len(found) else None
        return ClusterPage(found, [str(job["seq"]) for job in found], next_cursor)


@given(times=lists, limit=st.integers(1, 10), data=st.data())
def test_merged_pages_are_the_sorted_whole(times: Lists, limit: int, data: st.DataObject) -> None:
    clusters = _Clusters(times)
    whole = sorted((job for jobs in clusters.jobs.values() for job in jobs), key=job_key, reverse=True)
    assert _walk(clusters, limit, data) == whole


@given(times=lists, limit=st.integers(1, 10), data=st.data())
def test_nothing_is_lost_or_twice_while_jobs_arrive_and_a_cluster_is_down_for_a_page(
    times: Lists, limit: int, data: st.DataObject
) -> None:
    clusters = _Clusters(times)
    before = {job["id"] for jobs in clusters.jobs.values() for job in jobs}
    found = [job["id"] for job in _walk(clusters, limit, data, is_rough=True)]
    assert len(found) == len(set(found))
    assert before <= set(found)


def _walk(clusters: _Clusters, limit: int, data: st.DataObject, *, is_rough: bool = False) -> list[dict[str, Any]]:
    positions: Positions = {}
    found: list[dict[str, Any]] = []
    for number in range(2_000):
        asked = [name for name in clusters.jobs if positions.get(name, "") is not None]
        if not asked:
            return found
        if is_rough and number < 20:
            down = data.draw(st.sampled_from([None, *asked]), label="down")
            asked = [name for name in asked if name != down]
            clusters.add(data.draw(st.sampled_from(sorted(clusters.jobs)), label="new"), 31 + number)
        looked_at = {name: data.draw(st.integers(0, limit), label=name) if number < 20 else limit for name in asked}
        pages = {name: clusters.page(name, positions.get(name), limit, looked_at[name]) for name in asked}
        merged = merge(pages, limit, key=job_key, is_descending=True)
        assert len(merged.data) <= limit
        found += merged.data
        positions |= merged.positions
    raise AssertionError("it never ends")
