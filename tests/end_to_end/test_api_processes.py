"""A node whose API processes take the connections: what becomes of them, and of the jobs, when one dies or hangs."""

import http.client
import json
import os
import random
import signal
import socket
from collections import Counter
from functools import partial
from pathlib import Path

from hookline.protocol.limits import KIB
from tests.end_to_end.clients import LoadingClient
from tests.end_to_end.processes import CLOCK, NodeProcess, has_open_jobs, journal_receiver, running_node, until
from tests.end_to_end.test_kill_nine import all_jobs

KILLS = 10
FRONT = b"hookline.node.front.process"


def fronts_of(node: NodeProcess) -> list[int]:
    """The pids of its API processes."""
    return [pid for pid in node.children() if FRONT in Path(f"/proc/{pid}/cmdline").read_bytes()]


def options(count: int) -> tuple[str, ...]:
    return "--api-processes", str(count), "--attempt-processes", "0"


def test_a_killed_front_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    chance = random.Random(seed)
    with journal_receiver() as (port, journal), running_node(tmp_path / "data", *options(2)) as node:
        clients = [LoadingClient(node, f"http://127.0.0.1:{port}/", seed + number) for number in range(3)]
        for client in clients:
            client.start()
        for _ in range(KILLS):
            until(partial(journal.has_more_than, len(journal.requests) + 20), "the node delivers")
            until(lambda: len(fronts_of(node)) == 2, "both API processes are there")
            os.kill(chance.choice(fronts_of(node)), signal.SIGKILL)
        ledgers = [client.stop() for client in clients]
        acknowledged = set().union(*(ledger.at_least_once | ledger.at_most_once for ledger in ledgers))
        unclear = set().union(*(ledger.unclear for ledger in ledgers))
        until(lambda: not has_open_jobs(node), "nothing is pending or running")
        jobs = {job["id"]: job for job in all_jobs(node)}
        assert node.stop() == 0
    arrivals = Counter(found for found, *_ in journal.requests)
    assert len(acknowledged) > 100, "there was hardly any load"
    assert not acknowledged - jobs.keys(), "acknowledged jobs are gone"
    assert not jobs.keys() - acknowledged - unclear, "jobs nobody created"
    assert set(arrivals.values()) == {1}, "the node was there all the time: nothing is sent twice"
    assert {job["state"] for job in jobs.values()} <= {"succeeded", "cancelled"}
    assert all(arrivals[found] == 1 for found, job in jobs.items() if job["state"] == "succeeded")
    assert "front_ended" in node.log.read_text()


def test_a_node_that_stops_answers_what_is_under_way_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with journal_receiver() as (port, _), running_node(tmp_path / "data", *options(2)) as node:
        clients = [LoadingClient(node, f"http://127.0.0.1:{port}/", number) for number in range(2)]
        for client in clients:
            client.start()
        until(lambda: sum(len(client.ledger.at_least_once) for client in clients) > 50, "there is load")
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as half:
            body = json.dumps({"url": f"http://127.0.0.1:{port}/", "id": "half", "payload": "x" * 64 * KIB}).encode()
            head = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            half.sendall(head % len(body))
            assert half.recv(64).startswith(b"HTTP/1.1 100"), "it is at a front, and read"
            half.sendall(body[:1_000])
            os.kill(node.pid, signal.SIGTERM)
            until(lambda: "node_stopping" in node.log.read_text(), "it stops")
            half.sendall(body[1_000:])
            answer = http.client.HTTPResponse(half)
            answer.begin()
            assert answer.status in (201, 503), answer.read()
            assert answer.headers["connection"] == "close"
            answer.read()
        assert node.ended(60) == 0
        ledgers = [client.stop() for client in clients]
        node.start()
        jobs = {job["id"] for job in all_jobs(node)}
        assert not set().union(*(ledger.at_least_once | ledger.at_most_once for ledger in ledgers)) - jobs
        assert ("half" in jobs) == (answer.status == 201)


def test_while_a_front_hangs_the_others_serve(tmp_path: Path) -> None:
    with running_node(tmp_path / "data", *options(2)) as node:
        job = {"url": "http://127.0.0.1:9/", "delay": "1h"}
        for number, hanging in enumerate(fronts_of(node)):
            os.kill(hanging, signal.SIGSTOP)
            try:
                for turn in range(20):
                    name = f"job-{number}-{turn}"
                    assert node.call("POST", "/jobs", job | {"id": name})[0] == 201
                    assert node.call("GET", f"/jobs/{name}")[0] == 200
                    assert node.call("GET", "/health")[0] == 200
            finally:
                os.kill(hanging, signal.SIGCONT)
        assert node.stop() == 0


def test_what_is_acknowledged_is_there_for_the_next_reader_whichever_front_it_meets(tmp_path: Path) -> None:
    with running_node(tmp_path / "data", *options(3)) as node:
        fronts = fronts_of(node)
        for number in range(60):
            name, job = f"job-{number}", {"url": "http://127.0.0.1:9/", "delay": "1h"}
            turn = [fronts[number % 3], fronts[(number + 1) % 3]]  # who cannot accept now
            os.kill(turn[0], signal.SIGSTOP)
            assert node.call("POST", "/jobs", job | {"id": name})[0] == 201
            os.kill(turn[1], signal.SIGSTOP)
            os.kill(turn[0], signal.SIGCONT)
            assert node.call("GET", f"/jobs/{name}")[0] == 200
            assert node.call("POST", f"/jobs/{name}/cancel")[0] == 200
            os.kill(turn[1], signal.SIGCONT)
            assert node.call("GET", f"/jobs/{name}")[1]["state"] == "cancelled"
        assert fronts_of(node) == fronts
        until(lambda: "hookline_create_seconds_count 60.0" in _metrics(node), "all are counted")


def _metrics(node: NodeProcess) -> str:
    return node.raw_call("GET", "/metrics", None, {})[1].decode()


def test_fronts_end_with_their_node_and_the_next_one_has_the_port(tmp_path: Path) -> None:
    with running_node(tmp_path / "data", *options(2)) as node:
        fronts = fronts_of(node)
        port = node.port
        node.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in fronts), "they are gone")
        node.start()
        assert node.port == port
        assert node.call("GET", "/health")[0] == 200
        assert node.stop() == 0
