"""The two cookies of the dashboard, and the token that each form carries. Pure.

``hookline_visitor`` is a random word, made for whoever comes; the token of a form is bound to it (OWASP's "signed
double-submit cookie"). ``hookline_session`` is the API key of whoever signed in, sealed with AES-256-GCM under a key
that all nodes and proxies derive from the root key: so it opens at any of them, and a new root key ends all sessions.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Final

import msgspec

VISITOR: Final = "hookline_visitor"
SESSION: Final = "hookline_session"
SESSION_MS: Final = 12 * 3_600_000
_NONCE_BYTES: Final = 12
_VISITOR_BYTES: Final = 16
_VISITOR_TEXT: Final = re.compile(r"[0-9a-f]{32}")
_PURPOSE: Final = b"hookline dashboard session"


class DashboardSession(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who signed in.

    Attributes:
        api_key: shown with every call that is made for them.
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
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # only where there are keys

        nonce = self._token(_NONCE_BYTES)
        sealed = AESGCM(self._keys[0]).encrypt(nonce, msgspec.msgpack.encode(session), _PURPOSE)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def opened(self, text: str, now_ms: int) -> DashboardSession | None:
        """The session; None: it is not one of ours, or it is over."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            data = base64.urlsafe_b64decode(text.encode())
        except ValueError:
            return None
        for key in self._keys:
            try:
                plain = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _PURPOSE)
            except (InvalidTag, ValueError):
                continue
            session = msgspec.msgpack.decode(plain, type=DashboardSession)
            return session if session.ends_ms > now_ms else None
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


def cookie(name: str, value: str, *, is_secure: bool, is_over: bool = False) -> str:
    """The ``Set-Cookie`` header: no script reads it, no other site has it sent (RFC 6265bis)."""
    text = f"{name}={value}; Path=/dashboard; HttpOnly; SameSite=Strict"
    if is_secure:
        text += "; Secure"
    return f"{text}; Max-Age=0" if is_over else text
