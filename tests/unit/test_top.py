"""The decisions of `hookline top`: keys, rows, rates and what fits a terminal."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hookline.cli.sheet import cell_len
from hookline.cli.top.figures import RateWindow, TopFacts, facts_of
from hookline.cli.top.keys import keys_in
from hookline.cli.top.looking import Looker, TopLook
from hookline.cli.top.picture import picture
from hookline.cli.top.views import TopScreen, TopView, pressed
from hookline.client.answers import Breaker, Cluster, ClusterFigures, ClusterList, Destination, DestinationPage, Health
from hookline.clock import SystemClock
from hookline.errors import ConnectionFailed, Forbidden, HooklineError, NotLeader

CLUSTER, OTHER = TopView("cluster", "c0"), TopView("cluster", "c1")


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("q", ["q"]),
        ("Q", ["q"]),
        ("\x1b[A\x1b[Bj", ["up", "down", "j"]),
        ("\x1bOA\r\x7f ", ["up", "enter", "backspace", " "]),
        ("\x1b", ["escape"]),
        ("\x1b\x1b", ["escape", "escape"]),
        ("\x1b[1;5C\x1b[15~s", ["s"]),  # what nobody knows is passed over
        ("\x1b[5~\x1b[6~", ["pageup", "pagedown"]),
    ],
)
def test_what_a_terminal_sends_is_read_as_keys(sent: str, keys: list[str]) -> None:
    assert list(keys_in(sent)) == keys


def after(keys: str, *targets: TopView | None) -> TopScreen:
    screen = TopScreen()
    for key in keys.split():
        screen = pressed(screen, {"_": " "}.get(key, key), targets)
    return screen


def test_keys_choose_open_and_go_back() -> None:
    assert after("down down down", CLUSTER, OTHER).row == 1
    assert after("up", CLUSTER, OTHER).row == 0
    assert after("end", CLUSTER, OTHER).row == 1
    assert after("end home", CLUSTER, OTHER).row == 0
    assert after("down enter", CLUSTER, OTHER).view == OTHER
    back = after("down enter escape escape", CLUSTER, OTHER)
    assert (back.view, back.row) == (TopView("overview"), 1)
    assert after("enter").view == after("enter", None).view == TopView("overview")  # there is nothing to open
    assert after("_").is_paused is not after("_ p").is_paused
    assert after("s s").sorting == "lag"
    assert after("s s s s").sorting == "name"
    assert after("x z").views == TopScreen().views
    assert after("q").is_over


# --- rates ----------------------------------------------------------------------------------------------------


def cluster(name: str, good: int, bad: int, *lags: int, backlog: int = 0, leader: str | None = "n1") -> Cluster:
    figures = ClusterFigures({"pending": backlog}, {"success": good, "dead": bad}, 1, 10, [10, 100], [*lags])
    return Cluster(name, int(name[1:]), 1, leader, [], figures=figures if leader else None)


def rows_of(*looks: tuple[float, list[Cluster]]) -> TopFacts:
    window = RateWindow()
    for at_s, found in looks:
        window.take(ClusterList(found), at_s)
    return facts_of(window, Health("ok", "proxy"), ClusterList(looks[-1][1], ["c9"]), [])


def test_rates_are_those_of_the_last_seconds() -> None:
    facts = rows_of(
        (0.0, [cluster("c0", 0, 0, 0, 0, 0)]),
        (90.0, [cluster("c0", 1_000, 0, 1_000, 0, 0)]),
        (100.0, [cluster("c0", 1_090, 10, 1_000, 100, 0)]),
    )
    row = facts.rows[0]
    assert (row.attempts_per_s, row.success_rate) == (10.0, 0.9)
    assert row.lag_p50_ms == 55.0  # all of them between 10 and 100 ms
    assert facts.total.attempts_per_s == 10.0
    assert facts.total.state == "1 not ok"
    assert [(one.name, one.state) for one in facts.rows] == [("c0", "ok"), ("c9", "unreachable")]


def test_a_new_leader_counts_from_the_beginning_and_nothing_is_negative() -> None:
    facts = rows_of((0.0, [cluster("c0", 500, 5, 9, 9, 9)]), (5.0, [cluster("c0", 10, 0, 10, 0, 0)]))
    assert facts.rows[0].attempts_per_s == 2.0


def test_one_look_knows_no_rates() -> None:
    row = rows_of((0.0, [cluster("c0", 500, 5, 9, 9, 9)])).rows[0]
    assert (row.attempts_per_s, row.success_rate, row.lag_p99_ms) == (None, None, None)


def test_a_cluster_without_a_leader_is_told() -> None:
    assert rows_of((0.0, [cluster("c0", 0, 0, leader=None)])).rows[0].state == "no leader"


# --- the picture ----------------------------------------------------------------------------------------------


def destination(host: str, state: Any = "closed", *, paused: bool = False, waiting: int = 0) -> Destination:
    return Destination(host, None, None, paused, Breaker(state, None), 0, waiting, 0)


def seen(*hosts: Destination) -> TopLook:
    window, clusters = RateWindow(), ClusterList([cluster("c0", 0, 0), cluster("c1", 0, 0, backlog=7)])
    window.take(clusters, 0.0)
    return TopLook(
        facts_of(window, Health("ok", "proxy"), clusters, list(hosts)), TopView("overview"), [], None, "", 0.0
    )


def shown(found: TopLook, screen: TopScreen, width: int = 100, height: int = 0) -> list[str]:
    return ["".join(words.text for words in line) for line in picture(found, screen, "http://h", width, height)]


def test_what_fails_comes_first() -> None:
    found = seen(destination("a"), destination("b", paused=True), destination("c", "open"), destination("d", waiting=9))
    lines = shown(found, TopScreen(sorting="backlog"))
    assert [line.split()[0] for line in lines[-4:]] == ["c", "b", "d", "a"]
    named = [line[2:4] for line in lines if line[2:4] in ("c0", "c1")]
    assert named == ["c1", "c0"]  # by their backlogs


@pytest.mark.parametrize("width", [10, 25, 40, 80, 200])
@pytest.mark.parametrize("height", [3, 6, 12, 24])
def test_it_fits_any_terminal_and_shows_the_row_that_is_chosen(width: int, height: int) -> None:
    found = seen(*(destination(f"https://h{number:03d}.example", "open") for number in range(100)))
    lines = shown(found, TopScreen(chosen=(60,)), width, height)
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    if height >= 3 and width >= 25:
        assert any(line.startswith("▸ ") for line in lines)


def test_a_name_that_would_move_text_is_shown_as_it_is_written() -> None:
    lines = shown(seen(destination("https://\u202eevil\x1b[31m")), TopScreen())
    assert not {"\u202e", "\x1b"} & set("".join(lines))


class Answering:
    """A service that answers health, and refuses what it is told to refuse, by the path."""

    def __init__(self, **refused: HooklineError) -> None:
        self._refused = refused

    def send(self, request: Any) -> Any:
        name = request.path.strip("/").partition("?")[0]
        if name in self._refused:
            raise self._refused[name]
        if name == "health":
            return Health("ok", role="follower", clusters=[])
        if name == "cluster":
            return cluster("c0", 0, 0, 0, leader=None)
        return DestinationPage([], None)


def test_where_nobody_leads_that_is_what_is_shown() -> None:
    looker = Looker(Answering(destinations=NotLeader()), SystemClock())  # type: ignore[arg-type]
    look = looker.look(TopView("overview"), None)
    assert look.facts is not None, look.wrong
    assert [(one.name, one.state) for one in look.facts.rows] == [("c0", "no leader")]


def test_a_tenant_sees_its_destinations_and_no_clusters() -> None:
    look = Looker(Answering(cluster=Forbidden()), SystemClock()).look(TopView("overview"), None)  # type: ignore[arg-type]
    assert look.facts is not None, look.wrong
    assert look.facts.rows == []
    assert shown(look, TopScreen())


def test_what_was_seen_stays_when_nothing_answers() -> None:
    class Refused:
        def send(self, _request: object) -> object:
            raise ConnectionFailed("refused")

    looker = Looker(Refused(), SystemClock())  # type: ignore[arg-type]
    before = seen()
    now = looker.look(TopView("overview"), before)
    assert (now.facts, now.wrong) == (before.facts, "refused")
    assert looker.look(TopView("overview"), None).facts is None
    assert "no answer: refused" in shown(now, TopScreen())[1]
    assert datetime.fromtimestamp(now.at_s, UTC).year == 1970
