"""The cookies of the dashboard, and the token that each form carries. Pure.

``hookline_visitor`` is a random word, made for whoever comes; the token of a form is bound to it (OWASP's "signed
double-submit cookie"). ``hookline_session`` is the API key of whoever signed in, sealed with AES-256-GCM under a key
that all nodes and proxies derive from the root key: so it opens at any of them, and a new root key ends all sessions.

``hookline_begun`` is a sign-in at a provider that is under way, sealed likewise; see ``oidc/flow.py``.

``hookline_acts_for`` is the tenant for whom an operator acts. It gives nobody a right: the API looks at the key.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Final

import msgspec

from hookline.errors import InvalidRequest
from hookline.protocol.tenants import tenant_name, tenant_of

VISITOR: Final = "hookline_visitor"
SESSION: Final = "hookline_session"
ACTS_FOR: Final = "hookline_acts_for"
BEGUN: Final = "hookline_begun"
BEGUN_S: Final = 600
SESSION_MS: Final = 12 * 3_600_000
_NONCE_BYTES: Final = 12
_VISITOR_BYTES: Final = 16
_VISITOR_TEXT: Final = re.compile(r"[0-9a-f]{32}")
_PURPOSE: Final = b"hookline dashboard session"


class DashboardSession(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who signed in.

    Attributes:
        api_key: or a pass, shown with every call that is made for them.
        visitor: the word of the other cookie: the session is of use with it only.
        ends_ms: they have to sign in again then.
    """

    api_key: str
    visitor: str
    ends_ms: int


class Seals:
    """Seals sessions and opens them, and makes the tokens of forms.

    Args:
        root_keys: the first seals, all open; none: nobody signs in.
        token: gives fresh random bytes.
    """

    def __init__(self, root_keys: Sequence[str], token: Callable[[int], bytes]) -> None:
        self._keys = [hmac.digest(key.encode(), _PURPOSE, "sha256") for key in root_keys]
        self._token = token

    def new_visitor(self) -> str:
        """A word for whoever comes for the first time."""
        return self._token(_VISITOR_BYTES).hex()

    def form_token(self, visitor: str) -> str:
        """The token that a form of theirs carries; no other site can know it."""
        key = self._keys[0] if self._keys else _PURPOSE
        return hmac.new(key, b"form " + visitor.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, visitor: str, given: str) -> bool:
        """Is it theirs? In constant time."""
        return hmac.compare_digest(self.form_token(visitor).encode(), given.encode())

    def sealed(self, session: DashboardSession) -> str:
        """The value of the cookie."""
        return self.seal(msgspec.msgpack.encode(session), _PURPOSE)

    def opened(self, text: str, now_ms: int) -> DashboardSession | None:
        """The session; None: it is not one of ours, or it is over."""
        plain = self.unseal(text, _PURPOSE)
        if plain is None:
            return None
        session = msgspec.msgpack.decode(plain, type=DashboardSession)
        return session if session.ends_ms > now_ms else None

    def seal(self, plain: bytes, purpose: bytes) -> str:
        """The value of a cookie that opens for this purpose only."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # only where there are keys

        nonce = self._token(_NONCE_BYTES)
        sealed = AESGCM(self._keys[0]).encrypt(nonce, plain, purpose)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def unseal(self, text: str, purpose: bytes) -> bytes | None:
        """The inverse; None: it was not sealed under one of these root keys, or for something else."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            data = base64.urlsafe_b64decode(text.encode())
        except ValueError:
            return None
        for key in self._keys:
            try:
                return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], purpose)
            except (InvalidTag, ValueError):
                continue
        return None


def cookies_in(header: str) -> dict[str, str]:
    """Reads a ``Cookie`` header; one that cannot be read has no cookies."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def visitor_in(cookies: dict[str, str]) -> str | None:
    """Reads the word of a visitor; None: there is none of our making."""
    found = cookies.get(VISITOR, "")
    return found if _VISITOR_TEXT.fullmatch(found) else None


def tenant_in(cookies: dict[str, str]) -> str | None:
    """Reads for whom an operator acts; None: for nobody else."""
    try:
        return tenant_name(tenant_of(cookies[ACTS_FOR], field="tenant")) if cookies.get(ACTS_FOR) else None
    except InvalidRequest:
        return None


def begun_cookie(value: str, seconds: int, *, is_secure: bool) -> str:
    """The ``Set-Cookie`` header of a sign-in that is under way; a browser has it with it when a provider sends it."""
    text = f"{BEGUN}={value}; Path=/dashboard/oidc; HttpOnly; SameSite=Lax; Max-Age={seconds}"
    return f"{text}; Secure" if is_secure else text


def cookie(name: str, value: str, *, is_secure: bool, is_over: bool = False) -> str:
    """The ``Set-Cookie`` header: no script reads it, no other site has it sent (RFC 6265bis).

    The word of a visitor comes with a link from another site, too: another word would end the session that is bound to
    the first one. It does not come with a form of another site.
    """
    text = f"{name}={value}; Path=/dashboard; HttpOnly; SameSite={'Lax' if name == VISITOR else 'Strict'}"
    if is_secure:
        text += "; Secure"
    return f"{text}; Max-Age=0" if is_over else text
