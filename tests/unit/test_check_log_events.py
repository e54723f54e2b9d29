"""The check finds lines of the log whose event is not in the reference."""

from pathlib import Path

import pytest

from hookline.telemetry.log_events import EVENTS
from tools import check_log_events

KNOWN = 'EVENTS: Final[dict[str, str]] = {"node_ready": "It serves.", "node_gone": "It is gone."}\n'
HEAD = 'from hookline.telemetry.area_log import log_of\n\n_log = log_of("node")\n\n'
BOTH = '_log.info("node_ready", url=url)\n_log.exception("node_gone")\n'


def package(directory: Path, source: str, *, head: str = HEAD) -> Path:
    (directory / "telemetry").mkdir(exist_ok=True)
    (directory / check_log_events.KNOWN).write_text(KNOWN)
    (directory / "part.py").write_text(head + source)
    return directory


def test_lines_that_are_known_are_left_alone(tmp_path: Path) -> None:
    assert check_log_events.findings(package(tmp_path, BOTH)) == []
    one = '_log.info("node_ready" if is_up else "node_gone", url=url)\n'
    assert check_log_events.findings(package(tmp_path, one)) == []
    rare = '_log.info("node_ready")\nself._lines.say("node_gone", client=client)\n'
    assert check_log_events.findings(package(tmp_path, rare)) == []


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ('_log.debug("node_lost")\n', "part.py:7: node_lost is not in telemetry/log_events.py"),
        ('self._lines.say("node_lost")\n', "part.py:7: node_lost is not in telemetry/log_events.py"),
        ('_log.info("node_ready" if x else "node_lost")\n', "part.py:7: node_lost is not in telemetry/log_events.py"),
        ('_log.error(f"node_{state}")\n', "part.py:7: write the event's name out: a text, or one of two"),
        ("_log.error(event)\n", "part.py:7: write the event's name out: a text, or one of two"),
    ],
)
def test_others_are_found(tmp_path: Path, line: str, finding: str) -> None:
    assert check_log_events.findings(package(tmp_path, BOTH + line)) == [finding]


def test_events_that_nothing_says_are_found_and_lines_of_no_area(tmp_path: Path) -> None:
    assert check_log_events.findings(package(tmp_path, '_log.info("node_ready")\n')) == [
        "telemetry/log_events.py: nothing says node_gone"
    ]
    found = check_log_events.findings(package(tmp_path, BOTH, head="_log = structlog.get_logger()\n"))
    assert found == [f"part.py:{line}: say to which area the lines belong: _log = log_of(…)" for line in (2, 3)]


def test_the_exit_code_says_it(tmp_path: Path) -> None:  # `make lint` looks at the project's own
    assert check_log_events.main([str(package(tmp_path, BOTH))]) == 0
    assert check_log_events.main([str(package(tmp_path, "_log.info(event)\n"))]) == 1


def test_the_page_has_every_event_once_by_area() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "logs.md").read_text()
    assert [event for event in EVENTS if f"\n| `{event}` | " not in page] == []
