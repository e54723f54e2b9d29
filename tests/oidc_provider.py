"""A small OpenID Connect provider over HTTP: discovery, keys, PKCE, codes for one use, tokens by cryptography alone."""

import base64
import hashlib
import html
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hookline.clock import SystemClock

ALICE: dict[str, Any] = {"sub": "u-1", "email": "alice@example.com", "email_verified": True, "groups": ["admins"]}
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class SigningKey:
    """A key of a provider, and how it signs."""

    def __init__(self, kid: str, private: PrivateKey) -> None:
        self.kid = kid
        self.private = private

    @property
    def algorithm(self) -> str:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return "RS256"
        return "ES256" if isinstance(self.private, ec.EllipticCurvePrivateKey) else "EdDSA"

    def sign(self, data: bytes) -> bytes:
        match self.private:
            case rsa.RSAPrivateKey():
                return self.private.sign(data, padding.PKCS1v15(), SHA256())
            case ec.EllipticCurvePrivateKey():
                r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(SHA256())))
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")
            case _:
                return self.private.sign(data)

    def jwk(self) -> dict[str, Any]:
        """The public half (RFC 7517)."""
        found: dict[str, Any] = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        match self.private:
            case rsa.RSAPrivateKey():
                numbers = self.private.public_key().public_numbers()
                return found | {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
            case ec.EllipticCurvePrivateKey():
                point = self.private.public_key().public_numbers()
                x, y = (b64(value.to_bytes(32, "big")) for value in (point.x, point.y))
                return found | {"kty": "EC", "crv": "P-256", "x": x, "y": y}
            case _:
                return found | {"kty": "OKP", "crv": "Ed25519", "x": b64(self.private.public_key().public_bytes_raw())}

    def token(self, claims: dict[str, Any], **header: Any) -> str:
        """A signed token (RFC 7515)."""
        return signed({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | header, claims, self.sign)


def signed(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token with any header, signed in any way."""
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(sign(text.encode()))}"


def new_keys(name: str = "") -> list[SigningKey]:
    """One of each kind; the first one signs."""
    return [
        SigningKey(f"rsa{name}", rsa.generate_private_key(65537, 2048)),
        SigningKey(f"ec{name}", ec.generate_private_key(ec.SECP256R1())),
        SigningKey(f"ed{name}", ed25519.Ed25519PrivateKey.generate()),
    ]


class OidcProvider:
    """The provider; tests change what it says.

    Attributes:
        person: the claims of whoever signs in.
        forge: makes the id token of the claims.
        extra: claims that come on top, also in place of right ones; None takes one away.
        discovery: fields of the discovery document, likewise.
        refuses: the error that it sends browsers back with.
        asks: show a page with a button first.
        seen: the paths that were asked for.
        shown: codes, tokens and secrets that went through it; nobody may find them in a log.
    """

    def __init__(self, url: str, keys: list[SigningKey]) -> None:
        self.url = url
        self.shown: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.seen: list[str] = []
        self.behave(keys)

    def behave(self, keys: list[SigningKey]) -> None:
        """Be as providers are again."""
        self.keys = keys
        self.client_id, self.client_secret = "hookline", "the secret/of:this client"
        self.person = dict(ALICE)
        self.extra: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.refuses = ""
        self.asks = False
        self.is_public = False
        self.shown.append(self.client_secret)
        self.forge: Callable[[dict[str, Any]], str] = self.signed

    def signed(self, claims: dict[str, Any]) -> str:
        return self.keys[0].token(claims)

    def document(self) -> dict[str, Any]:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in (found | self.discovery).items() if value is not None}

    def authorized(self, asked: dict[str, str]) -> str:
        """The address that the browser is sent back to."""
        assert asked["client_id"] == self.client_id
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        back = {"state": asked["state"], "iss": self.url}
        if self.refuses:
            return f"{asked['redirect_uri']}?{urlencode(back | {'error': self.refuses, 'error_description': '<b>x'})}"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        self.shown += [code, asked["state"], asked["nonce"]]
        return f"{asked['redirect_uri']}?{urlencode(back | {'code': code})}"

    def told(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The answer to a code, which is taken once."""
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        if (
            asked is None
            or form.get("redirect_uri") != asked["redirect_uri"]
            or b64(hashlib.sha256(verifier.encode()).digest()) != asked["code_challenge"]
        ):
            return 400, {"error": "invalid_grant"}
        now = SystemClock().wall_ms() // 1_000
        times = {"iat": now, "exp": now + 300}
        claims = {"iss": self.url, "aud": self.client_id, "nonce": asked["nonce"], **times, **self.person, **self.extra}
        token = self.forge({name: value for name, value in claims.items() if value is not None})
        self.shown += [verifier, token]
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": token}

    def _is_client(self, form: dict[str, str], authorization: str) -> bool:
        if self.is_public:
            return not authorization and form.get("client_id") == self.client_id
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        if self.discovery.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            return (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)
        return authorization == "Basic " + base64.b64encode(pair.encode()).decode()


@contextmanager
def oidc_provider(keys: list[SigningKey], name: str = "127.0.0.1") -> Iterator[OidcProvider]:
    """Run one in a thread, under that name of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.seen.append(parts.path)
            asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/.well-known/openid-configuration":
                self._answer(200, json.dumps(provider.document()).encode())
            elif parts.path == "/jwks":
                self._answer(200, json.dumps({"keys": [key.jwk() for key in provider.keys]}).encode())
            elif parts.path == "/authorize" and provider.asks and "yes" not in asked:
                again = html.escape(f"{self.path}&yes=1")
                self._answer(200, f'<title>P</title><a href="{again}">I am Alice</a>'.encode(), kind="text/html")
            elif parts.path == "/authorize":
                self._answer(302, b"", location=provider.authorized(asked))
            else:
                self._answer(404, b"")

        def do_POST(self) -> None:
            provider.seen.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[-1] for name, values in parse_qs(body).items()}
            status, answer = provider.told(form, self.headers.get("authorization", ""))
            self._answer(status, json.dumps(answer).encode())

        def _answer(self, status: int, body: bytes, location: str = "", kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if location:
                self.send_header("location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = OidcProvider(f"http://{name}:{server.server_port}", keys)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
