"""The errors of the HTTP library, httpcore2, as ours."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore2

from hookline.client.failed_calls import not_sent, unclear
from hookline.errors import HooklineError, InvalidRequest
from hookline.tls.explaining import cure, explained, is_not_let_in
from hookline.visible import visible_line

_NEVER_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout, httpcore2.ProxyError)
_CANNOT_BE_SENT = (httpcore2.LocalProtocolError, httpcore2.UnsupportedProtocol)
# What TLS says while the answer is waited for comes as it is from the library's connections of asyncio.
_UNCLEAR = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, TimeoutError, ssl.SSLError)


@contextmanager
def told_as_ours(url: str) -> Iterator[None]:
    """``ConnectionFailed`` if nothing was sent to ``url``, else ``DeadlineExceeded``: it may have arrived or not."""
    try:
        yield
    except (*_NEVER_SENT, *_CANNOT_BE_SENT, *_UNCLEAR) as error:
        raise _ours(error, url) from error


def _ours(error: Exception, url: str) -> HooklineError:
    if isinstance(error, _NEVER_SENT) or is_not_let_in(_tls_error(error)):
        return not_sent(_reason(error), url, _cure(error))
    if isinstance(error, _CANNOT_BE_SENT):
        return InvalidRequest(f"This cannot be sent: {visible_line(_reason(error))}")
    return unclear(_reason(error), url)


def _cure(error: Exception) -> str:
    if (cause := _tls_error(error)) is not None:
        return cure(cause)
    if isinstance(error, httpcore2.PoolTimeout):
        return "All connections of this client are busy with other calls."
    if isinstance(error, httpcore2.ProxyError):
        return "The HTTP proxy in between did not let it through."
    return "Is Hookline running there?"


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _reason(error: Exception) -> str:
    """The words of the operating system or the protocol."""
    if (cause := _tls_error(error)) is not None:
        return explained(cause)
    return str(error) or {"PoolTimeout": "no connection became free"}.get(type(error).__name__, "it took too long")
