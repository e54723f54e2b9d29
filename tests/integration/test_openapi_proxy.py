"""A proxy's /openapi.json says what the proxy does: its own calls, and what it adds to those of a node."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis import checks as known_checks
from schemathesis.core.result import Ok

from hookline.http_api.openapi import openapi_document
from hookline.protocol.calls import calls_of
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor

ROOT_KEY = "root-key-of-the-tests"
SHOWN = {"Authorization": f"Bearer {ROOT_KEY}"}
EXAMPLES = 6  # of each call below: some seconds in all. What the nodes answer, test_openapi.py looks at.
DESCRIBED = schemathesis.openapi.from_dict(openapi_document("proxy"))
# What is too long for its field may be too large for the call: that is a refusal as well.
REJECTING = DESCRIBED.config.checks.negative_data_rejection
REJECTING.expected_statuses = [*REJECTING.expected_statuses, "413"]
CALLS = {found.ok().label: found.ok() for found in DESCRIBED.get_all_operations() if isinstance(found, Ok)}
assert len(CALLS) == len(list(DESCRIBED.get_all_operations())), "each is described as OpenAPI has it"
# Calls that the proxy answers by itself, or whose answers it puts together.
PUT_TOGETHER = [
    "POST /jobs",
    "GET /jobs",
    "GET /jobs/{id}",
    "POST /jobs/retry",
    "POST /jobs/cancel",
    "POST /jobs/batch",
    "GET /schedules",
    "GET /destinations",
    "PUT /destinations/{host}",
    "GET /cluster",
    "GET /clusters",
    "GET /clusters/{name}",
    "POST /clusters/{name}/handover",
    "GET /topology",
    "GET /topology/route",
    "GET /health",
    "GET /livez",
    "GET /readyz",
]
BREAKABLE = [
    "POST /jobs",
    "POST /jobs/retry",
    "GET /jobs",
    "GET /topology/route",
    "PUT /topology",  # not with good data: it would be applied
]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    """A proxy before two clusters, one of which is down: so the answers say who is missing."""
    clusters = Clusters(tmp_path_factory.mktemp("clusters"), 2, root_key=ROOT_KEY)
    try:
        # Without probes: they draw random numbers in another thread, which hypothesis takes for the strategies' doing.
        door = clusters.start_proxy(probe_interval_ms=60_000, root_key=ROOT_KEY)
        for number in range(6):
            assert door.post("/jobs", {"id": f"job-{number}"} | JOB, **SHOWN).status == 201
        clusters.stop("c1")
        yield door
    finally:
        clusters.close()


@pytest.mark.parametrize("call", PUT_TOGETHER)
def test_schemathesis_finds_nothing_with_good_data(door: FrontDoor, call: str) -> None:
    _check(door, call, GenerationMode.POSITIVE, [known_checks.positive_data_acceptance])


@pytest.mark.parametrize("call", BREAKABLE)
def test_schemathesis_finds_nothing_with_bad_data(door: FrontDoor, call: str) -> None:
    _check(door, call, GenerationMode.NEGATIVE, [])
    assert door.get("/topology", **SHOWN).json["epoch"] == 1


def _check(door: FrontDoor, call: str, mode: GenerationMode, excluded: list[Any]) -> None:
    # A cluster that is down is a right reason for 503, which is described.
    excluded = [*excluded, known_checks.not_a_server_error]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=CALLS[call].as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        base_url = f"http://127.0.0.1:{door.port}"
        case.call_and_validate(base_url=base_url, headers=SHOWN, excluded_checks=excluded)

    check()


def test_what_is_missing_is_described_and_said(door: FrontDoor) -> None:
    shapes = openapi_document("proxy")["components"]["schemas"]
    for path, shape in (("/jobs", "JobPage"), ("/clusters", "ClusterList")):
        answer = door.get(path, **SHOWN).json
        assert answer["incomplete"] == ["c1"]
        assert answer.keys() <= shapes[shape]["properties"].keys()
    health = door.get("/health").json
    assert health.keys() <= shapes["Health"]["properties"].keys()


def test_every_route_is_described_and_nothing_else() -> None:
    routed = {(call.path, call.method) for call in calls_of("proxy")}
    paths = openapi_document("proxy")["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == routed


def test_the_document_and_the_page_are_the_proxys(door: FrontDoor) -> None:
    assert door.get("/openapi.json").json["paths"].keys() == openapi_document("proxy")["paths"].keys()
    assert b"127.0.0.1:7000</span>/topology/route?id=" in door.get("/docs").body
