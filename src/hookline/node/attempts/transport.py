"""Sends one request to one vetted address: what the HTTP client tells, in the words of an attempt."""

import ssl
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from hookline.errors import HooklineError
from hookline.http_client import answer as http_answer
from hookline.http_client.client import HttpClient, HttpEndpoint, Limits, NoAnswer, NoConnection
from hookline.http_client.request import Unsendable, text_request_parts
from hookline.http_client.tunnel import TunnelProxy
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.limits import CONNECT_MS_MAX, RESPONSE_BYTES_READ_MAX
from hookline.protocol.urls import Target
from hookline.tls.contexts import tls_context

NOT_LEADING: Final = "the node could not prove that it leads; nothing was sent"
BODY_S: Final = 1.0  # from when the status is there; the slot is free then

FailureKind = Literal["connect", "ours", "timeout", "broken", "stale", "unsendable"]


class Outgoing(NamedTuple):
    """One request.

    Attributes:
        target: what it asks for.
        address: the vetted address to connect to.
        timeout_ms: for all of it.
        fresh_connection: not on one that was kept.
        may_send: asked once more when there is a connection, right before the first byte: making one takes time.
        tls: for https; None: the transport's.
        tenant: who asks; no other's request is ever sent on its connections.
    """

    target: Target
    address: str
    method: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    timeout_ms: int
    fresh_connection: bool = False
    may_send: Callable[[], bool] = lambda: True
    tls: ssl.SSLContext | None = None
    tenant: str = DEFAULT_TENANT


class ReceiverAnswer(msgspec.Struct, frozen=True, gc=False):
    """A receiver's answer; the body is as much as came in time, up to ``RESPONSE_BYTES_READ_MAX``."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class SendFailed(HooklineError):
    """No answer came.

    ``connect`` and ``ours``: the request surely did not leave, in the second case for something this node lacks.
    ``timeout`` and ``broken``: it may have arrived. ``stale``: a kept connection ended before a byte of an answer, so
    it was probably closed before the request. ``unsendable``: it can never be sent.
    """

    code = "send_failed"

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: FailureKind = kind


class Transport(Protocol):
    """Sends attempts; the simulation has a scripted one."""

    async def send(self, outgoing: Outgoing) -> ReceiverAnswer:
        """Make the request, once. Raises SendFailed."""

    async def close(self) -> None:
        """Close all connections."""


class HttpTransport:
    """Real HTTP/1.1, to the vetted address only, with the name in ``Host`` and in the TLS handshake."""

    def __init__(self, client: HttpClient | None = None, *, egress_proxy: TunnelProxy | None = None) -> None:
        # Now, while there are descriptors to read the authorities with.
        self.client = client or _client_for_receivers(egress_proxy)

    async def send(self, outgoing: Outgoing) -> ReceiverAnswer:
        target, may_send = outgoing.target, outgoing.may_send
        try:
            request = text_request_parts(
                outgoing.method, target.path, target.host_header, outgoing.headers, outgoing.body
            )
            is_tls = target.scheme == "https"
            answer = await self.client.exchange(
                HttpEndpoint(outgoing.address, target.port, target.host, is_tls, outgoing.tls, outgoing.tenant),
                request,
                Limits(outgoing.timeout_ms / 1_000, CONNECT_MS_MAX / 1_000, BODY_S, RESPONSE_BYTES_READ_MAX),
                fresh=outgoing.fresh_connection,
                is_head=outgoing.method == "HEAD",
                why_not=lambda: None if may_send() else NOT_LEADING,
            )
        except (Unsendable, UnicodeEncodeError):
            raise SendFailed("unsendable", "the url or a header has a character that HTTP cannot carry") from None
        except NoConnection as failure:
            raise SendFailed("ours" if failure.is_ours else "connect", failure.detail) from None
        except NoAnswer as failure:
            kind: FailureKind = "timeout" if failure.is_late else "stale" if failure.is_stale else "broken"
            raise SendFailed(kind, failure.detail) from None
        return ReceiverAnswer(answer.status, _readable(answer.headers), answer.body)

    async def close(self) -> None:
        await self.client.close()


def _client_for_receivers(egress_proxy: TunnelProxy | None) -> HttpClient:
    context = tls_context()
    return HttpClient(tls=lambda: context, proxy=egress_proxy)


def _readable(headers: Sequence[http_answer.Header]) -> list[tuple[str, str]]:
    """As text; what is not text is shown as U+FFFD."""
    return [(name.decode("ascii"), _text(value)) for name, value in headers]


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)
