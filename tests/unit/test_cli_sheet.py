"""Tables: whole in a pipe, cut to fit on a terminal, ids last."""

import io
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len

from hookline.cli.render import job_table
from hookline.cli.sheet import Column, Sheet, facts, fit
from hookline.cli.visible_console import VisibleConsole
from hookline.protocol.durations import parse_time
from hookline.protocol.http import Job
from tests import scripted_server as served

ID = "0192f0c1-7a4b-7def-8123-456789abcdef-0"
URL = "https://orders.shop.example.com/a/rather/long/path?with=a&query=too"
LAST = {"number": 2, "outcome": "retryable_failure", "status": 503, "error": "the database\nis away"}
LAST |= {"started_at": "2026-11-24T13:00:00.000Z", "duration_ms": 3}


def jobs(**changes: Any) -> Sheet:
    fields = {"url": URL, "state": "pending", "attempts_made": 2, "last_attempt": LAST} | changes
    found = msgspec.convert(served.job(ID, **fields), Job)
    return job_table([found], parse_time("2026-11-24T12:59:00Z"))


def printed(what: Any, width: int, *, terminal: bool = True) -> list[str]:
    console = VisibleConsole(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, markup=False)
    console.print(what, soft_wrap=True)
    lines: list[str] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return lines


@pytest.mark.parametrize("width", [*range(10, 60, 7), 80, 100, 140, 300])
def test_on_a_terminal_no_line_is_longer_than_it_is_wide(width: int) -> None:
    lines = printed(jobs(), width)
    assert len(lines) == 3  # a header, a rule, and one line a job
    assert max(cell_len(line) for line in lines) <= width


def test_what_matters_most_is_left_on_a_narrow_one() -> None:
    wide = printed(jobs(), 300)
    assert wide[0].split() == ["ID", "STATE", "TRIES", "NEXT", "LAST", "URL", "CREATED", "DUE", "LABELS"]
    assert ID in wide[2]
    assert "503 the database\\nis away" in wide[2]
    at_80 = printed(jobs(), 80)
    assert ID in at_80[2], "ids are the last to be cut"
    assert at_80[0].split()[:2] == ["ID", "STATE"]
    assert "…" in at_80[2]
    at_46 = printed(jobs(), 46)
    assert at_46[0].split()[:2] == ["ID", "STATE"]
    assert at_46[2].split()[0].endswith("…")
    assert "pending" in at_46[2]


def test_elsewhere_everything_is_there_in_one_line() -> None:
    header, row = printed(jobs(), 40, terminal=False)
    assert "LABELS" in header
    assert row.startswith(ID)
    assert URL in row


def test_wide_characters_are_counted_as_such() -> None:
    sheet = Sheet((Column("A", is_long=True), Column("B")))
    sheet.add("日本語のとても長いテキスト", "x")
    assert max(cell_len(line) for line in printed(sheet, 20)) <= 20


def test_tabs_and_new_lines_make_no_other_cells() -> None:
    sheet = Sheet((Column("A"), Column("B")))
    sheet.add("a\tb\nc", "d\x1b[2J")
    assert sheet.tsv() == "A\tB\na\\tb\\nc\td\\x1b[2J\n"


@pytest.mark.parametrize("limit", range(1, 60))
def test_fitting_never_asks_for_more_than_there_is_unless_nothing_is_left_to_cut(limit: int) -> None:
    columns = (Column("A"), Column("B", rank=1, is_long=True), Column("C", rank=2), Column("D", rank=3, is_long=True))
    widths = fit(columns, [20, 15, 5, 9], limit)
    shown = [width for width in widths if width]
    assert sum(shown) + 2 * (len(shown) - 1) <= max(limit, 3)
    assert widths[0]


def test_facts_fold_on_a_terminal_and_nowhere_else() -> None:
    one = facts((("id", ID), ("call", f"POST {URL}"), ("headers", "a: 1\nb: 2"), ("none", None)))
    plain = printed(one, 40, terminal=False)
    assert plain == [f"id       {ID}", f"call     POST {URL}", "headers  a: 1", "         b: 2"]
    assert max(len(line) for line in printed(one, 40)) <= 40
