"""Servers that ask for keys: a node, one behind a front, and a proxy before two clusters."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hookline.protocol.calls import Server
from tests.integration.node_under_test import Answer, NodeUnderTest, node_config
from tests.integration.proxy_under_test import Clusters

ROOT = "the-root-key-of-these-tests"
KINDS = ("node", "front", "proxy")


class Guarded(NamedTuple):
    """A server that asks for keys."""

    server: Server
    port: int

    def call(self, method: str, path: str, body: object = None, key: str | None = ROOT) -> Answer:
        return self.show(method, path, [] if key is None else [f"Bearer {key}"], body)

    def show(
        self,
        method: str,
        path: str,
        shown: list[str],
        body: object = None,
        source: str = "127.0.0.1",
        others: dict[str, str] | None = None,
    ) -> Answer:
        """One request with these Authorization headers, and others."""
        data = None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(source, 0))
        try:
            connection.putrequest(method, path)
            for value in shown:
                connection.putheader("Authorization", value)
            for name, value in (others or {}).items():
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def new(self, *scopes: str, **fields: Any) -> str:
        """A key with these scopes."""
        answer = self.call("POST", "/keys", {"name": "t", "scopes": list(scopes), **fields})
        assert answer.status == 201, answer
        return str(answer.json["key"])


def id_of(key: str) -> str:
    return key.split("_")[1]


class Running(NamedTuple):
    """One of ``KINDS``, the nodes behind it, and for a proxy its topology."""

    server: Guarded
    nodes: list[NodeUnderTest]
    topology: dict[str, Any] | None


@contextmanager
def running(kind: str, directory: Path) -> Iterator[Running]:
    """Start one of that kind."""
    if kind == "proxy":
        with closing(Clusters(directory, 2, root_key=ROOT)) as clusters:
            port = clusters.start_proxy(root_key=ROOT).port
            yield Running(Guarded("proxy", port), list(clusters.nodes.values()), clusters.topology(1))
        return
    config = node_config(directory / "n1", root_key=ROOT)
    with NodeUnderTest(config, None, has_front=kind == "front").running() as node:
        yield Running(Guarded("node", node.port), [node], None)
