"""Verifies id tokens (OpenID Connect Core 1.0, section 3.1.3.7). Pure.

PyJWT checks the signature, ``iss`` and ``aud``; times are compared with the process's clock, which can be another one
than the machine's.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hookline.dashboard.oidc.refusing import SignInRefused, UnknownKey
from hookline.dashboard.oidc.settings import OidcSettings

ALGORITHMS: Final = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""The only ones that are taken, and the kind of their keys. None is symmetric: a public key is no secret."""

_LEEWAY_S: Final = 60
_CHARS_MAX: Final = 64 * 1024

Jwk = Mapping[str, Any]


def verified(
    token: str, jwks: Sequence[Jwk], settings: OidcSettings, issuer: str, nonce: str, now_ms: int
) -> dict[str, Any]:
    """The claims of the token.

    Raises:
        SignInRefused: it does not hold, and why.
        UnknownKey: look for newer keys, and try again.
    """
    import jwt  # noqa: PLC0415  # only where somebody signs in so

    if len(token) > _CHARS_MAX:
        raise _refused("is too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _refused("is not a signed token") from None
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise _refused("is signed by an algorithm that is not taken")
    key = _key(jwks, header.get("kid"), algorithm)
    options: Any = {
        **dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf"), False),
        "require": ["iss", "sub", "aud", "exp", "iat"],
        "enforce_minimum_key_length": True,
    }
    try:
        public = jwt.PyJWK(dict(key), algorithm)
        claims = jwt.decode(
            token, public, algorithms=[algorithm], audience=settings.client_id, issuer=issuer, options=options
        )
    except jwt.InvalidIssuerError:
        raise _refused("is of another issuer") from None
    except jwt.InvalidAudienceError:
        raise _refused("is for another application") from None
    except jwt.MissingRequiredClaimError:
        raise _refused("lacks a claim that every one has") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise _refused("has a signature that does not hold") from None
    _check_party(claims, settings.client_id)
    _check_times(claims, now_ms / 1_000)
    said = claims.get("nonce")
    if not isinstance(said, str) or not said.isascii() or not hmac.compare_digest(said, nonce):
        raise _refused("is of another sign-in")
    return claims


def _key(jwks: Sequence[Jwk], kid: object, algorithm: str) -> Jwk:
    fitting = [
        jwk
        for jwk in jwks
        if jwk.get("kty") == ALGORITHMS[algorithm]
        and jwk.get("use", "sig") == "sig"
        and jwk.get("alg", algorithm) in (algorithm, "Ed25519" if algorithm == "EdDSA" else algorithm)
        and (kid is None or jwk.get("kid") == kid)
    ]
    if not fitting:
        raise UnknownKey
    if len(fitting) > 1:
        raise _refused("does not say which key signed it")
    return fitting[0]


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Refuses a token that was made for somebody else, also where we are among those who may use it."""
    audience, party = claims["aud"], claims.get("azp")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise _refused("is for several applications, and does not say for which one it was made")
    if party is not None and party != client_id:
        raise _refused("was made for another application")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    times = [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
    if not all(isinstance(time, int | float) and not isinstance(time, bool) for time in times):
        raise _refused("has a time that is not a number")
    if not now_s < claims["exp"] + _LEEWAY_S:  # nor for a number that is none
        raise _refused("has expired; or a clock is wrong")
    if not max(claims["iat"], claims.get("nbf", claims["iat"])) <= now_s + _LEEWAY_S:
        raise _refused("is from the future; a clock is wrong")


def _refused(what: str) -> SignInRefused:
    return SignInRefused(f"The provider's id token {what}. Try again; if that does not help, tell an operator.")
