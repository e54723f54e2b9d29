"""The pure parts of the dashboard: how values are shown, a search, a job's story, and command lines."""

import hashlib
import shlex
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import msgspec
import pytest

from hookline.client.answers import Attempt, Job, PastTick
from hookline.client.timeline import steps_of
from hookline.dashboard.calendar import Reach, calendar_rows, reach_of
from hookline.dashboard.filters import destination_in, filter_fields, kept
from hookline.dashboard.pages.edit import changes_in
from hookline.dashboard.recipes import headers_in
from hookline.dashboard.rendering import clipped, duration, html, number, query, span, tone
from hookline.dashboard.snippets import curl_of
from hookline.errors import InvalidRequest

NOW = datetime(2026, 11, 28, 13, tzinfo=UTC)
HARM = "<script>alert(1)</script>\x1b[31m\u202eevil\r\n"


def test_nothing_that_others_chose_is_markup_or_moves_text() -> None:
    shown = html(
        "sign_in.html",
        NOW,
        SHARED | {"wrong": HARM, "next": '"><img src=x>', "start": '"><img src=x>', "provider": HARM},
    )
    assert "<script>alert" not in shown
    assert "<img src=x" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"&lt;script&gt;alert(1)&lt;/script&gt;\x1b[31m\u202eevil\x0d" in shown


SHARED = {
    "menu": (),
    "here": "/dashboard",
    "token": "t",
    "is_signed_in": False,
    "asks_for_keys": True,
    "is_read_only": False,
}


@pytest.mark.parametrize(
    ("given", "shown"),
    [(None, "–"), (0.4, "0 ms"), (12, "12 ms"), (1_240, "1.2 s"), (60_000, "1 min"), (7_200_000, "2 h")],
)
def test_durations(given: float | None, shown: str) -> None:
    assert duration(given) == shown


def test_spans_numbers_and_long_texts() -> None:
    assert [span(timedelta(seconds=one)) for one in (0.2, 59, 60, 86_400 * 3)] == ["0 s", "59 s", "1 min", "3 d"]
    assert number(1_234_567) == "1\u202f234\u202f567"
    assert clipped("a" * 100, 30) == "a" * 20 + "…" + "a" * 10
    assert query({"a": "x y", "b": ""}, c=None, d="&") == "a=x+y&d=%26"


def test_a_search_is_the_sdks_filter() -> None:
    asked = {"state": "dead", "label": " team=a ", "age": "1h", "error": "", "q": "x", "before": "2026-11-28T12:30"}
    assert filter_fields(asked, NOW) == {
        "state": "dead",
        "label": "team=a",
        "created_after": NOW - timedelta(hours=1),
        "created_before": datetime(2026, 11, 28, 12, 30, tzinfo=UTC),
    }
    assert kept(asked) == {"state": "dead", "label": " team=a ", "age": "1h", "before": "2026-11-28T12:30"}


def test_an_age_that_is_none_finds_not_everything() -> None:
    with pytest.raises(InvalidRequest, match="age"):
        filter_fields({"age": "2h"}, NOW)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00", "2026-11-28T13:00+01:00"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="after"):
        filter_fields({"after": text}, NOW)


def test_a_url_finds_its_destination() -> None:
    assert destination_in("https://shop.example:8443/a?b#c") == "https://shop.example:8443"
    assert [destination_in(text) for text in ("order-1", "http://[", "ftp://x", "https://")] == [None] * 4


def test_the_curl_of_a_webhook_is_one_command_whatever_is_in_it() -> None:
    line = curl_of("POST", "https://a.example/'x", {"X-A": "it's; rm -rf /"}, '{"a": "$(id)\n"}')
    assert shlex.split(line.replace("\\\n", "")) == [
        *("curl", "-X", "POST", "https://a.example/'x", "-H", "X-A: it's; rm -rf /"),
        *("-H", "Content-Type: application/json", "--data-binary", '{"a": "$(id)\n"}'),
    ]


def test_only_what_was_changed_is_sent() -> None:
    before = {"url": "https://a.example", "method": "POST", "headers": "A: ***", "delay": "", "payload": "{}"}
    assert changes_in(before, before, is_json=True) == {}
    sent = before | {"headers": "A: b\r\n\r\nC:d", "payload": '{"n": 1.50}', "delay": "5m"}
    found = changes_in(before, sent, is_json=True)
    assert found == {"headers": {"A": "b", "C": "d"}, "payload": msgspec.Raw(b'{"n": 1.50}'), "delay": "5m"}
    assert changes_in(before, before | {"payload": "x"}, is_json=False) == {"body": b"x"}
    with pytest.raises(InvalidRequest, match="Name: value"):
        headers_in("no colon")


def test_the_libraries_are_the_files_of_their_packages() -> None:
    folder = files("hookline.dashboard") / "assets" / "vendor"
    sums = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name.endswith((".js", ".css"))
    }
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert sums == {name: digest for digest, name in map(str.split, lines)}


@pytest.mark.parametrize(
    ("apart", "text"),
    [
        (1, "two hours"),
        (15, "two days"),
        (60, "two days"),
        (360, "five weeks"),
        (1_440, "five weeks"),
        (10_080, "year"),
    ],
)
def test_a_calendar_goes_back_as_far_as_it_can_be_read(apart: int, text: str) -> None:
    following = [NOW + timedelta(minutes=apart * number) for number in range(1, 11)]
    assert reach_of(NOW, following).text.endswith(text)
    assert reach_of(NOW, []).text == "the last year"


def test_a_calendar_has_the_newest_day_first_and_says_all_in_words() -> None:
    def tick(at: str, outcome: str, **more: str) -> PastTick:
        made: dict[str, object] = {"at": at, "outcome": outcome, "job": None, "state": None, "made_at": None}
        return msgspec.convert(made | more, PastTick)

    ticks = [
        tick("2026-11-27T09:00:00+01:00", "made", job="a", state="dead", made_at="2026-11-27T08:00:00Z"),
        tick("2026-11-27T12:00:00+01:00", "skipped"),
        tick("2026-11-28T09:00:00+01:00", "caught_up", job="b", state="succeeded", made_at="2026-11-28T09:30:00Z"),
    ]
    newest, oldest = calendar_rows(ticks, Reach(NOW, "", "%a %d %b"))
    assert (newest.name, oldest.name) == ("Sat 28 Nov", "Fri 27 Nov")
    assert [(one.tone, one.text) for one in oldest.ticks] == [
        ("bad", "2026-11-27 09:00 made; its job is dead"),
        ("off", "2026-11-27 12:00 skipped"),
    ]
    assert newest.ticks[0].text == "2026-11-28 09:00 caught up at 2026-11-28 10:30; its job is succeeded"


def job(state: str, **fields: object) -> Job:
    made: dict[str, object] = {
        "id": "j",
        "url": "https://a.example/",
        "method": "POST",
        "state": state,
        "run_at": "2026-11-28T12:00:00Z",
        "created_at": "2026-11-28T12:00:00Z",
        "finished_at": None,
        "attempts_made": 1,
        "next_attempt_at": None,
        "waiting_for": None,
        "last_attempt": None,
        "labels": {},
        "guarantee": "at_least_once",
        "priority": 0,
        "destination": "https://a.example:443",
        "headers": {},
        "timeout": "30s",
        "signed": False,
        "schedule": None,
        "retry": {
            "max_attempts": 3,
            "initial": "1s",
            "factor": 2.0,
            "max": "1h",
            "schedule": [],
            "budget": None,
            "on": [],
            "not_on": [],
        },
    }
    return msgspec.convert(made | fields, Job)


def attempt(number: int, at: str, outcome: str) -> Attempt:
    return msgspec.convert(
        {
            "number": number,
            "outcome": outcome,
            "status": 500,
            "error": "HTTP 500",
            "started_at": at,
            "duration_ms": 1_000,
            "node": "n1",
            "term": 1,
            "response_headers": {},
            "response_body": "",
        },
        Attempt,
    )


def test_the_story_says_what_happened_and_how_long_it_waited() -> None:
    attempts = [
        attempt(1, "2026-11-28T12:00:00Z", "retryable_failure"),
        attempt(2, "2026-11-28T12:00:31Z", "permanent_failure"),
    ]
    steps = steps_of(job("dead", finished_at="2026-11-28T12:00:32Z"), attempts)
    assert [(step.kind, tone(step.word), step.waited) for step in steps] == [
        ("created", "waits", None),
        ("attempt", "odd", None),
        ("attempt", "bad", timedelta(seconds=30)),
        ("ended", "bad", None),
    ]


def test_the_story_of_a_job_that_waits_says_why() -> None:
    waiting = {"reason": "paused", "detail": "its destination is paused"}
    steps = steps_of(job("pending", attempts_made=0, waiting_for=waiting, schedule="nightly"), [])
    assert [step.detail for step in steps] == ["The schedule nightly made it.", "its destination is paused"]
    assert steps_of(job("running"), [])[-1].title == "Attempt 1 is under way"
