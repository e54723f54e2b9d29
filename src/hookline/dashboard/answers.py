"""The answers of the dashboard: what every one of them carries, above all what a browser may do with it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from starlette.responses import Response

from hookline.http_api.messages import HeaderPair

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


def secured(response: Response, identity: Sequence[HeaderPair], cookies: Iterable[str] = ()) -> Response:
    """The response with these headers; one that has its own ``cache-control`` keeps it."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.raw_headers.extend(identity)
    response.raw_headers.extend((b"set-cookie", cookie.encode()) for cookie in cookies)
    return response


def page_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """HTML."""
    return Response(text, status, headers, "text/html; charset=utf-8")


def see_other(path: str) -> Response:
    """Look there: what a form that did something answers (RFC 9110, section 15.4.4)."""
    return Response(status_code=303, headers={"location": path})
