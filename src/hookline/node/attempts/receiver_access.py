"""Makes of a destination's sealed access what an attempt needs: the ``Authorization`` header and a TLS context."""

import asyncio
import base64
import ssl
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlencode

import msgspec

from hookline.clock import Clock
from hookline.errors import ForbiddenDestination, HooklineError, ResolveFailed
from hookline.http_client.own_tls import own_context
from hookline.node.attempts.transport import Outgoing, ReceiverAnswer, SendFailed, Transport
from hookline.node.attempts.vetting import Vetter
from hookline.node.content_seal import ContentSealer
from hookline.protocol.receiver_access import (
    BasicAuth,
    BearerAuth,
    OAuth2Auth,
    ReceiverAccess,
    decode_access,
)
from hookline.protocol.urls import parse_url

_KEPT: Final = 1_024  # opened accesses, and tokens
_TOKEN_MS: Final = 10_000
_EARLY_MS: Final = 30_000  # so long before its end a token is not used any more
_PAUSE_MS: Final = 1_000  # after one that was not given; those that wait for it hear the same
_LIFE_S: Final = 300  # of a token whose server does not say


class NoToken(HooklineError):
    """The token server gave none; nothing was sent to the receiver."""

    code = "no_token"


class Opened(NamedTuple):
    """An access, ready for use; ``tls`` None: as for everybody."""

    access: ReceiverAccess
    tls: ssl.SSLContext | None


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float = _LIFE_S


_tokens = msgspec.json.Decoder(_TokenAnswer, strict=False)


class ReceiverAccesses:
    """Those of one process, opened once each. Tokens are asked for once, however many attempts wait for one.

    Args:
        vault: has the keys.
        vetter: says which address a token server may have.
        transport: sends.
    """

    def __init__(self, vault: ContentSealer, vetter: Vetter, transport: Transport, clock: Clock) -> None:
        self._vault = vault
        self._vetter = vetter
        self._transport = transport
        self._clock = clock
        self.opened = lru_cache(maxsize=_KEPT)(self._open)
        self._tokens: dict[OAuth2Auth, tuple[str, NoToken | None, float]] = {}  # until when, of the boot clock
        self._locks: dict[OAuth2Auth, asyncio.Lock] = {}

    async def authorization(self, access: ReceiverAccess, tenant: str) -> str | None:
        """The header's value for that tenant's job; None: it has none. Raises NoToken."""
        match access.auth:
            case BearerAuth(token=token):
                return f"Bearer {token}"
            case BasicAuth(username=username, password=password):
                return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
            case OAuth2Auth():
                return f"Bearer {await self._token(access.auth, tenant)}"
            case None:
                return None

    def refused(self, access: ReceiverAccess) -> None:
        """A receiver answered 401: the token may have been taken back, so the next attempt asks for another."""
        if isinstance(access.auth, OAuth2Auth):
            self._tokens.pop(access.auth, None)

    def _open(self, sealed: bytes) -> Opened:
        access = decode_access(self._vault.open_bytes(sealed))
        tls = access.tls
        return Opened(access, None if tls is None else own_context(tls.ca, tls.certificate, tls.key))

    async def _token(self, auth: OAuth2Auth, tenant: str) -> str:
        if (token := self._kept_token(auth)) is not None:
            return token
        lock = self._locks.setdefault(auth, asyncio.Lock())
        try:
            async with lock:  # one asks, the others find what it got
                return self._kept_token(auth) or await self._ask(auth, tenant)
        finally:
            if not lock.locked():
                self._locks.pop(auth, None)

    def _kept_token(self, auth: OAuth2Auth) -> str | None:
        """None: it has to be asked for. Raises NoToken if that has just failed."""
        token, error, until_ms = self._tokens.get(auth, ("", None, 0.0))
        if self._clock.boot_ms() >= until_ms:
            return None
        if error is not None:
            raise NoToken(error.detail)
        return token

    def _keep(self, auth: OAuth2Auth, token: str, error: NoToken | None, life_ms: float) -> None:
        self._tokens.pop(auth, None)
        while len(self._tokens) >= _KEPT:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[auth] = token, error, self._clock.boot_ms() + life_ms

    async def _ask(self, auth: OAuth2Auth, tenant: str) -> str:
        target = parse_url(auth.token_url)
        body = urlencode({"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {}))
        credentials = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
        headers = [
            ("authorization", "Basic " + base64.b64encode(credentials.encode()).decode()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
        ]
        try:
            address = self._vetter.vet_cached(target) or await self._vetter.vet(target)
            outgoing = Outgoing(target, address, "POST", headers, body.encode(), _TOKEN_MS, tenant=tenant)
            token = _token_in(await self._transport.send(outgoing), target.destination)
        except (SendFailed, ResolveFailed, ForbiddenDestination) as failure:
            error = NoToken(f"no token from {target.destination}: {failure.detail}")
            self._keep(auth, "", error, _PAUSE_MS)
            raise error from failure
        except NoToken as error:
            self._keep(auth, "", error, _PAUSE_MS)
            raise
        self._keep(auth, token.access_token, None, token.expires_in * 1_000 - _EARLY_MS)
        return token.access_token


def _token_in(answer: ReceiverAnswer, destination: str) -> _TokenAnswer:
    """Raises NoToken, without a word of the answer: it may hold secrets."""
    if answer.status != 200:
        raise NoToken(f"no token from {destination}: it answered {answer.status}")
    try:
        token = _tokens.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoToken(f"no token from {destination}: its answer is not one of RFC 6749") from None
    if not token.access_token.isascii() or not token.access_token.isprintable() or " " in token.access_token:
        raise NoToken(f"no token from {destination}: it has characters that a header cannot carry")
    return token
