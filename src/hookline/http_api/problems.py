"""Errors as answers: ``application/problem+json`` (RFC 9457) with the stable code of ``errors.py``."""

import msgspec

from hookline.errors import HooklineError
from hookline.http_api.messages import PROBLEM_JSON, HeaderPair, Reply

_encode = msgspec.json.Encoder(enc_hook=str).encode


def problem_reply(error: HooklineError, headers: list[HeaderPair] | None = None) -> Reply:
    """The answer that says what went wrong, with ``Retry-After`` when it says when to come back."""
    extra = list(headers or ())
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.http_status == 503:
        retry_after_s = 1
    if error.http_status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    problem = error.to_problem()
    if retry_after_s is not None:
        problem["retry_after"] = retry_after_s
        extra.append((b"retry-after", b"%d" % retry_after_s))
    return Reply(error.http_status, _encode(problem), PROBLEM_JSON, extra)
