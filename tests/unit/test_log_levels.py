"""Lines of an area are written from its level on, and that can change at any time."""

import json
import subprocess
import sys
from typing import get_args

import pytest
from structlog.testing import capture_logs

from hookline.http_api.request_ids import request_ids
from hookline.telemetry.area_log import log_levels, log_of, set_log_levels
from hookline.telemetry.log_events import LogArea, LogLevel
from hookline.telemetry.logs import configure_logs, log_settings

LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")


def said(area: LogArea) -> list[str]:
    """The levels at which a line comes through."""
    log = log_of(area)
    with capture_logs() as lines:
        log.debug("debug")
        log.info("info")
        log.warning("warning")
        log.error("error")
    return [line["event"] for line in lines]


@pytest.mark.parametrize("level", LEVELS)
def test_one_area_has_another_level(level: LogLevel) -> None:
    set_log_levels({"dispatch": level})
    assert said("dispatch") == list(LEVELS[LEVELS.index(level) :])
    assert said("etcd") == list(LEVELS)
    assert log_levels() == dict.fromkeys(get_args(LogArea), "debug") | {"dispatch": level}


def test_an_area_has_one_log_and_its_level_is_that_of_all_who_have_it() -> None:
    log = log_of("dispatch")
    set_log_levels({"dispatch": "error"})
    with capture_logs() as lines:
        log.warning("late")
    assert log is log_of("dispatch")
    assert lines == []


def test_what_a_process_was_told_is_told_to_its_children(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(as_json=True, level="warning")
    set_log_levels({"tls": "info"})
    as_json, levels = log_settings()
    assert (as_json, levels["tls"], levels["etcd"]) == (True, "info", "warning")
    program = (
        "from hookline.telemetry.area_log import log_of\nfrom hookline.telemetry.logs import configure_logs\n"
        f"configure_logs(as_json={as_json}, level={levels})\n"
        "for area in ('tls', 'etcd'): log_of(area).info('said', area=area)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [json.loads(line)["area"] for line in done.stderr.splitlines()] == ["tls"]


def test_an_exception_comes_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(as_json=True)
    try:
        raise ValueError("odd")
    except ValueError:
        log_of("node").exception("node_halts")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("node_halts", "error")
    assert "ValueError: odd" in line["exception"]


@pytest.mark.parametrize(
    ("headers", "ids"),
    [
        ([], {}),
        ([(b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")], {"trace_id": "a" * 32}),
        ([(b"traceparent", b"00-short-b-01"), (b"x-request-id", b"r-1")], {"request_id": "r-1"}),
        ([(b"x-request-id", b"r" * 129)], {}),
        ([(b"x-request-id", b"a\x1b[31m")], {}),
        ([(b"authorization", b"Bearer secret")], {}),
    ],
)
def test_the_ids_of_a_request(headers: list[tuple[bytes, bytes]], ids: dict[str, str]) -> None:
    assert request_ids(headers) == ids
