"""Odd bytes in the head of a request: a proxy and a node take or refuse the same, and nothing is changed on the way."""

import socket

import pytest

from tests.integration.node_under_test import read_all
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor


def _answers(three: Clusters, request: bytes) -> list[bytes]:
    """Status line and body, from a proxy and from a node."""
    found = []
    for port in (three.start_proxy().port, three.nodes["c0"].port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(request)
            answer = read_all(connection)
        found.append(answer.partition(b"\r\n")[0] + b" " + answer.partition(b"\r\n\r\n")[2])
    return found


@pytest.mark.parametrize(
    "head",
    [
        b"GET /jobs/none HTTP/1.1\r\nHost: localhost\r\nX-City: Z\xfcrich\r\n",
        b"GET /jobs/none HTTP/1.1\r\nHost: localhost\r\nX-Odd: a\x7fb\r\n",
        b"GET /jobs/none HTTP/1.1\r\nHost: localhost\r\nX-Odd: a\x01b\r\n",
        b"GET /jobs/Z\xfcrich HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /jobs?label=Z\xfcrich HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_bytes_that_cannot_be_passed_on_are_refused_by_both(three: Clusters, head: bytes) -> None:
    proxys, nodes = _answers(three, head + b"Connection: close\r\n\r\n")
    assert proxys == nodes
    assert nodes.startswith(b"HTTP/1.1 400 ")


def test_utf_8_is_taken_by_both(three: Clusters) -> None:
    head = "GET /jobs/none HTTP/1.1\r\nHost: localhost\r\nX-City: Zürich\r\nConnection: close\r\n\r\n".encode()
    proxys, nodes = _answers(three, head)
    assert proxys == nodes
    assert nodes.startswith(b"HTTP/1.1 404 ")


def test_a_key_that_is_not_ascii_is_refused_by_both(three: Clusters) -> None:
    for door in (three.start_proxy(), FrontDoor(three.nodes["c0"].port)):
        refused = door.post("/jobs", JOB, Idempotency_Key="Z\xfcrich".encode().decode("latin-1"))
        assert (refused.status, refused.code) == (400, "invalid_id")
