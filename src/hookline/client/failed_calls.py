"""What a failure of the HTTP library means for the call: surely not sent, or perhaps accepted."""

import ssl

import httpcore2

from hookline.errors import ConnectionFailed, DeadlineExceeded, HooklineError, InvalidRequest
from hookline.visible import visible_line, without_password

LIBRARY_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
)
_NEVER_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout, httpcore2.ProxyError)
_CANNOT_BE_SENT = (httpcore2.LocalProtocolError, httpcore2.UnsupportedProtocol)


def failed_call(error: Exception, url: str) -> HooklineError:
    """``ConnectionFailed`` if nothing was sent, else ``DeadlineExceeded``: it may or may not have arrived."""
    reason, url = visible_line(_reason(error)), without_password(url)
    if isinstance(error, _NEVER_SENT):
        return ConnectionFailed(f"No connection to {url} ({reason}). {_cure(error)}")
    if isinstance(error, _CANNOT_BE_SENT):
        return InvalidRequest(f"This cannot be sent: {reason}")
    return DeadlineExceeded(f"No answer from {url} ({reason}). The request may or may not have been accepted.")


def _cure(error: Exception) -> str:
    cause = _tls_error(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return 'Its certificate is not trusted; name the file of your own authority: verify="ca.pem".'
    if cause is not None:
        return "Does it speak TLS? If not, its address begins with http://."
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
    """What the operating system or the protocol said."""
    return str(error) or {"PoolTimeout": "no connection became free"}.get(type(error).__name__, "it took too long")
