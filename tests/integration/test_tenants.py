"""Tenants over real sockets: each call with the key of one for what is another's, at nodes, fronts and proxies."""

import http.client
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from hookline.http_api import keys
from hookline.protocol.calls import CALLS, Call, Server, calls_of
from hookline.protocol.internal_http import GatheredAnswer, GatheredCreate
from hookline.protocol.proofs import proof_key
from tests.end_to_end.processes import until
from tests.integration.keyed_servers import KINDS, ROOT, Guarded, id_of, running
from tests.integration.node_under_test import Answer, NodeUnderTest, node_config
from tests.integration.proxy_under_test import JOB, Clusters
from tests.proofs import proof_of

ACME, GLOBEX = "acme", "Globex_2.eu"
HOST = "https://example.com:443"
ALL = ("read", "write", "cancel", "admin")


class Shared(NamedTuple):
    """A server with tenants."""

    server: Server
    port: int

    def call(self, method: str, path: str, body: object = None, key: str | None = ROOT, **headers: str) -> Answer:
        others = {name.replace("_", "-"): value for name, value in headers.items()}
        shown = [] if key is None else [f"Bearer {key}"]
        return Guarded(self.server, self.port).show(method, path, shown, body, others=others)

    def key(self, tenant: str | None, *scopes: str, made_by: str = ROOT) -> str:
        """A new key of that tenant."""
        fields = {"name": "t", "scopes": list(scopes or ALL)} | ({} if tenant is None else {"tenant": tenant})
        answer = self.call("POST", "/keys", fields, made_by)
        assert answer.status == 201, answer
        return str(answer.json["key"])


class Sides(NamedTuple):
    """Keys of two tenants, and of the operators."""

    acme: str
    globex: str
    operator: str


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with running(request.param, tmp_path_factory.mktemp("tenants")) as found:
        yield Shared(*found.server)


@pytest.fixture(scope="module")
def sides(shared: Shared) -> Sides:
    return Sides(shared.key(ACME), shared.key(GLOBEX), shared.key(None))


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [one["id"] for one in answer.json["data"]]


# --- each call ------------------------------------------------------------------------------------------------------

JOB_CALLS = ("getJob", "listAttempts", "updateJob", "cancelJob", "retryJob", "runJob", "deleteJob", "deletePayload")
SCHEDULE_CALLS = (
    *("getSchedule", "updateSchedule", "deleteSchedule", "pauseSchedule", "resumeSchedule", "runSchedule", "listTicks"),
)
DESTINATION_CALLS = ("getDestination", "deleteDestination")
KEY_CALLS = ("getKey", "rotateKey", "revokeKey")
LISTS = ("listJobs", "listSchedules", "listDestinations", "listKeys")
BY_FILTER = ("retryJobs", "cancelJobs")
MAKING = ("createJob", "createBatch", "createSchedule", "createKey", "putDestination")
FOR_ALL = ("previewSchedule", "getOwnKey")
BODIES: dict[str, Any] = {
    "updateJob": {"payload": "theirs"},
    "updateSchedule": {"cron": "1 1 1 1 *"},
    "putDestination": {"paused": True},
}


def test_every_call_is_one_of_these() -> None:
    """A new call has to say whose it is, and to be asked below."""
    public = {name: call for name, call in CALLS.items() if call.scope not in ("open", "internal")}
    tenants = {name for name, call in public.items() if not call.of_service}
    asked = {*JOB_CALLS, *SCHEDULE_CALLS, *DESTINATION_CALLS, *KEY_CALLS, *LISTS, *BY_FILTER, *MAKING, *FOR_ALL}
    assert tenants == asked


def _things(shared: Shared, key: str, name: str) -> dict[str, str]:
    """One of each, of the tenant with that key."""
    assert shared.call("POST", "/jobs", JOB | {"id": name}, key).status == 201
    schedule = {"id": name, "cron": "0 0 1 1 *", "job": {"url": JOB["url"]}}
    assert shared.call("POST", "/schedules", schedule, key).status == 201
    destination = f"https://{name}.example.com:443"
    assert shared.call("PUT", "/destinations/" + destination, {"concurrency": 3}, key).status == 200
    return {"job": name, "schedule": name, "destination": destination, "key": id_of(key)}


def _named(name: str, things: dict[str, str]) -> str:
    kind = next(
        kind
        for kind, calls in zip(things, (JOB_CALLS, SCHEDULE_CALLS, DESTINATION_CALLS, KEY_CALLS), strict=True)
        if name in calls
    )
    return things[kind]


def test_what_is_another_tenants_is_not_there_and_stays_as_it_is(shared: Shared, sides: Sides) -> None:
    mine = _things(shared, sides.acme, "of-acme")
    found, wanted = {}, {}
    for name in (*JOB_CALLS, *SCHEDULE_CALLS, *DESTINATION_CALLS, *KEY_CALLS):
        call = CALLS[name]
        path = call.path_of(_named(name, mine))
        unknown = call.path_of("a" * 16)
        body = BODIES.get(name)
        for who, key in (("globex", sides.globex), ("a reader", shared.key(GLOBEX, "admin"))):
            answer = shared.call(call.method, path, body, key)
            nothing = shared.call(call.method, unknown, body, key)
            found[name, who] = answer.status, answer.json.get("code")
            wanted[name, who] = nothing.status, nothing.json.get("code")
    assert {status for status, _ in wanted.values()} == {404}
    assert found == wanted
    job = shared.call("GET", "/jobs/of-acme", key=sides.acme).json
    assert (job["state"], job["tenant"]) == ("pending", ACME)
    assert "payload" not in job
    schedule = shared.call("GET", "/schedules/of-acme", key=sides.acme).json
    assert (schedule["cron"], schedule["paused"], schedule["jobs_made"], schedule["tenant"]) == (
        "0 0 1 1 *",
        False,
        0,
        ACME,
    )
    destination = shared.call("GET", "/destinations/" + mine["destination"], key=sides.acme).json
    assert (destination["concurrency"], destination["paused"], destination["tenant"]) == (3, False, ACME)


def test_lists_hold_what_is_the_callers(shared: Shared, sides: Sides) -> None:
    for key, name in ((sides.acme, "listed-acme"), (sides.globex, "listed-globex"), (sides.operator, "listed-default")):
        _things(shared, key, name)
    for key, own, others in (
        (sides.acme, "listed-acme", ("listed-globex", "listed-default")),
        (sides.globex, "listed-globex", ("listed-acme", "listed-default")),
        (sides.operator, "listed-default", ("listed-acme", "listed-globex")),
    ):
        for path in ("/jobs?limit=1000", f"/jobs?limit=1000&destination={HOST}", "/schedules?limit=1000"):
            found = ids(shared.call("GET", path, key=key))
            assert own in found, path
            assert set(others).isdisjoint(found), path
        hosts = str(shared.call("GET", "/destinations?limit=1000", key=key).json)
        assert f"//{own}." in hosts
        assert not any(f"//{other}." in hosts for other in others)
    assert {one["tenant"] for one in shared.call("GET", "/keys?limit=1000", key=sides.acme).json["data"]} == {ACME}
    all_keys = shared.call("GET", "/keys?limit=1000", key=sides.operator).json["data"]
    assert {one["tenant"] for one in all_keys} >= {ACME, GLOBEX, "default"}


def test_a_filter_changes_what_is_the_callers(shared: Shared, sides: Sides) -> None:
    labelled = JOB | {"labels": {"batch": "x"}}
    made = {key: shared.call("POST", "/jobs", labelled, key).json["id"] for key in sides}
    asked = {"filter": {"label": "batch=x"}}
    assert shared.call("POST", "/jobs/cancel", asked | {"dry_run": True}, sides.globex).json["matched"] == 1
    done = shared.call("POST", "/jobs/cancel", asked, sides.globex).json
    assert (done["changed"], done["sample"]) == (1, [made[sides.globex]])
    states = {key: shared.call("GET", f"/jobs/{job}", key=key).json["state"] for key, job in made.items()}
    assert states == {sides.acme: "pending", sides.globex: "cancelled", sides.operator: "pending"}
    retried = shared.call("POST", "/jobs/retry", {"filter": {"state": "cancelled", "label": "batch"}}, sides.acme).json
    assert (retried["matched"], retried["changed"]) == (0, 0)


def test_the_same_name_is_another_thing_in_each_tenant(shared: Shared, sides: Sides) -> None:
    """Ids, keys, batches, schedules: asked for at once, by three tenants, twice each."""
    asked: list[tuple[str, str, object, dict[str, str]]] = []
    for number, key in enumerate(sides):
        body = JOB | {"payload": number}
        asked += [
            (key, "/jobs", body | {"id": "twin"}, {}),
            (key, "/jobs", body, {"Idempotency_Key": "twin-key"}),
            (key, "/jobs/batch", {"jobs": [body | {"id": "twin-of-batch"}]}, {}),
            (key, "/schedules", {"id": "twin", "cron": "0 0 1 1 *", "job": {"url": JOB["url"], "payload": number}}, {}),
        ]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda one: shared.call("POST", one[1], one[2], one[0], **one[3]), asked * 2))
    assert {answer.status for answer in answers} <= {200, 201}
    for number, key in enumerate(sides):
        for path in ("/jobs/twin", "/jobs/twin-of-batch"):
            assert shared.call("GET", path, key=key).json["payload"] == number
        assert shared.call("GET", "/schedules/twin", key=key).json["job"]["payload"] == number
        named = shared.call("POST", "/jobs", JOB | {"payload": number}, key, Idempotency_Key="twin-key").json
        assert named["deduplicated"] is True
        assert shared.call("GET", f"/jobs/{named['id']}", key=key).json["payload"] == number
        other = shared.call("POST", "/jobs", JOB | {"payload": "other"}, key, Idempotency_Key="twin-key")
        assert (other.status, other.code) == (422, "idempotency_mismatch")


def test_a_cursor_belongs_to_its_tenant(shared: Shared, sides: Sides) -> None:
    for key in (sides.acme, sides.globex):
        for number in range(3):
            name = f"paged-{number}"
            shared.call("POST", "/jobs", JOB | {"id": name}, key)
            shared.call("POST", "/schedules", {"id": name, "cron": "0 0 1 1 *", "job": {"url": JOB["url"]}}, key)
            shared.call("PUT", f"/destinations/https://{name}.example.com", {"concurrency": 2}, key)
    for path in ("/jobs", "/schedules", "/destinations"):
        page = shared.call("GET", f"{path}?limit=1", key=sides.acme).json
        cursor = page["next_cursor"]
        assert shared.call("GET", f"{path}?limit=1&cursor={cursor}", key=sides.acme).status == 200
        for key in (sides.globex, sides.operator):
            refused = shared.call("GET", f"{path}?limit=1&cursor={cursor}", key=key)
            assert (refused.status, refused.code) == (400, "invalid_cursor"), path
        through = shared.call("GET", f"{path}?limit=1&cursor={cursor}", key=sides.operator, Hookline_Tenant=ACME)
        assert through.status == 200, "as whoever the operator acts for"


def test_a_label_stands_for_a_tenants_own_values(shared: Shared, sides: Sides) -> None:
    shared.call("POST", "/jobs", JOB | {"id": "l1", "labels": {"customer": "1"}}, sides.acme)
    shared.call("POST", "/jobs", JOB | {"id": "l2", "labels": {"customer": "2"}}, sides.globex)
    assert ids(shared.call("GET", "/jobs?label=customer", key=sides.acme)) == ["l1"]
    assert ids(shared.call("GET", "/jobs?label=customer%3D1", key=sides.globex)) == []


# --- operators ------------------------------------------------------------------------------------------------------


def _service_calls(server: Server) -> list[Call]:
    return [call for call in calls_of(server) if call.of_service and call.needed_scope is not None]


def _ask(shared: Shared, call: Call, key: str, **headers: str) -> Answer:
    path = re.sub(r"\{\w+\}", "none", call.path)
    body = {"nonsense": 1} if call.method in ("POST", "PUT", "PATCH") else None
    return shared.call(call.method, path, body, key, **headers)


def test_the_service_is_the_operators(shared: Shared, sides: Sides) -> None:
    calls = [call for call in _service_calls(shared.server) if call.name not in ("handover", "handOneOver")]
    assert {call.name for call in calls} >= {"getCluster", "getMetrics", "listTenants", "putTenant"}
    for call in calls:
        refused = _ask(shared, call, sides.acme)
        assert (refused.status, refused.code) == (403, "forbidden"), call.name
        assert _ask(shared, call, sides.operator).status not in (401, 403), call.name
    for call in (CALLS["handover"],):
        assert _ask(shared, call, sides.acme).status == 403


def test_a_tenants_admin_makes_no_key_of_another_tenant(shared: Shared, sides: Sides) -> None:
    for tenant in (GLOBEX, "default", "new"):
        refused = shared.call("POST", "/keys", {"name": "t", "scopes": ["read"], "tenant": tenant}, sides.acme)
        assert (refused.status, refused.code) == (403, "forbidden")
        named = shared.call("POST", "/keys", {"name": "t", "scopes": ["read"]}, sides.acme, Hookline_Tenant=tenant)
        assert (named.status, named.code) == (403, "forbidden")
    own = shared.key(None, "read", made_by=sides.acme)
    assert shared.call("GET", f"/keys/{id_of(own)}", key=sides.operator).json["tenant"] == ACME
    assert shared.key(ACME, "read", made_by=sides.acme)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        gone = shared.call(method, f"/keys/{id_of(sides.operator)}{path}", key=sides.acme)
        assert (gone.status, gone.code) == (404, "key_not_found"), (method, path)
    assert shared.call("GET", "/jobs", key=sides.operator).status == 200


def test_a_tenant_does_not_use_up_the_room_for_keys(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "API_KEYS_PER_TENANT_MAX", 3)
    admin = shared.key("many")
    made = [shared.key("many", "read", made_by=admin) for _ in range(2)]
    assert shared.call("DELETE", f"/keys/{id_of(made[0])}", key=admin).status == 204
    refused = shared.call("POST", "/keys", {"name": "t", "scopes": ["read"]}, admin)
    assert (refused.status, refused.code) == (409, "too_many_keys")
    assert shared.key(None, "read")


def test_a_tenants_admin_brings_no_record_of_a_key(shared: Shared, sides: Sides) -> None:
    if shared.server == "proxy":
        return
    for method in ("GET", "PUT"):
        refused = shared.call(method, "/internal/keys", {"keys": []} if method == "PUT" else None, sides.acme)
        assert (refused.status, refused.code) == (401, "unauthorized")
        assert shared.call(method, "/internal/keys", {"keys": []} if method == "PUT" else None).status == 200


def test_an_operator_acts_for_a_tenant_and_nobody_else_does(shared: Shared, sides: Sides) -> None:
    made = shared.call("POST", "/jobs", JOB | {"id": "by-operator"}, sides.operator, Hookline_Tenant=ACME)
    assert (made.status, made.json["tenant"]) == (201, ACME)
    assert shared.call("GET", "/jobs/by-operator", key=sides.acme).status == 200
    assert shared.call("GET", "/jobs/by-operator", key=sides.operator).status == 404, (
        "it acts for nobody else by itself"
    )
    for key in (ROOT, sides.operator):
        assert shared.call("GET", "/jobs/by-operator", key=key, Hookline_Tenant=ACME).status == 200
    batch = shared.call("POST", "/jobs/batch", {"jobs": [JOB | {"id": "b1"}, JOB]}, ROOT, Hookline_Tenant=ACME).json
    for result in batch["results"]:
        assert shared.call("GET", f"/jobs/{result['job']['id']}", key=sides.acme).status == 200
    readers = {"default": shared.key(None, "read", "write", "cancel"), "acme": shared.key(ACME, "read")}
    for who, key in readers.items():
        for tenant in (GLOBEX, "nobody"):
            refused = shared.call("GET", "/jobs", key=key, Hookline_Tenant=tenant)
            assert (refused.status, refused.code) == (403, "forbidden"), (who, tenant)
        assert shared.call("GET", "/jobs", key=key, Hookline_Tenant=who).status == 200, "its own it may name"
    assert {one["tenant"] for one in shared.call("GET", "/keys", key=ROOT, Hookline_Tenant=ACME).json["data"]} == {ACME}
    hidden = shared.call("GET", f"/keys/{id_of(sides.globex)}", key=ROOT, Hookline_Tenant=ACME)
    assert hidden.code == "key_not_found"
    key = shared.call("POST", "/keys", {"name": "t", "scopes": ["read"]}, ROOT, Hookline_Tenant=GLOBEX).json
    assert key["tenant"] == GLOBEX


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 65, "..", ".", "a\tb"])
def test_what_cannot_be_a_tenants_name_is_refused(shared: Shared, name: str) -> None:
    made = shared.call("POST", "/keys", {"name": "t", "scopes": ["read"], "tenant": name})
    assert (made.status, made.json["field"]) == (400, "tenant")
    if name.isascii():
        refused = shared.call("GET", "/jobs", Hookline_Tenant=name)
        assert refused.status == 400, name


def test_creates_that_travel_together_are_each_their_tenants(shared: Shared, sides: Sides) -> None:
    if shared.server == "proxy":
        asked = [(key, f"t{number}") for number in range(20) for key in sides]
        with ThreadPoolExecutor(30) as threads:
            made = list(threads.map(lambda one: shared.call("POST", "/jobs", JOB | {"id": one[1]}, one[0]), asked))
        assert [answer.status for answer in made] == [201] * len(asked)
        for key, job in asked:
            assert shared.call("GET", f"/jobs/{job}", key=key).status == 200
        return
    body = msgspec.json.encode(JOB | {"id": "together"})
    shown: list[list[tuple[bytes, bytes]]] = [[(b"authorization", f"Bearer {key}".encode())] for key in sides]
    shown.append([(b"authorization", f"Bearer {ROOT}".encode()), (b"hookline-tenant", b"fourth")])
    shown.append([(b"authorization", f"Bearer {sides.acme}".encode()), (b"hookline-tenant", GLOBEX.encode())])
    creates = msgspec.msgpack.encode([GatheredCreate(body, headers) for headers in shown])
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=60)
    # What the call as a whole says of a tenant is nobody's word.
    own = [(b"hookline-tenant", GLOBEX.encode()), (b"hookline-epoch", b"0")]
    proof = proof_of(proof_key(ROOT.encode()), "POST", "/internal/jobs", creates, headers=own)
    headers = {name.decode(): value.decode() for name, value in own}
    connection.request("POST", "/internal/jobs", creates, headers | proof)
    answers = msgspec.msgpack.decode(connection.getresponse().read(), type=list[GatheredAnswer])
    connection.close()
    assert [answer.status for answer in answers] == [201, 201, 201, 201, 403]
    tenants = [msgspec.json.decode(answer.body).get("tenant") for answer in answers[:4]]
    assert tenants == [ACME, GLOBEX, None, "fourth"]


# --- limits ---------------------------------------------------------------------------------------------------------


def test_limits_are_set_shown_and_taken_back(shared: Shared) -> None:
    path = "/tenants/limited"
    assert shared.call("GET", path).code == "tenant_not_found"
    made = shared.call("PUT", path, {"pending_jobs": 5, "creates_per_second": 7})
    assert (made.status, made.json["pending_jobs"], made.json["weight"]) == (200, 5, 1)
    changed = shared.call("PUT", path, {"pending_jobs": None, "weight": 3}).json
    assert (changed["pending_jobs"], changed["creates_per_second"], changed["weight"]) == (None, 7, 3)
    assert shared.call("GET", path).json == changed
    listed = shared.call("GET", "/tenants?limit=1000").json["data"]
    assert changed in listed
    assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)
    assert shared.call("DELETE", path).status == 204
    assert shared.call("DELETE", path).code == "tenant_not_found"
    assert shared.call("GET", path).code == "tenant_not_found"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"pending_jobs": -1}, "pending_jobs"),
        ({"creates_per_second": 0}, "creates_per_second"),
        ({"weight": 0}, "weight"),
        ({"weight": 1_001}, "weight"),
        ({"weight": None}, "weight"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(shared: Shared, fields: dict[str, Any], field: str) -> None:
    refused = shared.call("PUT", "/tenants/limited", fields)
    assert refused.status == 400
    assert field in refused.json.get("field", field)


def _refused(answer: Answer, tenant: str, name: str) -> None:
    assert (answer.status, answer.code) == (429, "tenant_limit"), answer
    assert answer.json["limit_name"] == name
    assert answer.json["tenant"] == tenant
    assert int(answer.headers["retry-after"]) >= 1


def test_a_tenant_at_its_limit_is_refused_and_the_others_are_served(shared: Shared, sides: Sides) -> None:
    key = shared.key("small")
    job = JOB | {"payload": "x" * 98}  # 100 bytes with the quotes
    homes = 1 if shared.server == "node" else 2  # a limit holds in each cluster
    assert shared.call("PUT", "/tenants/small", {"pending_jobs": 2}).status == 200
    answers = [shared.call("POST", "/jobs", job | {"id": f"small-{number}"}, key) for number in range(30)]
    taken = [answer.json["id"] for answer in answers if answer.status == 201]
    assert len(taken) == 2 * homes
    _refused(next(answer for answer in answers if answer.status != 201), "small", "pending_jobs")
    assert shared.call("POST", "/jobs", job, sides.acme).status == 201
    assert shared.call("GET", "/tenants/small").json["used"]["pending_jobs"] == 2 * homes
    again = shared.call("POST", "/jobs", job | {"id": taken[0]}, key)
    assert again.status in (200, 429), "it is there; whether the node looks first is not promised"
    for name in taken:
        assert shared.call("POST", f"/jobs/{name}/cancel", key=key).status == 200
    assert shared.call("POST", "/jobs", job | {"id": "small-0"}, key).status in (200, 201), "there is room again"
    assert shared.call("PUT", "/tenants/small", {"pending_jobs": None, "pending_bytes": 250}).status == 200
    answers = [shared.call("POST", "/jobs", job | {"id": f"bytes-{number}"}, key) for number in range(30)]
    _refused(next(answer for answer in answers if answer.status != 201), "small", "pending_bytes")
    assert shared.call("DELETE", "/tenants/small").status == 204
    assert shared.call("POST", "/jobs", job, key).status == 201


def test_creates_beyond_the_rate_are_told_when_to_come_back(shared: Shared, sides: Sides) -> None:
    key = shared.key("quick")
    assert shared.call("PUT", "/tenants/quick", {"creates_per_second": 1}).status == 200
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: shared.call("POST", "/jobs", JOB, key), range(40)))
    refused = [answer for answer in answers if answer.status != 201]
    assert refused
    _refused(refused[0], "quick", "creates_per_second")
    whole = shared.call("POST", "/jobs/batch", {"jobs": [JOB] * 50}, key)
    assert whole.status in (200, 429)
    assert shared.call("POST", "/jobs", JOB, sides.acme).status == 201
    assert shared.call("DELETE", "/tenants/quick").status == 204


def test_metrics_name_the_tenants(shared: Shared, sides: Sides) -> None:
    if shared.server == "proxy":
        return
    for key in (sides.acme, sides.operator):
        assert shared.call("POST", "/jobs", JOB, key).status == 201
    text = shared.call("GET", "/metrics").body.decode()
    (line,) = [
        line for line in text.splitlines() if line.startswith('hookline_tenant_jobs{state="pending",tenant="acme"}')
    ]
    assert float(line.rpartition(" ")[2]) >= 1
    assert 'hookline_tenant_pending_bytes{tenant="default"}' in text


# --- several clusters -----------------------------------------------------------------------------------------------


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Clusters]:
    clusters = Clusters(tmp_path, 2, root_key=ROOT)
    yield clusters
    clusters.close()


def test_a_new_cluster_has_the_limits_before_anybody_is_sent_there(clusters: Clusters) -> None:
    proxy = Shared("proxy", clusters.start_proxy(clusters.topology(1, ["c0"]), root_key=ROOT).port)
    node = Shared("node", clusters.nodes["c1"].port)
    assert node.call("PUT", "/tenants/gone", {"pending_jobs": 1}).status == 200
    assert proxy.call("PUT", "/tenants/gone", {"pending_jobs": 1}).status == 200
    assert proxy.call("DELETE", "/tenants/gone").status == 204
    assert proxy.call("PUT", f"/tenants/{ACME}", {"pending_jobs": 9, "weight": 2}).status == 200
    assert proxy.call("PUT", "/topology", clusters.topology(2)).status == 200
    found = node.call("GET", f"/tenants/{ACME}").json
    assert (found["pending_jobs"], found["weight"]) == (9, 2)
    assert node.call("GET", "/tenants/gone").code == "tenant_not_found", "that it was deleted is told, too"


def test_a_cluster_that_is_away_is_named_when_limits_are_set(clusters: Clusters) -> None:
    proxy = Shared("proxy", clusters.start_proxy(root_key=ROOT).port)
    assert proxy.call("PUT", f"/tenants/{ACME}", {"weight": 2}).status == 200
    clusters.stop("c1")
    refused = proxy.call("PUT", f"/tenants/{ACME}", {"weight": 3})
    assert (refused.status, refused.json["clusters"]) == (503, ["c1"])
    assert proxy.call("GET", f"/tenants/{ACME}").json["incomplete"] == ["c1"]


def test_what_moves_to_a_new_home_is_looked_for_under_its_tenant(clusters: Clusters) -> None:
    """The former home is asked whether it has the id: it has, in one tenant, and has not in the other."""
    proxy = Shared("proxy", clusters.start_proxy(clusters.topology(1, ["c0"]), root_key=ROOT).port)
    acme, globex = proxy.key(ACME), proxy.key(GLOBEX)
    names = [f"order-{number}" for number in range(20)]
    for name in names:
        assert proxy.call("POST", "/jobs", JOB | {"id": name}, acme).status == 201
    previous = {"strategy": "modulo", "cluster": [clusters.entry("c0")]}
    moving = clusters.topology(2) | {"previous": previous}
    assert proxy.call("PUT", "/topology", moving).status == 200
    until(lambda: proxy.call("GET", "/topology").json["epoch"] == 2, "the change is under way")
    for name in names:
        again = proxy.call("POST", "/jobs", JOB | {"id": name}, acme)
        assert (again.status, again.json["deduplicated"]) == (200, True), name
        assert proxy.call("POST", "/jobs", JOB | {"id": name}, globex).status == 201, name
    moved = [name for name in names if clusters.nodes["c1"].rows("SELECT 1 FROM jobs WHERE id = ?", name)]
    assert moved, "some ids of the other tenant are at their new home"


def test_where_nobody_is_asked_everybody_may_name_a_tenant(tmp_path: Path) -> None:
    with NodeUnderTest(node_config(tmp_path / "n1"), None, has_front=True).running() as running:
        node = Shared("node", running.port)
        for tenant in (ACME, GLOBEX):
            assert node.call("POST", "/jobs", JOB | {"id": "x"}, None, Hookline_Tenant=tenant).status == 201
        assert node.call("GET", "/jobs/x", key=None).status == 404
        assert node.call("GET", "/jobs/x", key=None, Hookline_Tenant=ACME).json["tenant"] == ACME
        assert node.call("GET", "/tenants", key=None).json["data"][0]["name"] == GLOBEX
