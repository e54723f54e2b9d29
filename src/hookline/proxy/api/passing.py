"""Selects what of a request goes on to a node, and what of its answer goes back; not where to."""

from hookline.errors import InvalidRequest
from hookline.http_api.addresses import passing
from hookline.http_api.forwarded_headers import FALLBACK, HOP_HEADERS, TIMEOUT, ForwardedReply, target_of
from hookline.http_api.messages import ApiRequest, HeaderPair, Reply
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.calls import Call

_NOT_PASSED_ON = HOP_HEADERS | {TIMEOUT}  # what is left of it is said with each try


def passed_on(request: ApiRequest) -> tuple[HeaderPair, ...]:
    """The client's headers for the node, without those of one connection, also what its Connection header names."""
    named = {
        token.strip().lower() for name, value in request.headers if name == b"connection" for token in value.split(b",")
    }
    unwanted = _NOT_PASSED_ON | named if named else _NOT_PASSED_ON
    return tuple(pair for pair in request.headers if pair[0] not in unwanted)


def key_of(request: ApiRequest) -> tuple[HeaderPair, ...]:
    """The header with the client's key, for calls of the API that answering it takes; nodes look at it again."""
    return tuple(pair for pair in request.headers if pair[0] == b"authorization")


def allows_fallback(request: ApiRequest) -> bool:
    """The client's own id or key may go to another cluster than its home. Raises InvalidRequest."""
    value = request.header(FALLBACK)
    if value not in (None, "allow"):
        raise InvalidRequest("the header Hookline-Fallback takes only the value allow", field="Hookline-Fallback")
    return value is not None


def call_of(
    request: ApiRequest, body: bytes = b"", *, is_named: bool = False, is_dry_run: bool = False, target: str = ""
) -> NodeCall:
    """The request as a call of a node.

    Args:
        request: what came.
        body: what goes on.
        is_named: what is created has an id or key.
        is_dry_run: nothing is changed.
        target: path and query, if not as they came.
    """
    call = request.call
    return NodeCall(
        call.method,
        target or target_of(request),
        (*passed_on(request), *passing(request)),
        body,
        call.may_repeat(is_named=is_named, is_dry_run=is_dry_run),
    )


def or_gone(answer: NodeAnswer, call: Call) -> NodeAnswer:
    """The answer; a deletion that finds nothing is done, if an earlier try of ours may have been accepted."""
    if answer.is_after_ambiguous and answer.status == 404 and call.gone_code and answer.code == call.gone_code:
        return NodeAnswer(204, headers=answer.headers)
    return answer


def reply_of(answer: NodeAnswer) -> Reply:
    """The answer of a node, as it came."""
    return ForwardedReply(answer.status, answer.body, answer.content_type, answer.headers)
