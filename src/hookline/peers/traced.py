"""The span of a call from one of our processes to another, which tells the other of it."""

from functools import lru_cache
from urllib.parse import urlsplit

from msgspec.structs import replace

from hookline.peers.sender import NodeAnswer, NodeCall, Sender
from hookline.telemetry.tracing.context import headers_with
from hookline.telemetry.tracing.spans import Span, Value, child, current

_FAILED = 400  # to the caller, any of these is a failure


class TracedSender:
    """Sends calls that are a part of the current span's work, each as a span of its own.

    Args:
        sender: carries calls.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the node at ``url``. Raises NotSent or Unclear."""
        if (above := current()) is None:
            return await self._sender.send(url, call, timeout_s)
        if not above.is_recorded:
            return await self._sender.send(url, _told(call, above), timeout_s)
        # The path has ids in it, so its first word is the name: there are few of these.
        resource = call.target.partition("?")[0].split("/")[1]
        attributes = {"http.request.method": call.method, **_address(url)}
        with child(f"{call.method} /{resource}", "client", attributes) as span:
            assert span is not None
            answer = await self._sender.send(url, _told(call, span), timeout_s)
            span.put("http.response.status_code", answer.status)
            span.end(str(answer.status) if answer.status >= _FAILED else "")
            return answer


def _told(call: NodeCall, span: Span) -> NodeCall:
    return replace(call, headers=headers_with(call.headers, span.context))


@lru_cache(maxsize=1024)
def _address(url: str) -> dict[str, Value]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}
