"""Receivers that let nobody in: a client certificate under an authority of their own, OAuth2, an egress proxy."""

import base64
import http.server
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.end_to_end.processes import NodeProcess, journal_receiver, running_node, until

AUTHORITY = trustme.CA()


class _Guarded(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"] or 0))
        connection: Any = self.connection
        subject = dict(part[0] for part in connection.getpeercert()["subject"])
        self.server.seen.append((subject, self.headers["authorization"]))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def guarded_receiver() -> Iterator[tuple[int, list[tuple[dict[str, str], str]]]]:
    """(port, who came with which Authorization) of a receiver that asks for a certificate."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded)
    server.seen = []  # type: ignore[attr-defined]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], server.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


class _Connect(socketserver.StreamRequestHandler):
    """A proxy that knows ``CONNECT`` only."""

    def handle(self) -> None:
        line = self.rfile.readline().decode()
        headers = {}
        while (header := self.rfile.readline().decode().strip()) != "":
            name, _, value = header.partition(": ")
            headers[name.lower()] = value
        method, authority, _ = line.split()
        self.server.asked.append((method, authority, headers.get("proxy-authorization")))  # type: ignore[attr-defined]
        if headers.get("proxy-authorization") != "Basic " + base64.b64encode(b"me:pass").decode():
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = authority.rpartition(":")
        with socket.create_connection((host, int(port))) as beyond:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(beyond, self.connection), daemon=True)
            back.start()
            _copy(self.connection, beyond)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while part := source.recv(65_536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def connect_proxy() -> Iterator[tuple[int, list[tuple[str, str, str | None]]]]:
    """(port, what it was asked)."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), _Connect)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def answer_token(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    assert body == b"grant_type=client_credentials"
    token = json.dumps({"access_token": "planted-token", "token_type": "bearer", "expires_in": 3600}).encode()
    handler.send_response(200)
    handler.send_header("content-length", str(len(token)))
    handler.end_headers()
    handler.wfile.write(token)


def first_attempt(node: NodeProcess, job_id: str) -> Any:
    """The first attempt of a job, once it is over."""
    path = f"/jobs/{job_id}/attempts"
    until(lambda: node.call("GET", path)[1]["data"] != [], "an attempt is over")
    return node.call("GET", path)[1]["data"][0]


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_certificate_and_a_token_open_the_door_through_a_proxy(tmp_path: Path, processes: str) -> None:
    pair = AUTHORITY.issue_cert("127.0.0.1", common_name="the-node")
    data = tmp_path / "data"
    with (
        guarded_receiver() as (port, seen),
        journal_receiver(answer_token) as (login, tokens),
        connect_proxy() as (proxy, asked),
    ):
        options = ("--attempt-processes", processes, "--egress-proxy", f"http://me:pass@127.0.0.1:{proxy}")
        with running_node(data, *options) as node:
            url = f"https://127.0.0.1:{port}"
            job = {"id": "first", "url": url + "/", "retry": {"schedule": ["1s"] * 100}}
            assert node.call("POST", "/jobs", job)[0] == 201
            failed = first_attempt(node, "first")
            assert "certificate is not trusted" in failed["error"]
            settings = {
                "tls": {
                    "ca": AUTHORITY.cert_pem.bytes().decode(),
                    "certificate": pair.cert_chain_pems[0].bytes().decode(),
                    "key": pair.private_key_pem.bytes().decode(),
                },
                "auth": {
                    "type": "oauth2",
                    "token_url": f"http://127.0.0.1:{login}/token",
                    "client_id": "me",
                    "client_secret": "planted-secret",
                },
            }
            status, shown = node.call("PUT", f"/destinations/127.0.0.1:{port}", settings)
            assert (status, shown["host"], shown["auth"]["type"]) == (200, url, "oauth2")
            assert shown["tls"]["certificate"].startswith("CN=the-node")
            until(lambda: node.call("GET", "/jobs/first")[1]["state"] == "succeeded", "it is let in")
            for number in range(5):
                node.call("POST", "/jobs", {"id": f"j{number}", "url": url + "/"})
            until(lambda: len(seen) == 6, "all are let in")
            node.stop()
        assert {(subject["commonName"], header) for subject, header in seen} == {("the-node", "Bearer planted-token")}
        assert len(tokens.requests) == 1
        assert {(method, place) for method, place, _ in asked} == {
            ("CONNECT", f"127.0.0.1:{port}"),
            ("CONNECT", f"127.0.0.1:{login}"),
        }
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    key = pair.private_key_pem.bytes().splitlines()[1]
    found = [
        (file.name, text) for file in files for text in (b"planted-", key, b"me:pass") if text in file.read_bytes()
    ]
    assert found == []


def test_a_proxy_that_refuses_is_named(tmp_path: Path) -> None:
    with (
        journal_receiver() as (port, journal),
        connect_proxy() as (proxy, _),
        running_node(tmp_path / "data", "--egress-proxy", f"http://127.0.0.1:{proxy}") as node,
    ):
        node.call("POST", "/jobs", {"id": "a", "url": f"http://127.0.0.1:{port}/"})
        failed = first_attempt(node, "a")
        assert failed["error"] == f"the egress proxy answered 407 for 127.0.0.1:{port}"
    assert journal.requests == []
