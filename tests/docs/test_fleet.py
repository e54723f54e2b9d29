"""The tutorial about many clusters, and the guides for who runs some: one fleet, followed from its start to its end."""

import json
import signal
from pathlib import Path

import hookline
from hookline import Client
from tests.docs.here import Here
from tests.docs.reader import Reader
from tests.end_to_end.balancers import haproxy_text, nginx_text
from tests.end_to_end.fleet import Fleet, ServedNode, fresh_port, running
from tests.end_to_end.processes import journal_receiver, until

PROXY = "http://127.0.0.1:7000"
LINE = 'nodes = ["http://10.0.0.1:7070", "http://10.0.0.2:7070", "http://10.0.0.3:7070"]'


def test_many_clusters(tmp_path: Path) -> None:
    """Kills a leader and a proxy, adds a cluster and loses it, and puts load balancers before the proxies."""
    # The jobs wait until the leader has died, and are run then: nobody has to wait for 30 s.
    words = {
        "apt-get install etcd-server": "etcd --version",
        '"delay": "5s"': '"delay": "100ms"',
        '"delay": "30s"': '"delay": "1h"',
    }
    here = Here(words)
    directory = tmp_path / "reader"
    guide = "docs/tutorial/many-clusters.md"
    with Reader(guide, directory, here, url="http://127.0.0.1:7000", is_measured=True) as page:
        page.follow("A job through one proxy, read through the other")
        ports = json.loads((directory / "many" / "fleet.json").read_text())["proxies"]
        here.words |= {"PROXY2=http://127.0.0.1:…": f"PROXY2=http://127.0.0.1:{ports[1]}"}
        page.follow("Kill a leader")
        leader = page.client.cluster("c1").leader
        here.words |= {"many/c1/n1 ": f"{directory}/many/c1/{leader} "}
        page.follow("Count")
        until(lambda: _is_up(page.client), "the proxy that was killed is back")
        for number in range(101, 161):
            page.client.run_job(f"order-{number}")
        until(lambda: page.served("hookline listen").shown().count("POST /orders") >= 61, "all arrive", 60)
        until(lambda: {job.state for job in page.client.list_jobs()} == {"succeeded"}, "that is recorded")
        page.follow()
        assert page.shown.split() == ["61", '"attempts_made":', "1,"]
        assert page.served("hookline listen").shown().count("POST /orders") == 61
        assert f"{leader} ended with code -9" in page.served("hookline up").shown()
        _add_a_cluster(tmp_path, here, page.client, directory / "many")
        _load_balancer(tmp_path, here, ports)
        page.served("hookline up").signal(signal.SIGTERM)
        page.run(f"pgrep -f {directory}/many", fails=True)


def _is_up(client: Client) -> bool:
    try:
        return client.health().status == "ok"
    except hookline.HooklineError:
        return False


def _add_a_cluster(tmp_path: Path, here: Here, client: Client, many: Path) -> None:
    lines = [line for line in (many / "topology.toml").read_text().splitlines() if line.startswith("nodes")]
    others = "".join(f'[[cluster]]\nname = "c{n}"\nshard = {n}\n{lines[n]}\n' for n in (1, 2))
    words = {LINE: lines[0], "# … c1 and c2 likewise, in the same order as before\n": others}
    fleet = Here(words, {**here.ports, 7373: fresh_port()})
    _wait_for_ever(client, 1_000)
    with Reader("docs/how-to/add-a-cluster.md", tmp_path / "adding", fleet) as page:
        page.follow()
        assert client.topology().previous is None
        _cluster_down(tmp_path, Here({}, fleet.ports), client, page)


def _wait_for_ever(client: Client, count: int) -> None:
    """Jobs that a change of the topology has something to do with."""
    made = client.create_jobs(
        [{"id": f"w-{number}", "url": "http://127.0.0.1:9/", "delay": "30d"} for number in range(count)]
    )
    assert {result.status for result in made} == {201}


def test_remove_a_cluster(tmp_path: Path) -> None:
    """Begins, takes it back, and does it after all; what is finished is kept."""
    nodes = [ServedNode(tmp_path / f"c{shard}", shard) for shard in (0, 1)]
    with running(Fleet(nodes, 1, tmp_path, {})) as fleet, journal_receiver() as (port, journal):
        ports = {7000: fleet.proxies[0].port, 7070: nodes[0].port, 7171: nodes[1].port}
        with Reader("docs/how-to/remove-a-cluster.md", tmp_path / "reader", Here({}, ports), url=PROXY) as page:
            done = fleet.name_for("c1")
            page.client.create_job(f"http://127.0.0.1:{port}/", id=done)
            until(lambda: page.client.get_job(done).state == "succeeded", "it is done")
            _wait_for_ever(page.client, 300)
            page.follow()
            lines = (tmp_path / "reader" / "c1.jsonl").read_text().splitlines()
            assert [json.loads(line)["job"]["id"] for line in lines] == [done]
            assert journal.count(done) == 1
            nodes[1].stop()
            assert {page.client.get_job(f"w-{number}").state for number in range(300)} == {"pending"}


def _cluster_down(tmp_path: Path, here: Here, client: Client, running: Reader) -> None:
    hook = here.here("http://127.0.0.1:9000/")
    mine = next(f"c3-{n}" for n in range(100) if client.route(f"c3-{n}").cluster == "c3")
    client.create_job(hook, id=mine, delay="1h")
    with Reader("docs/how-to/cluster-down.md", tmp_path / "down", here) as page:
        page.follow()
        assert 'hookline_proxy_cluster_up{cluster="c3"} 1' in page.shown
        running.served("hookline serve").signal()
        for job, header, answer in (
            ({}, "", '"state":"pending"'),
            ({"id": f"{mine}"}, "", '"cluster_unavailable"'),
            ({"id": f"{mine}"}, "-H 'Hookline-Fallback: allow'", '"state":"pending"'),
        ):
            body = json.dumps({"url": hook, "delay": "1h", **job})
            refused = "unavailable" in answer
            assert answer in page.run(f"curl {header} http://127.0.0.1:7000/jobs -d '{body}'", fails=refused)
        assert '"incomplete":["c3"]' in page.run("curl http://127.0.0.1:7000/jobs")


def _load_balancer(tmp_path: Path, here: Here, ports: list[int]) -> None:
    port = fresh_port()
    directory = tmp_path / "balancer"
    words = {
        "/etc/nginx/nginx.conf": f"{directory}/nginx.conf",
        "http://127.0.0.1/jobs": f"http://127.0.0.1:{port}/jobs",
    }
    with Reader("docs/how-to/load-balancer.md", directory, Here(words, here.ports)) as page:
        backends = [f"127.0.0.1:{number}" for number in ports]
        (directory / "haproxy.cfg").write_text(haproxy_text(backends, port))
        (directory / "nginx.conf").write_text(nginx_text(directory, backends, fresh_port()))
        page.follow("Try it")
        page.run(f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do :; done")  # HAProxy says nothing when it serves
        page.run("pkill -9 -f 'proxy --listen 127.0.0.1:7000'")
        page.follow()
        assert page.shown == "201 " * 20
