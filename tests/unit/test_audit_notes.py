"""Notes of the audit log on their way: what a follower says of the caller, and rows that a follower has written."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from hookline.errors import NotLeader
from hookline.http_api.callers import CLIENT, HeaderPairs
from hookline.http_api.forwarded_headers import ADDRESSES
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.audit import AuditWriter
from hookline.node.api.forwarding import LeaderForwarder
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.commands import AuditNote, NoteAudit
from hookline.testing import virtual_time
from tests.proxy_parts import ScriptedSender

NOTE = NoteAudit(AuditNote("r1", "trustClock", "node n2"), 0)


def follower(leader: str | None = "http://leader:1") -> Any:
    return SimpleNamespace(is_leading=lambda: False, leader_url=lambda: leader)


def passed_on(call: str, headers: HeaderPairs) -> list[bytes]:
    """The addresses that the leader is told."""
    sender = ScriptedSender(lambda _url, _call: NodeAnswer(200))

    async def here(_request: ApiRequest) -> Reply:
        raise AssertionError("it does not lead")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def main() -> None:
        scope = {"method": "PUT", "raw_path": b"/x", "query_string": b"", "client": ("10.0.0.9", 5)}
        await LeaderForwarder(follower(), sender).answer(here, ApiRequest(scope, receive, CALLS[call], CLIENT, headers))

    virtual_time.run(main())
    ((_, sent),) = sender.sent
    return [value for name, value in sent.headers if name == ADDRESSES]


def test_a_follower_tells_the_leader_where_an_audited_call_comes_from() -> None:
    assert passed_on("putDestination", []) == [b"10.0.0.9"]
    assert passed_on("putDestination", [(ADDRESSES, b"203.0.113.5")]) == [b"203.0.113.5, 10.0.0.9"]
    assert passed_on("createJob", [(ADDRESSES, b"203.0.113.5")]) == [], "nobody asks for it"


def written(role: Any, answer: NodeAnswer | None = None) -> tuple[list[NodeCall], list[Any]]:
    """Lists what the leader was sent, and what was logged."""
    sender = ScriptedSender(lambda _url, _call: answer or NodeAnswer(200))
    with capture_logs() as logs:
        virtual_time.run(AuditWriter(role, replica=None, sender=sender).write(NOTE))  # type: ignore[arg-type]
    return [call for _, call in sender.sent], logs


def test_a_follower_has_the_leader_write_its_row() -> None:
    (call,), logs = written(follower())
    assert (call.method, call.target, logs) == ("POST", "/internal/audit", [])
    assert msgspec.json.decode(call.body, type=NoteAudit) == NOTE
    assert b"authorization" not in dict(call.headers), "the sender proves it"


@pytest.mark.parametrize(("leader", "status"), [(None, 200), ("http://leader:1", 503)])
def test_a_row_that_nobody_takes_is_in_the_log_of_the_process(leader: str | None, status: int) -> None:
    _, logs = written(follower(leader), NodeAnswer(status))
    (line,) = logs
    assert (line["event"], line["row"]) == ("audit_row_not_written", msgspec.to_builtins(NOTE.note))


def test_a_leader_that_is_just_deposed_says_so_too() -> None:
    class Deposed:
        async def propose(self, _commands: Any) -> None:
            raise NotLeader

    role: Any = SimpleNamespace(is_leading=lambda: True)
    replica: Any = Deposed()
    sender = ScriptedSender(lambda _url, _call: NodeAnswer(200))
    with capture_logs() as logs:
        virtual_time.run(AuditWriter(role, replica, sender).write(NOTE))
    assert [line["event"] for line in logs] == ["audit_row_not_written"]
