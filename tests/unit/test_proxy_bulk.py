"""Changes by filter over clusters of which some fail: who surely changed nothing and who may have is told apart."""

import msgspec
import pytest

from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.http import BulkResponse
from tests.proxy_app import ScriptedProxy
from tests.proxy_parts import Script, problem, topology

DONE = NodeAnswer(200, msgspec.json.encode(BulkResponse(2, 2, False, False, ["a"])))
COUNTED = NodeAnswer(200, msgspec.json.encode(BulkResponse(2, 0, True, False, ["a"])))
BROKEN = problem(500, "internal")


def at(**answers: NodeAnswer | type[Exception] | float) -> Script:
    """Makes a script of each cluster's answer, by name."""

    def script(url: str, call: NodeCall) -> NodeAnswer | type[Exception] | float:
        return answers[url.partition("//")[2].partition(":")[0]]

    return script


@pytest.mark.parametrize("verb", ["retry", "cancel"])
@pytest.mark.parametrize("failure", [Unclear, BROKEN, 0.0])
def test_a_cluster_that_did_not_answer_may_have_changed_jobs(
    verb: str, failure: NodeAnswer | type[Exception] | float
) -> None:
    proxy = ScriptedProxy(at(c0=DONE, c1=failure, c2=NotSent), topology(3))
    status, answer = proxy.call("POST", f"/jobs/{verb}", {})
    assert (status, answer["changed"]) == (200, 2)
    assert (answer["unclear"], answer["incomplete"]) == (["c1"], ["c2"])


def test_counting_changes_nothing_anywhere() -> None:
    proxy = ScriptedProxy(at(c0=COUNTED, c1=BROKEN, c2=Unclear), topology(3))
    status, answer = proxy.call("POST", "/jobs/retry", {"dry_run": True})
    assert (status, answer["matched"], answer["incomplete"]) == (200, 2, ["c1", "c2"])
    assert "unclear" not in answer


def test_all_well_names_nobody() -> None:
    proxy = ScriptedProxy(at(c0=DONE, c1=DONE), topology(2))
    _, answer = proxy.call("POST", "/jobs/retry", {})
    assert not answer.keys() & {"unclear", "incomplete"}


def test_when_nobody_answered_it_is_no_sure_refusal_if_one_may_have_changed_jobs() -> None:
    status, answer = ScriptedProxy(at(c0=Unclear, c1=NotSent), topology(2)).call("POST", "/jobs/retry", {})
    assert (status, answer["code"], answer["clusters"]) == (504, "deadline_exceeded", ["c0"])
    status, answer = ScriptedProxy(at(c0=NotSent, c1=NotSent), topology(2)).call("POST", "/jobs/retry", {})
    assert (status, answer["code"]) == (503, "all_clusters_unavailable")
