"""The overview over real sockets: at a node, at a proxy, for a tenant, and while it is open."""

import http.client
import json
from pathlib import Path

from hookline.node.api.services import DestinationStatus
from hookline.protocol.jobs import Outcome
from hookline.protocol.latencies import recent_of
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.keyed_servers import ROOT, Guarded


def test_it_says_what_needs_attention(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        assert "All is well" in visitor.get().text
        node.run(node.create()["id"], Outcome.PERMANENT_FAILURE)
        node.call("PUT", "/destinations/https://example.com", {"paused": True})
        text = visitor.get().text
        assert "A job is dead" in text
        node.delivery.status = DestinationStatus("closed", None, 0, 1)
        assert "https://example.com:443 is paused" in visitor.get().text


def test_destinations_show_how_they_answer(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        node.create()
        assert "no attempt in the last minutes" in visitor.get("/destination?host=https://example.com:443").text
        recent = recent_of(300, 10_000, 9_999, {20: 9_000, 40: 1_000})
        node.delivery.status = DestinationStatus("closed", None, 0, 0, recent)
        row = visitor.get("/destinations").text
        assert [text in row for text in ("99.9 %", "32 ms", "1.0 s")] == [True] * 3
        assert "half within 32 ms, 99 % within 1.0 s" in visitor.get("/destination?host=https://example.com:443").text


def test_a_proxy_shows_each_cluster_and_says_which_is_away(tmp_path: Path) -> None:
    with proxy_with_pages(tmp_path) as (clusters, visitor):
        text = visitor.get().text
        assert text.count("n1 leader") == 2
        clusters.stop("c1")
        text = visitor.get().text
        assert "The cluster c1 cannot be reached" in text
        assert text.count("n1 leader") == 1


def test_where_no_cluster_can_be_reached_it_still_says_so(tmp_path: Path) -> None:
    with proxy_with_pages(tmp_path) as (clusters, visitor):
        clusters.stop("c0", "c1")
        page = visitor.get()
        assert page.status == 200
        assert "no cluster can be reached" in page.text
        jobs = visitor.get("/jobs")
        assert jobs.status == 503
        assert "all_clusters_unavailable" in jobs.text


def test_a_tenant_sees_nothing_of_the_clusters(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, root_key=ROOT) as (node, visitor):
        key = Guarded("node", node.port).new("read", tenant="shop")
        entered = visitor.submit(visitor.get("/sign-in"), "/sign-in", key=key)
        page = visitor.follow(entered)
        assert page.status == 200
        assert "are the operators'" in page.text
        assert "n1 leader" not in page.text
        assert "tenant" in page.text


def test_what_is_open_gets_samples_and_words(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        live = visitor.get().text.split('data-live="')[1].split('"')[0]
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        connection.request("GET", live)
        lines = iter(connection.getresponse().readline, b"")
        data: list[list[float]] = []
        while len(data) < 2:
            while next(lines) != b"event: sample\n":
                pass
            data += json.loads(next(lines).removeprefix(b"data: "))
        assert data[0][0] < data[1][0]
        assert data[1][1:6] == [0, 0, 3, 100, 0]
        node.run(node.create()["id"], Outcome.PERMANENT_FAILURE)
        assert any(b"A job is dead" in line for line in lines)
        connection.close()
