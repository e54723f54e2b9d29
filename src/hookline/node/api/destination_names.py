"""How users name a destination: ``scheme://host:port``, or ``host[:port]`` for short. Pure."""

from hookline.errors import InvalidUrl
from hookline.protocol.urls import parse_url


def destination_name(text: str, *, field: str = "host") -> str:
    """The one form ``scheme://host:port``; without a scheme it is https, or http for port 80. Raises InvalidUrl."""
    if "://" not in text:
        text = ("http://" if text.endswith(":80") else "https://") + text
    try:
        target = parse_url(text)
    except InvalidUrl as error:
        raise InvalidUrl(error.detail, field=field) from None
    if text.partition("://")[2].partition("/")[2] or "?" in text:
        raise InvalidUrl("a destination has no path and no query, only scheme, host and port", field=field)
    return target.destination
