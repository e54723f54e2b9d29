"""A server bounds what it holds for its clients in all, and cuts those who wait longest."""

from hookline.http_api.held import HeldBytes


class Cut:
    """Holders by name; those that were cut, in order."""

    def __init__(self, bytes_max: int = 10) -> None:
        self.names: list[str] = []
        self.held = HeldBytes[str](bytes_max, self.names.append)


def test_who_waits_longest_is_cut_first() -> None:
    cut = Cut()
    for name in ("first", "second", "third"):
        cut.held.add(name, 4)
    assert (cut.names, cut.held.total_bytes) == (["first"], 8)


def test_who_has_taken_it_waits_no_longer() -> None:
    cut = Cut()
    cut.held.add("first", 8)
    cut.held.remove("first")
    cut.held.remove("first")
    cut.held.add("second", 8)
    assert (cut.names, cut.held.total_bytes) == ([], 8)


def test_once_more_counts_what_it_is_more() -> None:
    cut = Cut()
    for size in (4, 3, 9):
        cut.held.add("one", size)
    assert (cut.names, cut.held.total_bytes) == ([], 9)


def test_one_that_is_too_large_alone_is_cut() -> None:
    cut = Cut()
    cut.held.add("one", 11)
    assert (cut.names, cut.held.total_bytes) == (["one"], 0)


def test_who_is_being_served_counts_and_is_not_cut_but_who_comes_then() -> None:
    cut = Cut()
    cut.held.add("served", 8)
    cut.held.settle("served")
    cut.held.add("new", 4)
    assert (cut.names, cut.held.total_bytes) == (["new"], 8)
    cut.held.remove("served")
    cut.held.add("new", 4)
    assert (cut.names, cut.held.total_bytes) == (["new"], 4)
