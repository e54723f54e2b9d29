"""``/logs/levels`` of a node and a proxy."""

from typing import get_args

import pytest
from structlog.testing import capture_logs

from hookline.telemetry.area_log import log_levels
from hookline.telemetry.log_events import LogArea
from tests.integration.node_under_test import Answer, NodeUnderTest
from tests.integration.proxy_under_test import Clusters

ALL = get_args(LogArea)


def test_a_node_shows_and_changes_them(node: NodeUnderTest) -> None:
    assert node.get("/logs/levels").json == {"levels": dict.fromkeys(ALL, "debug")}
    changed = node.call("PATCH", "/logs/levels", {"level": "warning", "levels": {"dispatch": "info"}})
    expected = dict.fromkeys(ALL, "warning") | {"dispatch": "info"}
    assert (changed.status, changed.json) == (200, {"levels": expected})
    assert log_levels() == expected
    assert node.call("PATCH", "/logs/levels", {"levels": {"etcd": "error"}}).json["levels"]["dispatch"] == "info"
    assert node.get("/logs/levels").json["levels"] == expected | {"etcd": "error"}


def test_a_line_says_who_changed_them_though_there_are_none_of_its_level_any_more(node: NodeUnderTest) -> None:
    with capture_logs() as lines:
        assert node.call("PATCH", "/logs/levels", {"level": "error"}).status == 200
    (line,) = (line for line in lines if line["event"] == "log_levels_changed")
    assert (line["address"], line["key"], set(line["levels"].values())) == ("127.0.0.1", "", {"error"})


def test_a_proxy_answers_for_itself(three: Clusters) -> None:
    door = three.start_proxy()
    assert door.call("PATCH", "/logs/levels", {"levels": {"proxy": "error"}}).json["levels"]["proxy"] == "error"
    assert door.get("/logs/levels").json["levels"] == dict.fromkeys(ALL, "debug") | {"proxy": "error"}


@pytest.mark.parametrize(
    "body", [{"levels": {"moon": "debug"}}, {"levels": {"etcd": "loud"}}, {"level": "trace"}, {"all": "info"}, []]
)
def test_what_is_not_there_is_refused_and_changes_nothing(node: NodeUnderTest, body: object) -> None:
    answer: Answer = node.call("PATCH", "/logs/levels", body)
    assert answer.status == 400, answer
    assert set(log_levels().values()) == {"debug"}
