"""A proxy whose root key is not that of the nodes: it takes no call, passes none on, and says why."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from hookline.protocol.calls import calls_of
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.proxy_under_test import JOB, Clusters

WHYS = {None: "asks for API keys, and this proxy has no root key", "another-root-key": "has another root key"}


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """They ask for keys."""
    with closing(Clusters(tmp_path_factory.mktemp("clusters"), 2, root_key=ROOT)) as found:
        yield found


@pytest.fixture(scope="module", params=WHYS, ids=["none", "another"])
def proxy(request: pytest.FixtureRequest, clusters: Clusters) -> tuple[Guarded, str]:
    """One with that root key, and what it says of it."""
    return Guarded("proxy", clusters.start_proxy(root_key=request.param).port), WHYS[request.param]


def test_it_is_not_ready_and_says_which_nodes_have_another_root_key(proxy: tuple[Guarded, str]) -> None:
    server, why = proxy
    health = server.call("GET", "/health", key=None)
    assert health.status == 503
    assert why in health.json["detail"]
    assert "--root-key-file" in health.json["detail"]
    nodes = [node for cluster in health.json["clusters"] for node in cluster["nodes"]]
    assert [why in node["detail"] for node in nodes] == [True, True]
    assert server.call("GET", "/readyz", key=None).status == 503


def test_no_call_is_passed_on_whoever_makes_it(clusters: Clusters, proxy: tuple[Guarded, str]) -> None:
    server, why = proxy
    nodes = [Guarded("node", node.port) for node in clusters.nodes.values()]
    keys = [ROOT, nodes[0].new("admin"), nodes[1].new("read", "write", tenant="acme"), None]
    before = [node.call("GET", "/keys").json for node in nodes]
    answers = {}
    for call in calls_of("proxy"):
        if call.at_proxy == "self":
            continue
        path, body = re.sub(r"\{\w+\}", "one", call.path), None if call.method in ("GET", "DELETE") else JOB
        for number, key in enumerate(keys):
            answer = server.call(call.method, path, body, key)
            answers[call.name, number] = (answer.status, why in answer.json["detail"])
    if why == WHYS[None]:
        assert set(answers.values()) == {(503, True)}
    else:  # who has not the right key is told so first
        assert {status for status, _ in answers.values()} == {401, 503}
    assert len(answers) > 100
    assert [node.call("GET", "/jobs").json["data"] for node in nodes] == [[], []]
    assert [node.call("GET", "/keys").json for node in nodes] == before
