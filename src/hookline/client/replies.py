"""Reading an answer: the value that a call gives, the error that Hookline names, or who else answered. Pure."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from hookline import errors
from hookline.visible import shortened, visible_line, without_password

T = TypeVar("T")

_BY_CODE = errors.by_code()
# Of an error that this SDK does not know yet.
_BY_STATUS: dict[int, type[errors.HooklineError]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    409: errors.Conflict,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMedia,
    422: errors.IdempotencyMismatch,
    429: errors.TooManyRequests,
    500: errors.Internal,
    502: errors.DeadlineExceeded,
    503: errors.DeadlineExceeded,
    504: errors.DeadlineExceeded,
}
# What others than Hookline say and is clear all the same: what stands in between had no answer from it, does not let a
# body of that size through, or wants it slower. A 502 to 504 does not say whether the request went through.
_CLEAR_OF_OTHERS: dict[int, type[errors.HooklineError]] = {
    413: errors.PayloadTooLarge,
    414: errors.InvalidRequest,
    429: errors.TooManyRequests,
    431: errors.InvalidRequest,
    502: errors.DeadlineExceeded,
    503: errors.DeadlineExceeded,
    504: errors.DeadlineExceeded,
}
_PROBLEM_FIELDS = frozenset({"type", "title", "status", "code", "detail", "retryable", "field", "retry_after"})
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,100})", re.IGNORECASE)
_TITLE_WITHIN_BYTES = 4_096


def parse_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    reply: type[T],
    *,
    url: str = "the service",
    accepts: tuple[int, ...] = (),
) -> T:
    """The answer as a value of ``reply``.

    Args:
        status: the HTTP status.
        headers: the response's headers, names in lower case.
        body: the whole body.
        reply: a type of ``protocol.http`` or ``answers``, or ``type(None)`` where there is nothing to read.
        url: who was asked.
        accepts: statuses beside 2xx whose body is the reply too.

    Raises:
        HooklineError: the class that belongs to the answer's ``code``, or the nearest one for its status; it has
            the answer's detail, field, figures and ``retry_after_s``. ``ForeignAnswer`` if it is not Hookline's.
    """
    is_good = 200 <= status < 300
    if not is_good and status not in accepts:
        raise _error(status, headers, body, url)
    if reply is type(None):
        if _document(body) is None and body.strip():
            raise _foreign(status, headers, body, url)
        return None
    try:
        return _decoded(body, reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not is_good:
            raise _error(status, headers, body, url) from error
        if _document(body) is None:
            raise _foreign(status, headers, body, url) from error
        raise errors.HooklineError(
            f"The answer ({status}) is not what this call gives: {error}. Is the address right, and the SDK as new?"
        ) from error


def _decoded(body: bytes, reply: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=reply)
    except msgspec.ValidationError as error:
        if "out of range" not in str(error):
            raise
        from hookline.client import huge_numbers  # noqa: PLC0415  # hardly ever needed

        return msgspec.convert(huge_numbers.loads(body), reply)


def surely_refused(error: errors.HooklineError) -> bool:
    """Whether the service said, or the connection shows, that the request was not accepted."""
    return isinstance(error, (errors.ConnectionFailed, errors.Unavailable, errors.TooManyRequests))


def _error(status: int, headers: Mapping[str, str], body: bytes, url: str) -> errors.HooklineError:
    problem = _document(body) or {}
    code = problem.get("code")
    if not isinstance(code, str):
        return _foreign(status, headers, body, url)
    known = _BY_CODE.get(code)
    kind = known or _BY_STATUS.get(status, errors.InvalidRequest if 400 <= status < 500 else errors.HooklineError)
    figures = {name: value for name, value in problem.items() if name not in _PROBLEM_FIELDS}
    if known is None:
        figures |= {"status": status, "answered_code": code}
    where = problem.get("field")
    return kind(
        str(problem.get("detail") or f"The service answered {status}: {kind.title()}"),
        field=where if isinstance(where, str) else None,
        retry_after_s=_retry_after(problem.get("retry_after"), headers.get("retry-after")),
        **{name: value for name, value in figures.items() if name not in ("self", "detail", "retry_after_s")},
    )


def _document(body: bytes) -> dict[str, Any] | None:
    """The JSON object that the body is, as all of Hookline's are."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


# --- what is not Hookline's -------------------------------------------------------------------------------------


def _foreign(status: int, headers: Mapping[str, str], body: bytes, url: str) -> errors.HooklineError:
    kind = _CLEAR_OF_OTHERS.get(status, errors.ForeignAnswer)
    told = f"{without_password(url)} answered {status}, but not as Hookline does ({_marks(headers, body)}). "
    return kind(
        told + _cure(status, headers),
        retry_after_s=_retry_after(None, headers.get("retry-after")),
        status=status,
    )


def _marks(headers: Mapping[str, str], body: bytes) -> str:
    """The marks by which an answer shows who sent it."""
    title = _TITLE.search(body[:_TITLE_WITHIN_BYTES])
    marks = (
        ("server", headers.get("server")),
        ("content type", headers.get("content-type")),
        ("title", title and title[1].decode("utf-8", "replace").strip()),
        ("to", headers.get("location")),
    )
    told = [f"{name} {shortened(visible_line(value))}" for name, value in marks if value]
    return ", ".join(told) or "nothing in it says who did"


def _cure(status: int, headers: Mapping[str, str]) -> str:
    match status:
        case 401 | 403:
            wanted = headers.get("www-authenticate", "").partition(" ")[0]
            how = f" ({visible_line(wanted)[:40]})" if wanted else ""
            return f"What stands in between wants to know who calls{how}: give the client headers={{…}}."
        case 407:
            return "The HTTP proxy in between wants a user and password: proxy='http://user:password@host:port'."
        case 413:
            return "What stands in between takes no body of that size; send less at once, or raise its limit."
        case 414 | 431:
            return "The call is too long for it: give a shorter filter, id or key."
        case 429:
            return "What stands in between asks for fewer calls; nothing was accepted."
        case 502 | 503 | 504:
            return "What stands in between has no answer of Hookline's; the request may or may not have been accepted."
        case _ if 300 <= status < 400:
            return "Redirects are not followed. Is the address right, and is that Hookline?"
        case _:
            return "Is the address right, and is that Hookline?"


def _retry_after(told: object, header: str | None) -> int | None:
    if isinstance(told, int) and told >= 0:
        return told
    if header is not None and header.isascii() and header.isdecimal() and len(header) < 10:
        return int(header)
    return None
