"""Receivers that misbehave cost their own jobs, not the node's memory, and others do not wait for them."""

import re
import socket
from pathlib import Path
from typing import Any

from tests.end_to_end.hostile import (
    broken_failure,
    byte_a_second,
    empty_lines,
    endless_body,
    endless_trailer,
    gzip_bomb,
    hostile_receivers,
    interim_flood,
    many_headers,
    odd_lines,
    redirect_to,
    reset_after_headers,
    reset_at_once,
    tiny_chunks,
)
from tests.end_to_end.processes import Journal, NodeProcess, has_open_jobs, journal_receiver, running_node, until

JOBS_EACH = 8
HEALTHY = 60
EXPECTED = {  # state of a job with one attempt, and a part of what is told about it
    "byte_a_second": ("dead", "no answer within 1000 ms"),
    "endless_body": ("succeeded", None),
    "gzip_bomb": ("succeeded", None),
    "many_headers": ("dead", "the head of the answer is larger"),
    "interim_flood": ("dead", "more than 10 interim answers"),
    "empty_lines": ("dead", "the head of the answer is larger"),
    "tiny_chunks": ("succeeded", None),
    "endless_trailer": ("succeeded", None),
    "odd_lines": ("succeeded", None),
    "broken_failure": ("dead", None),
    "reset_after_headers": ("succeeded", None),
    "reset_at_once": ("dead", ""),
    "redirect": ("dead", None),
}


def test_hostile_receivers_are_bounded_and_the_healthy_do_not_wait_for_them(tmp_path: Path) -> None:
    with journal_receiver() as (inside, secrets), journal_receiver() as (port, journal):
        behaviours = {
            "byte_a_second": byte_a_second,
            "endless_body": endless_body,
            "gzip_bomb": gzip_bomb,
            "many_headers": many_headers,
            "interim_flood": interim_flood,
            "empty_lines": empty_lines,
            "tiny_chunks": tiny_chunks,
            "endless_trailer": endless_trailer,
            "odd_lines": odd_lines,
            "broken_failure": broken_failure,
            "reset_after_headers": reset_after_headers,
            "reset_at_once": reset_at_once,
            "redirect": redirect_to(f"http://127.0.0.1:{inside}/secret"),
        }
        with hostile_receivers(behaviours) as ports, running_node(tmp_path / "data", "--slots", "30") as node:
            before = _rss_mib(node.pid)
            (stuck,) = _create(node, ports["byte_a_second"], 1, timeout=30)
            ids = {name: _create(node, hostile, JOBS_EACH) for name, hostile in ports.items()}
            _deliver_healthy(node, port, journal)
            assert _job(node, stuck)["state"] == "running", "the healthy had to wait for the hostile"
            assert node.call("POST", f"/jobs/{stuck}/cancel")[0] == 200
            until(lambda: _slots_used(node) == 0, "all slots are free again", 60)
            until(lambda: not has_open_jobs(node), "the outcomes can be read", 60)  # the counts are ahead by a commit
            after = _rss_mib(node.pid)
            outcomes = {name: [_job(node, job_id) for job_id in found] for name, found in ids.items()}

    for name, jobs in outcomes.items():
        state, told = EXPECTED[name]
        assert {job["state"] for job in jobs} == {state}, name
        for job in jobs:
            error = job["last_attempt"]["error"]
            assert (error or "").startswith(told or ""), (name, error)
    assert {job["last_attempt"]["status"] for job in outcomes["redirect"]} == {302}
    assert secrets.requests == [], "a redirect was followed"
    assert after - before < 60, f"memory grew from {before} to {after} MiB"


class FewDescriptors(NodeProcess):
    """A node that may have 256 of them open, and cannot have more."""

    def command(self) -> list[str]:
        return ["prlimit", "--nofile=256:256", *super().command()]


def test_idle_clients_do_not_take_the_descriptors_that_deliveries_need(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with journal_receiver() as (port, journal):
        node = FewDescriptors(tmp_path / "data")
        node.start()
        job = {"url": f"http://127.0.0.1:{port}/", "delay": 2, "retry": {"max_attempts": 1}}
        status, answer = node.call("POST", "/jobs/batch", {"jobs": [job] * 20})
        assert status == 200, answer
        idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(400)]
        try:
            until(lambda: len(journal.requests) == 20, "all jobs are delivered")
        finally:
            for connection in idle:
                connection.close()
        until(lambda: not has_open_jobs(node), "the outcomes can be read")
        states = {_job(node, result["job"]["id"])["state"] for result in answer["results"]}
        node.kill()
    assert states == {"succeeded"}


def _deliver_healthy(node: NodeProcess, port: int, journal: Journal) -> None:
    """Return when the healthy receiver has all requests of jobs that are due over a stretch of time."""
    jobs = [{"url": f"http://127.0.0.1:{port}/", "delay": 0.3 + number * 0.02} for number in range(HEALTHY)]
    status, answer = node.call("POST", "/jobs/batch", {"jobs": jobs})
    assert status == 200, answer
    until(lambda: len(journal.requests) == HEALTHY, "the healthy receiver has all its requests")


def _create(node: NodeProcess, port: int, count: int, *, timeout: int = 1) -> list[str]:
    job = {"url": f"http://127.0.0.1:{port}/", "timeout": timeout, "retry": {"max_attempts": 1}}
    status, answer = node.call("POST", "/jobs/batch", {"jobs": [job] * count})
    assert status == 200, answer
    return [result["job"]["id"] for result in answer["results"]]


def _job(node: NodeProcess, job_id: str) -> dict[str, Any]:
    status, job = node.call("GET", f"/jobs/{job_id}")
    assert status == 200
    found: dict[str, Any] = job
    return found


def _slots_used(node: NodeProcess) -> int:
    _, health = node.call("GET", "/health")
    used: int = health["usage"]["slots"]["used"] + health["usage"]["pending_jobs"]["used"]
    return used


def _rss_mib(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) / 1024
