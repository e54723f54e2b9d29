"""A proxy passes a caller's headers on to a node, and refuses at once when it is full."""

import asyncio
from typing import Any

import msgspec
import pytest

from hookline.clock import SystemClock
from hookline.errors import InvalidRequest
from hookline.http_api.callers import admit_clients
from hookline.http_api.messages import ApiRequest, HeaderPair
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.topology import parse_topology
from hookline.proxy.api.app import create_app
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.passing import passed_on
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.known_topology import KnownTopology


class _NoSender:
    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        raise AssertionError("nothing may be sent")


def request_of(headers: list[HeaderPair]) -> ApiRequest:
    return ApiRequest({}, lambda: None, CALLS["createJob"], *admit_clients(headers))


def test_only_the_clients_own_headers_go_on() -> None:
    sent = [
        (b"host", b"x"),
        (b"connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"content-length", b"3"),
        (b"transfer-encoding", b"chunked"),
        (b"hookline-epoch", b"9"),
        (b"hookline-forwarded", b"1"),
        (b"hookline-timeout-ms", b"5"),
        (b"hookline-fallback", b"allow"),
        (b"idempotency-key", b"k"),
        (b"traceparent", b"t"),
    ]
    request = request_of(sent)
    assert passed_on(request) == (
        (b"hookline-fallback", b"allow"),
        (b"idempotency-key", b"k"),
        (b"traceparent", b"t"),
    )
    assert request.header(b"hookline-timeout-ms") == "5"
    assert request.header(b"authorization") is None


def test_a_header_that_is_there_twice_is_refused() -> None:
    request = request_of([(b"idempotency-key", b"a"), (b"idempotency-key", b"b")])
    with pytest.raises(InvalidRequest, match="more than once"):
        request.header(b"idempotency-key")


def test_a_full_proxy_refuses_at_once_but_tells_its_health() -> None:
    document = b'{"epoch":1,"cluster":[{"name":"c0","shard":0,"nodes":["http://127.0.0.1:1"]}]}'
    config = ProxyConfig(seeds=("http://127.0.0.1:1",), requests_max=1)
    api = build(ProxyParts(config, SystemClock(), _NoSender(), KnownTopology(parse_topology(document)))).api
    api.in_flight = 1
    status, body = asyncio.run(_ask(api, "/jobs"))
    assert (status, msgspec.json.decode(body)["code"]) == (503, "overloaded")
    assert api.in_flight == 1
    assert asyncio.run(_ask(api, "/health"))[0] == 200
    assert asyncio.run(_ask(api, "/livez"))[0] == 200
    assert asyncio.run(_ask(api, "/readyz"))[0] == 200
    api.is_leaving = True
    status, body = asyncio.run(_ask(api, "/readyz"))
    assert (status, msgspec.json.decode(body)["status"]) == (503, "unavailable")
    assert "the proxy stops" in msgspec.json.decode(body)["detail"]
    assert asyncio.run(_ask(api, "/livez"))[0] == 200


async def _ask(api: ProxyApi, path: str) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    await create_app(api)({**scope, "headers": [], "root_path": ""}, receive, send)
    return sent[0]["status"], sent[1]["body"]
