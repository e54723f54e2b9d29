"""Draws what ``hookline top`` has seen, as lines that fit the terminal. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from hookline.cli.logs import story_lines
from hookline.cli.render import last_answer, mark, style_of
from hookline.cli.sheet import Column, Line, Sheet, Words, cell_len
from hookline.cli.top.figures import ClusterAtWork, TopFacts
from hookline.cli.top.looking import TopLook
from hookline.cli.top.views import KEYS, Sorting, TopScreen, TopView
from hookline.client.answers import Cluster, Destination, Job
from hookline.client.timeline import steps_of
from hookline.visible import visible_line, without_password

_CHOSEN: Final = "▸ "
_OTHER: Final = "  "
_CONCERNS_MAX: Final = 3
_LOW: Final = 12  # lines; fewer are for the rows
_GOOD_SHARE: Final = 0.99
_STORY_LINES_MAX: Final = 200

_CLUSTER_COLUMNS: Final = (
    Column("  CLUSTER"),
    Column("STATE"),
    Column("LEADER", rank=3),
    Column("FOLLOWERS", rank=8, is_long=True),
    Column("BREAKER", rank=6),
    Column("P50", rank=5, is_number=True),
    Column("P99", rank=2, is_number=True),
    Column("/S", rank=1, is_number=True),
    Column("OK", rank=4, is_number=True),
    Column("BACKLOG", is_number=True),
    Column("SLOTS", rank=7, is_number=True),
)
_DESTINATION_COLUMNS: Final = (
    Column("  DESTINATION", is_long=True),
    Column("BREAKER"),
    Column("PAUSED", rank=3),
    Column("WAITING", rank=1, is_number=True),
    Column("RUNNING", rank=2, is_number=True),
)
_JOB_COLUMNS: Final = (
    Column("  FAILED JOB", is_long=True),
    Column("STATE"),
    Column("TRIES", rank=2, is_number=True),
    Column("LAST", rank=1, is_long=True),
    Column("AT", rank=3),
)


class Drawn(NamedTuple):
    """The lines of a view, and what can be chosen in it.

    Attributes:
        targets: where each row leads that can be chosen; None: nowhere.
        places: the line in which each of them is.
    """

    lines: list[Line]
    targets: list[TopView | None]
    places: list[int]


Cells = Sequence[str | Words]


def picture(seen: TopLook | None, screen: TopScreen, where: str, width: int, height: int) -> list[Line]:
    """The whole screen, at most ``height`` lines of at most ``width`` characters.

    Args:
        seen: None: nothing was heard yet.
        screen: what is looked at.
        where: the address that is asked.
        width: of the terminal.
        height: likewise; 0: it has no end.
    """
    is_low = 0 < height < _LOW
    head = _head(seen, screen, where, is_low=is_low)
    body = drawn(seen, screen, width)
    foot: list[Line] = [[Words(KEYS, "dim")]] if height and not is_low else []
    room = height - len(head) - len(foot)
    lines = body.lines
    if height and len(lines) > room:
        lines = _window(body, screen.row, room)
    return [_cut(line, width) for line in (*head, *lines, *foot)[: height or None]]


def drawn(seen: TopLook | None, screen: TopScreen, width: int | None) -> Drawn:
    """The view that is looked at."""
    if seen is None or seen.facts is None:
        return Drawn([], [], [])
    if seen.view != screen.view and screen.view.kind in ("destination", "job"):
        return Drawn([[Words("looking …", "dim")]], [], [])
    match screen.view.kind:
        case "overview":
            return _overview(seen.facts, screen, width)
        case "cluster":
            return _cluster(seen.facts, screen, width)
        case "destination":
            return _destination(seen, screen, width)
        case "job":
            return _job(seen)


# --- the head -------------------------------------------------------------------------------------------------


def _head(seen: TopLook | None, screen: TopScreen, where: str, *, is_low: bool) -> list[Line]:
    path = " ▸ ".join(visible_line(view.name) for view in screen.views[1:])
    title = [Words("hookline top", "bold"), Words(f"  {without_password(where)}")]
    if path:
        title.append(Words(f"  {path}", "bold"))
    if screen.is_paused:
        title.append(Words("  paused", "bold yellow"))
    lines = [title]
    if seen is None:
        return [*lines, [Words("looking …", "dim")]]
    if seen.wrong:
        lines.append([Words(f"no answer: {visible_line(seen.wrong)}", "bold red")])
    if seen.facts is not None:
        lines.append(_summary(seen.facts.total))
        lines += [_concern(one.tone, one.text) for one in seen.facts.concerns[: 0 if is_low else _CONCERNS_MAX]]
    return lines if is_low else [*lines, []]


def _summary(total: ClusterAtWork) -> Line:
    style = "" if total.success_rate is None or total.success_rate >= _GOOD_SHARE else "yellow"
    return [
        Words(f"{_rate(total.attempts_per_s)} attempts/s"),
        Words(f"  {_share(total.success_rate)} succeed", style),
        Words(f"  lag p50 {_ms(total.lag_p50_ms)} p99 {_ms(total.lag_p99_ms)}"),
        Words(f"  backlog {total.backlog:,}  dead {total.dead:,}  slots {total.slots_used:,}/{total.slots:,}"),
    ]


def _concern(tone: str, text: str) -> Line:
    return [Words(f"! {visible_line(text)}", "bold red" if tone == "bad" else "yellow")]


# --- the views ------------------------------------------------------------------------------------------------


def _overview(facts: TopFacts, screen: TopScreen, width: int | None) -> Drawn:
    clusters = _sorted(facts.rows, screen.sorting)
    rows = [(_cells(row), TopView("cluster", row.name)) for row in clusters]
    first = _table(_CLUSTER_COLUMNS, rows, screen.row, width)
    destinations = _failing_first(facts.destinations, screen.sorting)
    if not destinations:
        return Drawn(
            [*first.lines, [], [Words("No job has named a destination yet.", "dim")]], first.targets, first.places
        )
    named = [(_destination_cells(one), TopView("destination", one.host)) for one in destinations]
    second = _table(_DESTINATION_COLUMNS, named, screen.row - len(rows), width)
    shift = len(first.lines) + 1
    return Drawn(
        [*first.lines, [], *second.lines],
        first.targets + second.targets,
        first.places + [place + shift for place in second.places],
    )


def _cells(row: ClusterAtWork) -> Cells:
    style = "green" if row.state == "ok" else "bold red"
    return (
        row.name,
        Words(row.state, style),
        row.leader or "-",
        ",".join(row.followers) or "-",
        "-" if row.breaker is None else mark(row.breaker),
        _ms(row.lag_p50_ms),
        _ms(row.lag_p99_ms),
        _rate(row.attempts_per_s),
        _share(row.success_rate),
        f"{row.backlog:,}",
        f"{row.slots_used:,}/{row.slots:,}",
    )


def _destination_cells(one: Destination) -> Cells:
    paused = Words("yes", "yellow") if one.paused else "no"
    return (one.host, mark(one.breaker.state), paused, f"{one.waiting:,}", f"{one.running:,}")


def _cluster(facts: TopFacts, screen: TopScreen, width: int | None) -> Drawn:
    found = next((one for one in facts.clusters.data if one.name == screen.view.name), None)
    if found is None:
        why = facts.clusters.reasons.get(screen.view.name, "")
        return Drawn([[Words(f"It cannot be reached. {visible_line(why)}", "bold red")]], [], [])
    lines: list[Line] = [
        [Words(f"cluster {found.name} · shard {found.shard} · term {found.term} · mode {found.mode}")],
        *_sheet(_nodes(found), width),
        [],
        *_sheet(_runners(found), width),
    ]
    return Drawn(lines, [], [])


def _nodes(cluster: Cluster) -> Sheet:
    sheet = Sheet(
        (
            Column("NODE"),
            Column("ROLE"),
            Column("URL", rank=1, is_long=True),
            Column("APPLIED", rank=2, is_number=True),
            Column("DURABLE", rank=4, is_number=True),
            Column("CLOCK", rank=3, is_number=True),
            Column("VERSION", rank=5),
            Column("HALTED", rank=6, is_long=True),
        )
    )
    for node in cluster.nodes:
        clock = "-" if node.clock_offset_ms is None else f"{node.clock_offset_ms:+,} ms"
        role = Words(node.role, "bold red" if node.halted else "")
        halted = node.halted or "-"
        sheet.add(node.name, role, node.url, f"{node.applied:,}", f"{node.durable:,}", clock, node.version, halted)
    return sheet


def _runners(cluster: Cluster) -> Sheet:
    sheet = Sheet(
        (Column("RUNNER"), Column("KIND", rank=1), Column("RUNNING", is_number=True), Column("SLOTS", is_number=True))
    )
    for runner in cluster.runners:
        sheet.add(runner.name, runner.kind, f"{runner.running:,}", f"{runner.slots:,}")
    return sheet


def _destination(seen: TopLook, screen: TopScreen, width: int | None) -> Drawn:
    assert seen.facts is not None
    found = next((one for one in seen.facts.destinations if one.host == seen.view.name), None)
    lines: list[Line] = []
    if found is not None:
        until = "" if found.breaker.until is None else f" until {found.breaker.until:%H:%M:%S}"
        paused = ", paused" if found.paused else ""
        text = f"breaker {found.breaker.state}{until}{paused} · {found.waiting:,} wait, {found.running:,} run"
        lines.append([Words(text, style_of(found.breaker.state))])
    if not seen.jobs:
        return Drawn([*lines, [Words("None of its jobs has failed lately.", "dim")]], [], [])
    rows = [(_job_cells(job), TopView("job", job.id)) for job in seen.jobs]
    table = _table(_JOB_COLUMNS, rows, screen.row, width)
    return Drawn([*lines, *table.lines], table.targets, [place + len(lines) for place in table.places])


def _job_cells(job: Job) -> Cells:
    last = job.last_attempt
    return (
        job.id,
        mark(job.state),
        str(job.attempts_made),
        last_answer(job),
        "-" if last is None else f"{last.started_at:%H:%M:%S}",
    )


def _job(seen: TopLook) -> Drawn:
    if seen.job is None:
        return Drawn([], [], [])
    job, attempts = seen.job
    lines: list[Line] = [[Words(visible_line(f"{job.method} {without_password(job.url)}"), "bold")]]
    for text, word in story_lines(steps_of(job, attempts)):
        lines += [[Words(part, style_of(word) if word else "dim")] for part in text.split("\n")]
    # Its rows are lines, so that a long story can be read to its end.
    shown = lines[:_STORY_LINES_MAX]
    return Drawn(shown, [None] * len(shown), list(range(len(shown))))


# --- small parts ----------------------------------------------------------------------------------------------


def _table(columns: Sequence[Column], rows: Iterable[tuple[Cells, TopView]], chosen: int, width: int | None) -> Drawn:
    sheet, targets = Sheet(columns), []
    for place, (cells, target) in enumerate(rows):
        first, *rest = cells
        is_chosen = place == chosen
        text = f"{_CHOSEN if is_chosen else _OTHER}{visible_line(first if isinstance(first, str) else first.text)}"
        sheet.add(Words(text, "reverse" if is_chosen else ""), *rest)
        targets.append(target)
    lines = _sheet(sheet, width)
    top = len(lines) - len(targets)
    return Drawn(lines, list(targets), list(range(top, len(lines))))


def _sheet(sheet: Sheet, width: int | None) -> list[Line]:
    return list(sheet.lines(width))


def _sorted(rows: Sequence[ClusterAtWork], sorting: Sorting) -> list[ClusterAtWork]:
    orders: dict[Sorting, Callable[[ClusterAtWork], float]] = {
        "name": lambda _row: 0,
        "backlog": lambda row: -row.backlog,
        "lag": lambda row: -(row.lag_p99_ms or 0),
        "rate": lambda row: -(row.attempts_per_s or 0),
    }
    return sorted(rows, key=orders[sorting])


def _failing_first(found: Sequence[Destination], sorting: Sorting) -> list[Destination]:
    def order(one: Destination) -> tuple[object, ...]:
        worth = {"backlog": -one.waiting, "rate": -one.running}.get(sorting, 0)
        return one.breaker.state == "closed", not one.paused, worth, one.host

    return sorted(found, key=order)


def _window(body: Drawn, row: int, room: int) -> list[Line]:
    """So many lines that the chosen row is among them."""
    if room <= 0:
        return []
    place = body.places[min(row, len(body.places) - 1)] if body.places else 0
    begin = max(0, min(place - room // 2, len(body.lines) - room))
    return body.lines[begin : begin + room]


def _cut(line: Line, width: int) -> Line:
    """The line without what is beyond the terminal's edge."""
    found: Line = []
    for words in line:
        if (taken := cell_len(words.text)) > width:
            from rich.cells import set_cell_size

            found.append(Words(set_cell_size(words.text, max(0, width - 1)) + "…" if width else "", words.style))
            break
        found.append(words)
        width -= taken
    return found


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1_000:,.1f} s" if value >= 1_000 else f"{value:,.0f} ms"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
