"""Id tokens that nobody may be signed in by."""

import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oidc_provider import new_keys, signed

KEYS = new_keys()
"""Of the provider."""


def hmac_with_the_public_key(claims: dict[str, Any]) -> str:
    private = KEYS[0].private
    assert isinstance(private, rsa.RSAPrivateKey)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return signed({"alg": "HS256", "kid": KEYS[0].kid}, claims, lambda data: hmac.digest(public, data, "sha256"))


def changed_after_signing(claims: dict[str, Any]) -> str:
    head, _, mac = KEYS[0].token(claims).split(".")
    return ".".join((head, KEYS[0].token(claims | {"groups": ["admins", "x"]}).split(".")[1], mac))


OTHERS = new_keys()
FORGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "alg none": lambda claims: signed({"alg": "none"}, claims, lambda _: b""),
    "alg None": lambda claims: signed({"alg": "None", "kid": "rsa"}, claims, lambda _: b""),
    "no alg": lambda claims: signed({"kid": "rsa"}, claims, lambda _: b""),
    "hmac with the public key": hmac_with_the_public_key,
    "hmac with the jwk": lambda claims: signed(
        {"alg": "HS256", "kid": "rsa"},
        claims,
        lambda data: hmac.digest(json.dumps(KEYS[0].jwk()).encode(), data, "sha256"),
    ),
    "another's key of that name": OTHERS[0].token,
    "its own key in the header": lambda claims: OTHERS[0].token(claims, jwk=OTHERS[0].jwk()),
    "another kind of key": lambda claims: KEYS[1].token(claims, kid=KEYS[0].kid),
    "an unknown key": lambda claims: KEYS[0].token(claims, kid="nobody's"),
    "an unknown critical header": lambda claims: KEYS[0].token(claims, crit=["x"], x=1),
    "changed after signing": changed_after_signing,
    "without a signature": lambda claims: KEYS[0].token(claims).rpartition(".")[0] + ".",
    "not a token": lambda claims: f"{len(claims)}",
    "too long": lambda claims: KEYS[0].token(claims | {"x": "x" * 100_000}),
}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "of another issuer"),
    "no issuer": ({"iss": None}, "lacks a claim"),
    "another audience": ({"aud": "another"}, "another application"),
    "another of the audiences": ({"aud": ["hookline", "another"], "azp": "another"}, "another application"),
    "several audiences": ({"aud": ["hookline", "another"]}, "several applications"),
    "made for another": ({"azp": "another"}, "another application"),
    "no audience": ({"aud": None}, "lacks a claim"),
    "another nonce": ({"nonce": "x" * 43}, "another sign-in"),
    "no nonce": ({"nonce": None}, "another sign-in"),
    "a nonce of no text": ({"nonce": ["x"]}, "another sign-in"),
    "a nonce beyond ASCII": ({"nonce": "\ud800é"}, "another sign-in"),
    "expired": ({"exp": 1_000_000_000}, "expired"),
    "never expires": ({"exp": None}, "lacks a claim"),
    "an end of no number": ({"exp": "2999999999"}, "not a number"),
    "an end that is none": ({"exp": float("nan")}, "id token"),
    "of the future": ({"iat": 4_000_000_000}, "future"),
    "not yet": ({"nbf": 4_000_000_000}, "future"),
    "nobody": ({"sub": None}, "lacks a claim"),
}
"""Claims in place of right ones, and what the page says."""
