"""A follower passes a call on to the leader, and the leader's answer back."""

from types import SimpleNamespace
from typing import Any

from hookline.http_api.callers import CLIENT
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.forwarding import LeaderForwarder
from hookline.peers.sender import NodeAnswer
from hookline.protocol.calls import CALLS
from hookline.testing import virtual_time
from tests.proxy_parts import ScriptedSender

BRIEF = b'{"id":"a-1","state":"pending"}'


def test_the_wish_for_a_short_answer_goes_to_the_leader_and_its_word_comes_back() -> None:
    said = ((b"preference-applied", b"return=minimal"), (b"connection", b"close"))
    sender = ScriptedSender(lambda url, call: NodeAnswer(201, BRIEF, headers=said))
    role: Any = SimpleNamespace(is_leading=lambda: False, leader_url=lambda: "http://leader:1")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def here(_request: ApiRequest) -> Reply:
        raise AssertionError("it does not lead")

    async def main() -> Reply:
        scope = {"method": "POST", "raw_path": b"/jobs", "query_string": b""}
        request = ApiRequest(
            scope, receive, CALLS["createJob"], CLIENT, [(b"host", b"x"), (b"prefer", b"return=minimal")]
        )
        return await LeaderForwarder(role, sender).answer(here, request)

    reply = virtual_time.run(main())
    assert (reply.status, reply.body, [*reply.headers]) == (201, BRIEF, [said[0]])
    ((url, call),) = sender.sent
    assert url == "http://leader:1"
    assert call.headers == ((b"prefer", b"return=minimal"), (b"hookline-forwarded", b"1"))
