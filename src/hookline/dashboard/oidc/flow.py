"""The authorization-code flow with PKCE (RFC 6749, 7636, 9207), without a store: a cookie has what was begun."""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from hookline.clock import Clock
from hookline.dashboard.oidc.claims import pass_of
from hookline.dashboard.oidc.provider import Provider
from hookline.dashboard.oidc.refusing import SignInRefused
from hookline.dashboard.oidc.settings import CALLBACK, OidcSettings
from hookline.dashboard.sessions import BEGUN_S, Seals
from hookline.http_api.access import is_loopback
from hookline.http_api.rare_lines import RareLines
from hookline.protocol.passes import SignInPass

_BYTES: Final = 32
_PURPOSE: Final = b"hookline dashboard oidc"
_ERROR: Final = re.compile(r"[a-z_]{1,40}")


class BegunSignIn(msgspec.Struct, frozen=True, array_like=True):
    """A sign-in that is under way.

    Attributes:
        state: comes back with the browser.
        nonce: comes back in the id token.
        verifier: shown with the code; the provider has its hash.
        wanted: the page to go to.
        redirect_url: as the provider was told.
        ends_ms: too late from then on.
    """

    state: str
    nonce: str
    verifier: str
    wanted: str
    redirect_url: str
    ends_ms: int


class Begun(NamedTuple):
    """Leads to the provider; ``sealed`` is for the cookie."""

    location: str
    sealed: str


class Finished(NamedTuple):
    """Ends a sign-in well: the pass, and the page that was wanted."""

    granted: SignInPass
    wanted: str


class ProviderSignIn:
    """Begins and ends sign-ins, each at any process that has the root key.

    Args:
        settings: of the provider.
        seals: of the cookies.
        clock: the process's.

    Attributes:
        settings: as given.
    """

    def __init__(self, settings: OidcSettings, seals: Seals, clock: Clock) -> None:
        self.settings = settings
        self._seals = seals
        self._clock = clock
        self._provider = Provider(settings, clock)
        self._lines = RareLines(lambda: clock.boot_ms() / 1_000)

    def start_url(self, origin: str) -> str:
        """The address that begins it, at the name that the provider leads back to: cookies are of a name."""
        configured = self.settings.redirect_url
        return (origin if configured is None else configured.removesuffix(CALLBACK)) + "/dashboard/oidc/start"

    @property
    def is_https(self) -> bool:
        """Do browsers come back by TLS?"""
        return (self.settings.redirect_url or "").startswith("https:")

    def note_vain(self, why: str) -> None:
        """Have the log tell of a sign-in that any stranger can have brought about: of few of them."""
        self._lines.say("sign_in_not_begun", why=why)

    async def begin(self, origin: str, wanted: str) -> Begun:
        """Begin. ``origin``: how the browser calls us. Raises SignInRefused."""
        redirect_url = self.settings.redirect_url or self._derived(origin)
        document = await self._provider.document()
        state, nonce, verifier = self._word(), self._word(), self._word()
        ends_ms = self._clock.wall_ms() + BEGUN_S * 1_000
        begun = BegunSignIn(state, nonce, verifier, wanted, redirect_url, ends_ms)
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_url,
            "scope": " ".join(self.settings.request),
            "state": state,
            "nonce": nonce,
            "code_challenge": _text(sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        endpoint = document.authorization_endpoint
        location = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
        return Begun(location, self._seals.seal(msgspec.msgpack.encode(begun), _PURPOSE))

    async def finish(self, asked: Mapping[str, str], sealed: str) -> Finished:
        """End it. ``asked``: the query that the browser came back with; ``sealed``: its cookie.

        Raises SignInRefused.
        """
        begun = self._begun(sealed)
        if begun is None or not hmac.compare_digest(asked.get("state", "").encode(), begun.state.encode()):
            raise SignInRefused(
                "This sign-in was not begun here, was ended already, or took too long. Sign in again.", 400
            )
        document = await self._provider.document()
        issuer = asked.get("iss")
        if issuer != document.issuer and (issuer or document.authorization_response_iss_parameter_supported):
            raise SignInRefused("Another provider sent you back than the one you were sent to. Sign in again.", 400)
        if (error := asked.get("error")) is not None:
            raise SignInRefused(_said_by_provider(error))
        if not (code := asked.get("code")):
            raise SignInRefused("The provider sent you back without a code. Sign in again.", 400)
        claims = await self._provider.claims(document, code, begun.redirect_url, begun.verifier, begun.nonce)
        return Finished(pass_of(claims, self.settings, self._clock.wall_ms()), begun.wanted)

    def _begun(self, sealed: str) -> BegunSignIn | None:
        plain = self._seals.unseal(sealed, _PURPOSE)
        if plain is None:
            return None
        try:
            begun = msgspec.msgpack.decode(plain, type=BegunSignIn)
        except msgspec.MsgspecError:  # of another release
            return None
        return begun if self._clock.wall_ms() < begun.ends_ms else None

    def _word(self) -> str:
        return _text(self._clock.token(_BYTES))

    def _derived(self, origin: str) -> str:
        """The callback at this machine. Anybody can make up another name in a request, so it is not believed."""
        try:
            host = urlsplit(origin).hostname or ""
        except ValueError:
            host = ""
        if not is_loopback(host):
            raise SignInRefused(
                "Nobody told Hookline by which name browsers reach it: an operator has to give --oidc-redirect-url.",
                400,
            )
        return origin + CALLBACK


def _said_by_provider(error: str) -> str:
    if error == "access_denied":
        return "You, or the provider, said no to signing in here (access_denied)."
    shown = error if _ERROR.fullmatch(error) else "an error of no known form"
    return f"The provider did not sign you in: {shown}. Try again; if that does not help, tell an operator."


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
