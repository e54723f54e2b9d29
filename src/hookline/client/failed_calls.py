"""Tells from a failure whether the call was surely not sent or perhaps accepted. Pure."""

from hookline.errors import ConnectionFailed, DeadlineExceeded
from hookline.visible import visible_line, without_password


def not_sent(reason: object, url: str, cure: str = "Is Hookline running there?") -> ConnectionFailed:
    """Nothing reached the service."""
    return ConnectionFailed(f"No connection to {without_password(url)} ({visible_line(str(reason))}). {cure}")


def unclear(reason: object, url: str) -> DeadlineExceeded:
    """The call may or may not have arrived."""
    said = visible_line(str(reason) or "it took too long")
    return DeadlineExceeded(
        f"No answer from {without_password(url)} ({said}). The request may or may not have been accepted."
    )
