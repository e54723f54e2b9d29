"""What an error of the HTTP client shows about the request it was raised for. Source: pyreqwest 0.15, reqwest, hyper.

The classes of its exceptions do not: a connection that is reset under a request is a ``ConnectError`` too, and a
receiver that took the request and is silent a ``ConnectTimeoutError``.
"""

from pyreqwest.exceptions import PyreqwestError

_NOT_CONNECTED = "client error (Connect)"


def causes(error: PyreqwestError) -> list[str]:
    """Outermost first, at least one; the last is what the operating system or the protocol said."""
    details = getattr(error, "details", None)
    found = details.get("causes") if isinstance(details, dict) else None
    return [str(cause["message"]) for cause in found] if found else [error.message]


def never_left(error: PyreqwestError) -> bool:
    """Whether it is certain that no byte of the request was sent: no connection was made."""
    return _NOT_CONNECTED in causes(error)
