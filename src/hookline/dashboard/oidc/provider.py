"""Asks the provider: for its discovery document, its keys, and an id token for a code."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from hookline.clock import Clock
from hookline.dashboard.oidc.id_token import Jwk, verified
from hookline.dashboard.oidc.refusing import SignInRefused, UnknownKey
from hookline.dashboard.oidc.settings import OidcSettings, check_provider_url
from hookline.errors import InvalidConfig

_KEPT_MS: Final = 3_600_000
_LOOK_MS: Final = 5_000  # at most so often it is looked for newer keys
_VAIN_MS: Final = 2_000
_TIMEOUT_S: Final = 10.0
_BYTES_MAX: Final = 1024 * 1024
_AT_ONCE: Final = 8
_BASIC: Final = "client_secret_basic"


class ProviderDocument(msgspec.Struct, frozen=True):
    """The part of the discovery document that is used (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = (_BASIC,)
    authorization_response_iss_parameter_supported: bool = False


class _CodeAnswer(msgspec.Struct, frozen=True):
    id_token: str = ""
    error: str = ""


class _PublishedKeys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Provider:
    """The provider, as far as it is known.

    Args:
        settings: where it is, and who we are there.
        clock: says how old what is known has become.
    """

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._document: ProviderDocument | None = None
        self._document_ms = 0.0
        self._vain: SignInRefused | None = None
        self._vain_ms = 0.0
        self._jwks: list[Jwk] = []
        self._jwks_ms = float("-inf")
        self._asking = asyncio.Lock()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._trust: ssl.SSLContext | None = None

    async def document(self) -> ProviderDocument:
        """The discovery document. Raises SignInRefused."""
        async with self._asking:
            now_ms = self._clock.boot_ms()
            if self._document is not None and now_ms - self._document_ms <= _KEPT_MS:
                return self._document
            if self._vain is not None and now_ms - self._vain_ms < _VAIN_MS:  # those who waited do not wait again
                raise SignInRefused(self._vain.why, self._vain.status)
            try:
                self._document = await self._discovered()
            except SignInRefused as error:
                self._vain, self._vain_ms = error, self._clock.boot_ms()
                raise
            self._document_ms = now_ms
            return self._document

    async def claims(self, document: ProviderDocument, code: str, redirect_url: str, verifier: str, nonce: str) -> Any:
        """The claims of the id token that the provider gives for a code, verified. Raises SignInRefused."""
        answer = await self._told(document, code, redirect_url, verifier)
        try:
            return self._verified(answer, document, await self._keys(document, after_ms=_KEPT_MS), nonce)
        except UnknownKey:
            pass
        try:
            return self._verified(answer, document, await self._keys(document, after_ms=_LOOK_MS), nonce)
        except UnknownKey:
            raise SignInRefused("The provider's id token is signed with a key that it has not published.") from None

    def _verified(self, token: str, document: ProviderDocument, jwks: list[Jwk], nonce: str) -> Any:
        return verified(token, jwks, self._settings, document.issuer, nonce, self._clock.wall_ms())

    async def _discovered(self) -> ProviderDocument:
        issuer = self._settings.issuer
        body = await self._ask("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            found = msgspec.json.decode(body, type=ProviderDocument)
        except msgspec.MsgspecError:
            raise _broken("its discovery document cannot be read") from None
        if found.issuer != issuer:
            raise _broken("its discovery document is of another issuer; --oidc-issuer has to be letter by letter alike")
        try:
            for url in (found.token_endpoint, found.jwks_uri):
                check_provider_url(url.partition("?")[0], "an endpoint")
            check_provider_url(found.authorization_endpoint.partition("?")[0], "an endpoint")
        except InvalidConfig:
            raise _broken("it names an endpoint without TLS, or none") from None
        return found

    async def _keys(self, document: ProviderDocument, after_ms: int) -> list[Jwk]:
        """Its keys; asked for again when they are older than that."""
        async with self._asking:
            now_ms = self._clock.boot_ms()
            if now_ms - self._jwks_ms >= after_ms:
                body = await self._ask("GET", document.jwks_uri)
                try:
                    self._jwks = list(msgspec.json.decode(body, type=_PublishedKeys).keys)
                except msgspec.MsgspecError:
                    raise _broken("its keys cannot be read") from None
                self._jwks_ms = now_ms
            return self._jwks

    async def _told(self, document: ProviderDocument, code: str, redirect_url: str, verifier: str) -> str:
        settings = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_url,
            "code_verifier": verifier,
        }
        headers = {}
        if settings.client_secret is None:
            form["client_id"] = settings.client_id
        elif _BASIC in document.token_endpoint_auth_methods_supported:
            pair = f"{quote(settings.client_id, safe='')}:{quote(settings.client_secret, safe='')}"  # RFC 6749, 2.3.1
            headers["authorization"] = "Basic " + b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
        async with self._at_once:
            body = await self._ask("POST", document.token_endpoint, form, headers)
        try:
            answer = msgspec.json.decode(body, type=_CodeAnswer)
        except msgspec.MsgspecError:
            raise _broken("its answer to the code cannot be read") from None
        if answer.error == "invalid_client":
            raise _broken("it does not know this client: --oidc-client-id or its secret is wrong")
        if not answer.id_token:
            raise SignInRefused("The provider does not take the code: it was used, or is too old. Sign in again.", 400)
        return answer.id_token

    async def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of an answer. Nothing of a request or an answer is told: both hold secrets."""
        import httpx2  # noqa: PLC0415  # only where somebody signs in so

        is_tls = urlsplit(url).scheme == "https"
        if is_tls and self._trust is None:
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        body = bytearray()
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                httpx2.AsyncClient(verify=self._trust or False, trust_env=is_tls, timeout=_TIMEOUT_S) as client,
                client.stream(method, url, data=form, headers={"accept": "application/json", **(headers or {})}) as got,
            ):
                async for part in got.aiter_bytes():
                    body += part
                    if len(body) > _BYTES_MAX:
                        raise _broken("its answer is too long")
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
            raise _broken(f"it cannot be reached ({type(error).__name__})") from None
        if got.status_code != 200 and not (form is not None and got.status_code in (400, 401)):
            raise _broken(f"it answers {got.status_code}")
        return bytes(body)


def _broken(why: str) -> SignInRefused:
    return SignInRefused(f"The provider is of no use now: {why}. Sign in with an API key meanwhile.", 502)
