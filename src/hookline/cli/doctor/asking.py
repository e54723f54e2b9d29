"""Asks nodes, proxies and members of etcd by plain HTTP: once, without repeats, so that a fault shows."""

import http.client
import ssl
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from hookline.client.trust import Trust
from hookline.clock import Clock
from hookline.errors import InvalidConfig
from hookline.tls.explaining import explained
from hookline.visible import without_password

T = TypeVar("T")
BODY_BYTES_MAX: Final = 16 * 2**20
DATE_SLACK_MS: Final = 500  # a Date header has whole seconds


class NotHeard(Exception):
    """There is no answer that can be read; the text says why."""


class HeardAnswer(NamedTuple):
    """An answer.

    Attributes:
        ahead_ms: how far the clock there is ahead of this machine's; None: it did not say.
        slack_ms: how wrong that may be.
    """

    status: int
    body: bytes
    ahead_ms: float | None
    slack_ms: float

    def read(self, kind: type[T]) -> T:
        """The answer's JSON. Raises NotHeard."""
        if self.status >= 400 and self.status != 503:
            raise NotHeard(f"it answers {self.status}")
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise NotHeard("what answers there is not Hookline") from error


def context_by(trust: Trust) -> Callable[[], ssl.SSLContext]:
    """Makes the context when it is needed. It raises InvalidConfig for files that cannot be read."""
    return lambda: trust.context() or ssl.create_default_context()


class Asker:
    """Asks with a key, if there is one, and over TLS where a url says so.

    Args:
        key: of the API; shown only where the caller says so.
        context: for https.
        timeout_s: of one question.
        clock: this machine's.
    """

    def __init__(self, key: str | None, context: Callable[[], ssl.SSLContext], timeout_s: float, clock: Clock) -> None:
        self._key = key
        self._context = context
        self._timeout_s = timeout_s
        self.clock = clock

    @property
    def has_key(self) -> bool:
        """A key was given."""
        return bool(self._key)

    def ask(self, url: str, path: str, *, with_key: bool = False) -> HeardAnswer:
        """GET it. Raises NotHeard."""
        parts = urlsplit(url)
        headers = {"accept": "application/json"}
        if with_key and self._key:
            headers["authorization"] = f"Bearer {self._key}"
        before_ms, asked_ms = self.clock.boot_ms(), self.clock.wall_ms()
        try:
            connection = self._connection(url)
            try:
                connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
                answer = connection.getresponse()
                body = answer.read(BODY_BYTES_MAX)
            finally:
                connection.close()
        except InvalidConfig as error:
            raise NotHeard(error.detail) from error
        except ssl.SSLError as error:
            raise NotHeard(f"{without_password(url)}: {explained(error)}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotHeard(f"{without_password(url)}: {_reason(error)}") from error
        took_ms = self.clock.boot_ms() - before_ms
        there_ms = _date_ms(answer.headers.get("date"))
        ahead_ms = None if there_ms is None else there_ms + DATE_SLACK_MS - (asked_ms + took_ms / 2)
        return HeardAnswer(answer.status, body, ahead_ms, took_ms / 2 + DATE_SLACK_MS)

    def certificate_of(self, url: str) -> bytes:
        """The certificate that is shown at an https url, trusted or not, in DER. Raises NotHeard."""
        parts = urlsplit(url)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, and nothing is sent
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=self._timeout_s, context=context
        )
        try:
            connection.connect()
            shown: bytes | None = connection.sock.getpeercert(binary_form=True)
        except OSError as error:
            raise NotHeard(f"{without_password(url)}: {_reason(error)}") from error
        finally:
            connection.close()
        return shown or b""

    def _connection(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _date_ms(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp() * 1_000
    except ValueError:
        return None
