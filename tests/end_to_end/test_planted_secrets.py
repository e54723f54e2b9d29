"""Secrets that clients and operators give to a cluster with a real etcd are found nowhere that others may look."""

import base64
import http.server
import json
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.chaos.cluster import Cluster, WorkerProcess
from tests.end_to_end.guarded import ROOT, GuardedNode, GuardedProxy, guarded, proxy_before
from tests.end_to_end.processes import NodeProcess, journal_receiver, until

IN_CLEAR = b"a-path-that-everybody-finds"  # of an url: it shows that a place is looked at rightly
OF_JOB, OF_DESTINATION = (
    "whsec_" + base64.b64encode(f"the {name} signing secret, long enough".encode()).decode() for name in ("1st", "2nd")
)
PLANTED: dict[str, str] = {
    "a job's signing secret": OF_JOB,
    "a destination's signing secret": OF_DESTINATION,
    "a payload": "planted-payload",
    "a header": "planted-header",
    "an answer": "planted-answer",
    "a receiver's password": "planted-password",
    "the root key": ROOT,
}
OWN_FILES = ("root.key", "secret.key")  # where operators keep them


def echo(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Fails, and repeats all that it was sent."""
    answer = b"planted-answer to " + body + str(handler.headers).encode()
    handler.send_response(500)
    handler.send_header("content-length", str(len(answer)))
    handler.send_header("x-echo", handler.headers["authorization"])
    handler.end_headers()
    handler.wfile.write(answer)


def test_no_secret_is_in_files_etcd_logs_metrics_and_arguments(tmp_path: Path) -> None:
    cluster, nodes = guarded(tmp_path, "--encrypt-payloads", "--attempt-processes", "1", "--log-level", "debug")
    with journal_receiver(echo) as (port, journal), cluster:
        proxy = proxy_before(nodes)
        try:
            proxy.start()
            cluster.wait_for_runners(*(node.name for node in nodes))
            planted = PLANTED | _plant(proxy, f"http://127.0.0.1:{port}")
            sent = [headers for _, _, headers, _ in journal.requests]
            assert {headers["x-mine"] for headers in sent} == {"planted-header"}
            assert {headers.get("authorization") for headers in sent} == {None, f"Basic {_basic('planted-password')}"}
            for node in nodes:
                until(lambda node=node: node.applied() == cluster.leader().applied(), "all is on every node")  # type: ignore[misc]
            processes = [*nodes, *cluster.workers, proxy]
            found = dict(_places(cluster, nodes, proxy))
            for what in ("etcd's keys", "n1/state.db", "etcd/e1"):
                assert any(IN_CLEAR in content for name, content in found.items() if what in name), what
            found |= {f"metrics of {_name(one)}": _metrics(one) for one in processes}
            for one in processes:
                found |= _arguments(one)
            assert len(found) > 40, sorted(found)
            texts = [(what, text) for what, planted_text in planted.items() for text in _forms(planted_text)]
            assert [(place, what) for place, content in found.items() for what, text in texts if text in content] == []
        finally:
            proxy.kill()


def _plant(proxy: GuardedProxy, receiver: str) -> dict[str, str]:
    """Give the secrets to the cluster by its proxy, and have them used; the keys that it made."""
    settings = {
        "secrets": [OF_DESTINATION],
        "auth": {"type": "basic", "username": "me", "password": "planted-password"},
    }
    assert proxy.call("PUT", f"/destinations/{quote(receiver, safe='')}", settings)[0] == 200
    keys = {}
    for name, fields in (("an operator's key", {"scopes": ["admin"]}), ("a tenant's key", {"tenant": "acme"})):
        status, made = proxy.call("POST", "/keys", {"name": "planted", "scopes": ["read", "write"]} | fields)
        assert status == 201, made
        keys[name], made_id = made["key"], made["id"]
    job: dict[str, Any] = {
        "url": f"{receiver}/{IN_CLEAR.decode()}",
        "payload": {"text": "planted-payload"},
        "headers": {"X-Mine": "planted-header"},
        "retry": {"max_attempts": 2, "schedule": ["1ms"]},
    }
    own_secret = {"secret": OF_JOB}
    for key in keys.values():
        for fields in ({"id": "one"}, {"id": "two"} | own_secret, {"id": "later", "delay": "1h"} | own_secret):
            status, made = proxy.call("POST", "/jobs", job | fields, authorization=f"Bearer {key}")
            assert status == 201, made
        _ended(proxy, "one", key)
        _ended(proxy, "two", key)
        assert proxy.call("GET", "/jobs", authorization=f"Bearer {key[:-1]}x")[0] == 401
    rotated = proxy.call("POST", f"/keys/{made_id}/rotate", {})[1]["key"]
    return keys | {"a rotated key": rotated}


def _ended(proxy: GuardedProxy, job: str, key: str) -> None:
    def is_dead() -> bool:
        return bool(proxy.call("GET", f"/jobs/{job}", authorization=f"Bearer {key}")[1]["state"] == "dead")

    until(is_dead, f"{job} has failed")


def _places(cluster: Cluster, nodes: Sequence[GuardedNode], proxy: GuardedProxy) -> Iterator[tuple[str, bytes]]:
    """All that was written: data directories, logs, etcd's files; and what etcd tells."""
    directory = cluster.directory
    for file in (file for file in directory.rglob("*") if file.is_file() and file.name not in OWN_FILES):
        yield str(file.relative_to(directory)), file.read_bytes()
    for url in cluster.etcd.endpoints[:1]:
        everything = json.dumps({"key": "AA==", "range_end": "AA=="}).encode()
        with urllib.request.urlopen(url + "/v3/kv/range", everything, timeout=60) as answer:
            for pair in json.load(answer)["kvs"]:
                key, value = base64.b64decode(pair["key"]), base64.b64decode(pair.get("value", ""))
                yield f"etcd's keys: {key!r}", key + value


def _metrics(process: NodeProcess) -> bytes:
    shown = {"authorization": f"Bearer {ROOT}"}
    status, text = process.raw_call("GET", "/metrics", None, shown)
    assert (status, b"hookline_" in text) == (200, True)
    return text


def _arguments(process: NodeProcess) -> dict[str, bytes]:
    """As every user of the machine sees them: of the process and of its children."""
    pids = [process.pid, *process.children()]
    assert len(pids) == (3 if isinstance(process, GuardedNode) else 1), "one for attempts, one for the API"
    return {f"arguments of {_name(process)}, {pid}": Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}


def _name(process: NodeProcess) -> str:
    return process.name if isinstance(process, GuardedNode | WorkerProcess) else "the proxy"


def _forms(text: str) -> list[bytes]:
    """As it was given, and what it stands for."""
    forms = [text.encode(), base64.b64encode(text.encode())]
    if text.startswith("whsec_"):
        forms.append(base64.b64decode(text.removeprefix("whsec_")))
    if "password" in text:
        forms.append(_basic(text).encode())
    return forms


def _basic(password: str) -> str:
    return base64.b64encode(f"me:{password}".encode()).decode()
