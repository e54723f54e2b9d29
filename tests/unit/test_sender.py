"""The proxy's requests and answers: headers that replace others, and problems read from whatever came."""

import pytest

from hookline.http_api.messages import PROBLEM_JSON
from hookline.peers.sender import NodeAnswer, NodeCall
from tests.proxy_parts import problem


def test_headers_take_the_place_of_those_of_the_same_name() -> None:
    call = NodeCall("POST", "/jobs", ((b"a", b"1"), (b"b", b"2"), (b"a", b"3")), b"{}", is_repeatable=False)
    changed = call.with_headers((b"a", b"4"), (b"c", b"5"))
    assert changed.headers == ((b"b", b"2"), (b"a", b"4"), (b"c", b"5"))
    assert (changed.method, changed.target, changed.body, changed.is_repeatable) == ("POST", "/jobs", b"{}", False)


def test_a_problem_is_read() -> None:
    answer = problem(503, "no_leader", detail="wait")
    assert (answer.code, answer.problem["detail"]) == ("no_leader", "wait")


@pytest.mark.parametrize(
    "answer",
    [
        NodeAnswer(200, b'{"code":"x"}', PROBLEM_JSON),
        NodeAnswer(503, b'{"code":"x"}'),
        NodeAnswer(503, b"", PROBLEM_JSON),
        NodeAnswer(503, b"[]", PROBLEM_JSON),
        NodeAnswer(503, b'{"code":"\xff"}', PROBLEM_JSON),
        NodeAnswer(503, b'{"code":' + b"[" * 100_000, PROBLEM_JSON),
    ],
    ids=["no error", "another type", "empty", "a list", "not UTF-8", "nested deeply"],
)
def test_everything_else_is_none(answer: NodeAnswer) -> None:
    assert (answer.problem, answer.code) == ({}, "")


def test_the_first_header_of_a_name() -> None:
    answer = NodeAnswer(200, headers=((b"a", b"1"), (b"a", b"2")))
    assert (answer.header(b"a"), answer.header(b"b")) == (b"1", None)
