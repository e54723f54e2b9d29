"""The SDK as type checkers, ``help()`` and frameworks see it."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http.request import HttpHeaders
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import Headers as WerkzeugHeaders

import hookline
from hookline.client import fields
from hookline.protocol import signatures

GOOD = """
from flask import request
from starlette.requests import Request
import httpx2
import hookline

hookline.verify(request.get_data(), request.headers, "whsec_x")
def fastapi(asked: Request, body: bytes) -> None:
    hookline.verify(body, asked.headers, "whsec_x")
hookline.verify(b"", {"a": "b"}, "whsec_x")
client = hookline.Client(http_client=lambda: httpx2.Client(), headers={"a": "b"}, verify="ca.pem", proxy="http://p:1")
client.create_schedule("* * * * *", {"url": "http://e.example/", "payload": 1}, timezone="UTC")
client.create_job("http://e.example/", traceparent="00-x", retry={"max_attempts": 3})
job, schedule, found = client.get_job("j1"), client.get_schedule("s1"), client.get_destination("h")
print((job.run_at - job.created_at).total_seconds(), job.payload["n"])
print([tick.hour for tick in client.preview_schedule("* * * * *")])
client.update_job("j1", run_at=job.run_at, payload=job.payload, retry=job.retry, labels=job.labels, timeout=job.timeout)
client.create_schedule(schedule.cron, schedule.job, start_at=schedule.start_at, catch_up=schedule.catch_up)
client.put_destination("h", rate=found.rate, retry=found.retry)
for one in client.list_jobs():
    print(one.run_at.isoformat(), one.waiting_for and one.waiting_for.until)
"""
BAD = """
import hookline
client = hookline.Client()
client.create_schedule("* * * * *", {"ur": "http://e.example/"})
client.create_schedule("* * * * *", {"payload": 1})
client.create_job("http://e.example/", retry={"max_attempt": 3})
client.create_job("http://e.example/", delai=3)
hookline.verify(b"", [("a", "b")], "whsec_x")
client.get_job("j1").run_at + "Z"
"""


def checked(code: str, folder: Path) -> list[str]:
    file = folder / "shop.py"
    file.write_text(code)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(folder / "cache"),
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "error:" in line]


def test_a_type_checker_takes_what_is_right_and_finds_what_is_wrong(tmp_path: Path) -> None:
    assert checked(GOOD, tmp_path) == []
    wrong = checked(BAD, tmp_path)
    assert {int(line.split(":")[1]) for line in wrong} == {4, 5, 6, 7, 8, 9}, wrong


def test_headers_of_the_frameworks_verify() -> None:
    secret, now = "whsec_" + "A" * 32, 1_700_000_000
    signed = signatures.sign([signatures.parse_secret(secret)], "j1", now, b"{}")
    plain = {"Webhook-Id": "j1", "Webhook-Timestamp": str(now), "Webhook-Signature": signed}
    django = HttpHeaders({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in plain.items()})
    for headers in (plain, WerkzeugHeaders(plain), StarletteHeaders(plain), django):
        assert hookline.verify(b"{}", headers, secret, now=now).id == "j1"


@pytest.mark.parametrize("kind", [hookline.Client, hookline.AsyncClient])
def test_every_method_says_what_it_does(kind: Any) -> None:
    methods = {name: one for name, one in vars(kind).items() if inspect.isfunction(one) and not name.startswith("_")}
    assert [name for name, one in methods.items() if not one.__doc__] == []
    for named in fields.JobFields.__annotations__:
        assert f"``{named}``" in kind.create_job.__doc__
    for named in fields.ScheduleFields.__annotations__:
        assert f"``{named}``" in kind.create_schedule.__doc__
