"""Shows some headers of a job as a mask: those whose names say credentials, and those that the job lists. Pure.

A job's list can name its payload and the bodies of responses, too. The mask keeps all this out of screens, logs and
tickets; the receiver still gets the request as it was given. It is not a guard against those who may change jobs, since
they can have it sent to themselves.
"""

from collections.abc import Iterable
from functools import lru_cache

MASK = "***"
PAYLOAD, RESPONSE_BODY = "payload", "response_body"  # beside names of headers, in a job's list
_MARKS = (
    *("authorization", "cookie", "token", "secret", "password", "passwd", "credential", "signature", "session"),
    *("apikey", "accesskey", "authkey", "privatekey", "secretkey", "subscriptionkey", "functionskey"),
)
_ECHO_CHARS_MIN = 6  # a shorter value is found in any text

Pairs = tuple[tuple[str, str], ...]


@lru_cache(maxsize=4096)
def carries_credentials(name: str) -> bool:
    """By its name: Authorization, Cookie, X-Api-Key and their like; case, ``-`` and ``_`` do not matter."""
    plain = name.lower().replace("-", "").replace("_", "")
    return plain == "xauth" or any(mark in plain for mark in _MARKS)


def is_hidden(name: str, redact: Iterable[str]) -> bool:
    """Is this header shown as a mask? ``redact``: names in lower case that the job lists."""
    return carries_credentials(name) or name.lower() in redact


def masked(headers: Pairs, redact: Iterable[str]) -> dict[str, str]:
    """The headers as they are shown."""
    return {name: MASK if is_hidden(name, redact) else value for name, value in headers}


def hidden_values(headers: Pairs, redact: Iterable[str]) -> dict[str, str]:
    """The headers that the mask hides, by name in lower case."""
    return {name.lower(): value for name, value in headers if is_hidden(name, redact)}


def without_echoes(text: str, hidden: Iterable[str]) -> str:
    """A receiver's text with the hidden values of the request masked, whole or without their scheme (``Bearer``)."""
    for value in hidden:
        for part in (value, value.partition(" ")[2]):
            if len(part) >= _ECHO_CHARS_MIN:
                text = text.replace(part, MASK)
    return text
