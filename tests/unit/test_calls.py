"""The table of calls, and that both servers, the SDK, the description and the docs take it from there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hookline.client import requests, topology_requests
from hookline.http_api.callers import admit_as_client
from hookline.http_api.endpoint import Handler, Served, application, bound
from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.operations import OPERATIONS
from hookline.node.api import app as node_app
from hookline.protocol.calls import BOTH, CALLS, Server, calls_of
from hookline.protocol.limits import REQUEST_BYTES_MAX
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.proxy.api import app as proxy_app
from tests.unit.test_client_requests import CLOCK

TOPOLOGY = Topology(epoch=1, clusters=(ClusterEntry(name="c0", shard=0, nodes=("http://10.0.0.1:7070",)),))
DOCS = Path(__file__).parents[2] / "docs"


def test_what_each_call_needs_and_whether_it_is_sent_again() -> None:
    """Written out, so that a change of either is seen."""
    assert {name: (call.scope, call.repeatable) for name, call in CALLS.items()} == {
        "createJob": ("write", "named"),
        "createBatch": ("write", "named"),
        "listJobs": ("read", "always"),
        "getJob": ("read", "always"),
        "listAttempts": ("read", "always"),
        "updateJob": ("write", "never"),
        "cancelJob": ("cancel", "always"),
        "retryJob": ("write", "never"),
        "runJob": ("write", "never"),
        "deleteJob": ("cancel", "always"),
        "deletePayload": ("cancel", "always"),
        "retryJobs": ("write", "dry_run"),
        "cancelJobs": ("cancel", "always"),
        "createSchedule": ("write", "named"),
        "listSchedules": ("read", "always"),
        "previewSchedule": ("read", "always"),
        "getSchedule": ("read", "always"),
        "listTicks": ("read", "always"),
        "updateSchedule": ("write", "never"),
        "deleteSchedule": ("cancel", "always"),
        "pauseSchedule": ("write", "always"),
        "resumeSchedule": ("write", "always"),
        "runSchedule": ("write", "never"),
        "listDestinations": ("read", "always"),
        "getDestination": ("read", "always"),
        "putDestination": ("admin", "always"),
        "deleteDestination": ("admin", "always"),
        "listClusters": ("read", "always"),
        "getOneCluster": ("read", "always"),
        "changeOneCluster": ("admin", "never"),
        "handOneOver": ("admin", "never"),
        "getTopology": ("read", "always"),
        "putTopology": ("admin", "always"),
        "getTopologyStatus": ("read", "always"),
        "planTopology": ("admin", "always"),
        "pauseMove": ("admin", "always"),
        "resumeMove": ("admin", "always"),
        "abortMove": ("admin", "never"),
        "balanceTopology": ("read", "always"),
        "getRoute": ("read", "always"),
        "getCluster": ("read", "always"),
        "changeCluster": ("admin", "never"),
        "handover": ("admin", "never"),
        "trustClock": ("admin", "always"),
        "createKey": ("admin", "never"),
        "listKeys": ("admin", "always"),
        "getOwnKey": ("read", "always"),
        "getKey": ("admin", "always"),
        "rotateKey": ("admin", "never"),
        "revokeKey": ("admin", "always"),
        "getLogLevels": ("admin", "always"),
        "changeLogLevels": ("admin", "never"),
        "listAudit": ("admin", "always"),
        "listTenants": ("admin", "always"),
        "getTenant": ("admin", "always"),
        "putTenant": ("admin", "always"),
        "deleteTenant": ("admin", "always"),
        "getHealth": ("open", "always"),
        "getLivez": ("open", "always"),
        "getReadyz": ("open", "always"),
        "getMetrics": ("read", "always"),
        "getOpenapi": ("open", "always"),
        "getDocs": ("open", "always"),
        "readClock": ("internal", "always"),
        "readCluster": ("internal", "always"),
        "readPosition": ("internal", "always"),
        "describeSnapshot": ("internal", "always"),
        "readSnapshot": ("internal", "always"),
        "readTopology": ("internal", "always"),
        "takeTopology": ("internal", "always"),
        "readSettings": ("internal", "always"),
        "takeSettings": ("internal", "always"),
        "readKeys": ("internal", "always"),
        "takeKeys": ("internal", "always"),
        "takeNote": ("internal", "always"),
        "createGathered": ("internal", "always"),
        "confirmAbsence": ("internal", "always"),
        "takeArrival": ("internal", "always"),
        "activateArrival": ("internal", "always"),
        "forgetPointer": ("internal", "always"),
        "readMoves": ("internal", "always"),
        "planMoves": ("internal", "always"),
        "exchange": ("internal", "always"),
    }


def test_the_calls_about_the_service() -> None:
    """Written out, too: all others are about what a tenant has, and keys of all tenants open them."""
    asking = {name for name, call in CALLS.items() if call.needed_scope is not None and call.of_service}
    clusters = {"listClusters", "getOneCluster", "changeOneCluster", "handOneOver", "getCluster", "changeCluster"}
    topology = {"getTopology", "putTopology", "getRoute", "handover", "trustClock", "getMetrics"}
    topology |= {"getLogLevels", "changeLogLevels"}
    topology |= {"getTopologyStatus", "planTopology", "pauseMove", "resumeMove", "abortMove", "balanceTopology"}
    assert asking == clusters | topology | {"listTenants", "getTenant", "putTenant", "deleteTenant", "listAudit"}


def test_the_rows_hold_together() -> None:
    assert len({(call.method, call.path) for call in CALLS.values()}) == len(CALLS)
    for call in CALLS.values():
        assert call.body_bytes_max <= REQUEST_BYTES_MAX
        assert (call.scope == "internal") == call.path.startswith("/internal/"), call.name
        assert ("proxy" in call.servers) == (call.at_proxy != "nothing"), call.name
        assert not call.gone_code or (call.method, call.repeatable) == ("DELETE", "always"), call.name
        assert not call.is_safe or (call.body_bytes_max, call.repeatable) == (0, "always"), call.name
        assert call.answered_by != "any" or call.is_safe, "what any node answers from its own state changes nothing"
        assert (call.keyless == "open" and call.checks_epoch != "required") or call.scope == "internal", call.name
        assert call.scope != "internal" or call.repeatable == "always", "a proof holds for some minutes"


@pytest.mark.parametrize("server", BOTH)
def test_a_server_with_a_hole_does_not_start(server: Server) -> None:
    handlers = dict({"node": node_app.HANDLERS, "proxy": proxy_app.HANDLERS}[server])
    assert bound(server, handlers).keys() == {call.name for call in calls_of(server)}
    with pytest.raises(LookupError, match=f"not calls of a {server}: createJobs"):
        bound(server, handlers | {"createJobs": handlers["createJob"]})
    del handlers["createJob"]
    with pytest.raises(LookupError, match="no handler: createJob"):
        bound(server, handlers)


def _named(name: str) -> Handler:
    async def answer(request: ApiRequest) -> Reply:
        return Reply(200, name.encode(), headers=[(b"parameter", "".join(request.path.values()).encode())])

    return answer


@pytest.mark.parametrize("server", BOTH)
async def test_each_call_is_reached_at_its_path_and_gets_its_row(server: Server) -> None:
    rows: list[str] = []

    def noting(name: str) -> Handler:
        answer = _named(name)

        async def noted(request: ApiRequest) -> Reply:
            rows.append(request.call.name)
            return await answer(request)

        return noted

    calls = calls_of(server)
    app = application(
        [Served(call, noting(call.name)) for call in calls], admit_as_client, None, [], lambda _code: None
    )
    for call in calls:
        parameter = "http://a.example:80/x\n" if "{host}" in call.path else "a-1" if "{" in call.path else ""
        for method in (call.method, "HEAD") if call.method == "GET" else (call.method,):
            sent: list[Any] = []

            async def send(message: Any, sent: list[Any] = sent) -> None:
                sent.append(message)

            path = re.sub(r"\{\w+\}", lambda _, parameter=parameter: parameter, call.path)  # type: ignore[misc]
            scope = {"type": "http", "method": method, "path": path, "headers": [], "root_path": ""}
            await app(scope, None, send)  # type: ignore[arg-type]
            assert (sent[1]["body"].decode(), rows.pop()) == (call.name, call.name)
            assert dict(sent[0]["headers"])[b"parameter"] == parameter.encode()


def test_each_public_call_is_described() -> None:
    described = [operation.name for operation in OPERATIONS]
    assert sorted(described) == sorted(name for name, call in CALLS.items() if call.scope != "internal")


def test_each_internal_call_has_its_chapter() -> None:
    chapters = re.findall(r"^## `(\w+) ([^`?]+)", (DOCS / "reference/internal-http.md").read_text(), re.MULTILINE)
    assert sorted(chapters) == sorted((call.method, call.path) for call in CALLS.values() if call.scope == "internal")


# --- the SDK ----------------------------------------------------------------------------------------------------------

SENT: dict[str, Callable[[], requests.Request[Any]]] = {
    "createJob": lambda: requests.create_job("http://e.example/", {}, CLOCK),
    "createBatch": lambda: requests.create_jobs([{"url": "http://e.example/"}], CLOCK),
    "listJobs": lambda: requests.list_jobs({}, cursor=None),
    "getJob": lambda: requests.get_job("x"),
    "listAttempts": lambda: requests.attempts("x"),
    "updateJob": lambda: requests.update_job("x", {}),
    "cancelJob": lambda: requests.cancel_job("x"),
    "retryJob": lambda: requests.retry_job("x", {}),
    "runJob": lambda: requests.run_job("x"),
    "deleteJob": lambda: requests.delete_job("x"),
    "deletePayload": lambda: requests.delete_payload("x"),
    "retryJobs": lambda: requests.retry_jobs({}, dry_run=False, limit=None, overrides={}),
    "cancelJobs": lambda: requests.cancel_jobs({}, dry_run=False, limit=None),
    "createSchedule": lambda: requests.create_schedule("* * * * *", {"url": "http://e.example/"}, {}, CLOCK),
    "listSchedules": lambda: requests.list_schedules(cursor=None),
    "listTicks": lambda: requests.list_ticks("x", start=None, cursor=None),
    "previewSchedule": lambda: requests.preview_schedule("* * * * *", timezone=None, count=None, start=None),
    "getSchedule": lambda: requests.get_schedule("x"),
    "updateSchedule": lambda: requests.update_schedule("x", {}),
    "deleteSchedule": lambda: requests.delete_schedule("x"),
    "pauseSchedule": lambda: requests.pause_schedule("x"),
    "resumeSchedule": lambda: requests.resume_schedule("x"),
    "runSchedule": lambda: requests.run_schedule("x"),
    "listDestinations": lambda: requests.list_destinations(cursor=None),
    "getDestination": lambda: requests.get_destination("x"),
    "putDestination": lambda: requests.put_destination("x", {}),
    "deleteDestination": lambda: requests.delete_destination("x"),
    "createKey": lambda: requests.create_key("ci", ["read"], tenant=None, expires=None),
    "listKeys": lambda: requests.list_keys(cursor=None),
    "listAudit": lambda: requests.list_audit(action=None, actor=None, after=None, cursor=None),
    "getOwnKey": requests.own_key,
    "getKey": lambda: requests.get_key("x"),
    "rotateKey": lambda: requests.rotate_key("x", overlap=0),
    "revokeKey": lambda: requests.revoke_key("x"),
    "listTenants": lambda: requests.list_tenants(cursor=None),
    "getTenant": lambda: requests.get_tenant("x"),
    "putTenant": lambda: requests.put_tenant("x", {}),
    "deleteTenant": lambda: requests.delete_tenant("x"),
    "listClusters": requests.clusters,
    "getOneCluster": lambda: requests.cluster("x"),
    "getTopology": topology_requests.topology,
    "putTopology": lambda: topology_requests.apply_topology(TOPOLOGY),
    "getRoute": lambda: topology_requests.route("x"),
    "getTopologyStatus": topology_requests.topology_status,
    "planTopology": lambda: topology_requests.plan_topology(TOPOLOGY),
    "pauseMove": topology_requests.pause_move,
    "resumeMove": topology_requests.resume_move,
    "abortMove": topology_requests.abort_move,
    "balanceTopology": topology_requests.balance_topology,
    "getCluster": lambda: requests.cluster(None),
    "changeCluster": lambda: requests.cluster_mode("hybrid", None),
    "changeOneCluster": lambda: requests.cluster_mode("hybrid", "x"),
    "handover": lambda: requests.handover(None),
    "handOneOver": lambda: requests.handover("x"),
    "trustClock": requests.trust_clock,
    "getLogLevels": requests.log_levels,
    "changeLogLevels": lambda: requests.change_log_levels("info"),
    "getHealth": requests.health,
}


def test_the_sdk_has_every_call_but_those_of_machines_and_browsers() -> None:
    public = {name for name, call in CALLS.items() if call.scope != "internal"}
    not_there = {"getLivez", "getReadyz", "getMetrics", "getOpenapi", "getDocs"}
    assert public - SENT.keys() == not_there


@pytest.mark.parametrize("name", SENT)
def test_the_sdk_takes_a_call_from_its_row(name: str) -> None:
    call, request = CALLS[name], SENT[name]()
    assert (request.method, request.path.partition("?")[0]) == (call.method, re.sub(r"\{\w+\}", "x", call.path))
    assert request.is_repeatable == (call.repeatable in ("always", "named")), "what it creates has a name"
    assert request.gone_code == call.gone_code
