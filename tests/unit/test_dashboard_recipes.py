"""A form says the same in four languages; and ticks around a change of the clocks."""

import ast
import json
import shlex
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hookline.cli.app import app
from hookline.dashboard.recipes import Recipe, cli_recipe, curl_recipe, job_recipe, python_recipe, schedule_recipe
from hookline.dashboard.ticks import shown_ticks
from hookline.errors import InvalidJson, InvalidRequest

ORIGIN = "http://127.0.0.1:7070"
FORM = {
    "url": " https://a.example/'x ",
    "method": "PUT",
    "payload": '{"n": 1.50, "s": "it\'s"}',
    "headers": "X-A: b:c\r\n",
    "labels": "team=a\nenv=b=c",
    "id": "order 1",
    "delay": "5m",
    "run_at": "",
    "timeout": "10s",
    "priority": "-3",
    "max_attempts": "4",
    "guarantee": "at_most_once",
    "kind": "job",
}
DOCUMENT = {
    "url": "https://a.example/'x",
    "method": "PUT",
    "payload": {"n": 1.5, "s": "it's"},
    "headers": {"X-A": "b:c"},
    "labels": {"team": "a", "env": "b=c"},
    "timeout": "10s",
    "retry": {"max_attempts": 4},
    "priority": -3,
    "guarantee": "at_most_once",
    "id": "order 1",
    "delay": "5m",
}
CALENDAR = {
    "cron": "0 9 * * mon-fri",
    "timezone": "Europe/Berlin",
    "overlap": "skip",
    "catch_up": "all",
    "jitter": "1m",
}


def words(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", ""))


def test_curl_sends_what_the_form_says() -> None:
    line = words(curl_recipe(ORIGIN, job_recipe(FORM)))
    assert line[:4] == ["curl", "-X", "POST", f"{ORIGIN}/jobs"]
    assert json.loads(line[-1]) == DOCUMENT
    assert '"payload": {"n": 1.50,' in line[-1], "as it was typed"


def test_curl_makes_a_schedule() -> None:
    line = words(curl_recipe(ORIGIN, schedule_recipe(FORM | CALENDAR)))
    job = {name: value for name, value in DOCUMENT.items() if name not in ("id", "delay")}
    assert line[3] == f"{ORIGIN}/schedules"
    assert json.loads(line[-1]) == {
        "cron": "0 9 * * mon-fri",
        "job": job,
        "timezone": "Europe/Berlin",
        "overlap": "skip",
        "jitter": "1m",
        "id": "order 1",
        "catch_up": {"policy": "all"},
    }


@pytest.mark.parametrize(
    ("recipe", "command"),
    [(job_recipe(FORM), ["jobs", "create"]), (schedule_recipe(FORM | CALENDAR), ["schedules", "create"])],
)
def test_the_command_line_takes_every_option(recipe: Recipe, command: list[str]) -> None:
    line = words(cli_recipe(ORIGIN, recipe).partition("\n")[2])
    assert line[:3] == ["hookline", *command]
    _, bound, _ = app.parse_args(line[1:], print_error=False, exit_on_error=False)
    options = bound.arguments["job"]
    assert (options.method, options.data, options.timeout) == ("PUT", FORM["payload"], "10s")
    assert (options.header, options.label) == (["X-A: b:c"], ["team=a", "env=b=c"])
    assert (options.priority, options.at_most_once, options.retry.retry_max) == (-3, True, 4)
    assert bound.arguments["url"] == DOCUMENT["url"]


def test_python_makes_the_same_call() -> None:
    [call] = [
        one
        for one in ast.walk(ast.parse(python_recipe(ORIGIN, job_recipe(FORM))))
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == "create_job"
    ]
    said: dict[str, Any] = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    assert {"url": ast.literal_eval(call.args[0])} | said == DOCUMENT
    assert "create_schedule('0 9 * * mon-fri', {'url'" in python_recipe(ORIGIN, schedule_recipe(FORM | CALENDAR))


@pytest.mark.parametrize(
    ("field", "text"), [("headers", "none"), ("labels", "none"), ("priority", "high"), ("max_attempts", "1.5")]
)
def test_what_cannot_be_read_is_named(field: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        job_recipe(FORM | {field: text})
    assert caught.value.field == field


def test_a_payload_has_to_be_json() -> None:
    with pytest.raises((InvalidJson, InvalidRequest)):
        job_recipe(FORM | {"payload": "{oops"})


def test_a_change_of_the_clocks_is_told_where_it_happens() -> None:
    zone = ZoneInfo("Europe/Berlin")
    spring = [datetime(2027, 3, day, 9, tzinfo=zone) for day in (26, 27, 28, 29)]
    assert [tick.note for tick in shown_ticks(spring)] == [
        *("", ""),
        "clocks go forward by 1 h before it, from UTC+0100 to UTC+0200",
        "",
    ]
    autumn = [datetime(2027, 10, day, 9, tzinfo=zone) for day in (30, 31)]
    assert "back by 1 h" in shown_ticks(autumn)[1].note


@pytest.mark.parametrize("twice", [{"headers": "X-A: 1\nX-A: 2"}, {"labels": "a=1\na=2"}])
def test_what_is_there_twice_is_not_made_one(twice: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        job_recipe(FORM | twice)
