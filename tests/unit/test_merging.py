"""One merged page out of the clusters' pages."""

from typing import Any

from hookline.proxy.merging import ClusterPage, destination_key, first_of, job_key, join_destinations, merge


def _jobs(*times: int) -> list[dict[str, Any]]:
    return [{"created_at": f"{time:03d}", "id": f"j{time}"} for time in times]


def _page(times: list[int], next_cursor: str | None = None) -> ClusterPage:
    return ClusterPage(_jobs(*times), [f"after {time}" for time in times], next_cursor)


def test_what_was_not_taken_is_asked_for_again() -> None:
    merged = merge({"a": _page([9, 5, 1]), "b": _page([8, 7], "more")}, 3, key=job_key, is_descending=True)
    assert merged.data == _jobs(9, 8, 7)
    assert merged.positions == {"a": "after 9", "b": "more"}


def test_it_ends_where_a_cluster_has_more_that_we_do_not_see() -> None:
    merged = merge({"a": _page([9], "more"), "b": _page([8])}, 9, key=job_key, is_descending=True)
    assert merged.data == _jobs(9)
    assert merged.positions == {"a": "more"}


def test_a_page_that_found_nothing_yet_gets_on() -> None:
    merged = merge({"a": ClusterPage([], [], "further"), "b": _page([8])}, 9, key=job_key, is_descending=True)
    assert (merged.data, merged.positions) == ([], {"a": "further"})


def test_the_end_of_all_is_the_end() -> None:
    merged = merge({"a": _page([3]), "b": ClusterPage([], [], None)}, 9, key=job_key, is_descending=True)
    assert (merged.data, merged.positions) == (_jobs(3), {"a": None, "b": None})


def test_a_destination_of_several_clusters_is_one() -> None:
    def view(host: str, running: int, state: str) -> dict[str, Any]:
        return {"host": host, "running": running, "waiting": 1, "breaker": {"state": state, "until": None}}

    pages = {
        "a": ClusterPage([view("x", 1, "closed"), view("y", 0, "closed")], ["x", "y"], None),
        "b": ClusterPage([view("x", 2, "open")], ["x"], None),
    }
    recent = {"seconds": 300, "attempts": 3, "succeeded": 3, "p50_ms": 10, "p99_ms": 10, "durations": {"10": 3}}
    slow = recent | {"attempts": 4, "succeeded": 0, "p50_ms": 90, "p99_ms": 90, "durations": {"90": 4}}
    views = [view("x", 1, "open") | {"recent": recent}, view("x", 1, "open"), view("x", 1, "open") | {"recent": slow}]
    joined = join_destinations(views)["recent"]
    assert (joined.attempts, joined.succeeded, joined.p50_ms) == (7, 3, 90)
    assert joined.durations == {"10": 3, "90": 4}

    merged = merge(pages, 1, key=destination_key, join=join_destinations)
    assert merged.data == [{"host": "x", "running": 3, "waiting": 2, "breaker": {"state": "open", "until": None}}]
    assert merged.positions == {"a": "x", "b": None}


def test_what_moves_is_given_once_though_clusters_order_one_instant_differently() -> None:
    def page(*names: str) -> ClusterPage:
        return ClusterPage([{"created_at": 5, "id": name} for name in names], list(names), None)

    merged = merge(
        {"old": page("a", "d", "c"), "new": page("d", "a", "b")}, 10, key=job_key, is_descending=True, join=first_of
    )
    assert sorted(job["id"] for job in merged.data) == ["a", "b", "c", "d"]
    assert merged.positions == {"old": None, "new": None}
