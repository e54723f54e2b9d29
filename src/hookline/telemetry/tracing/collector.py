"""The way to a receiver of OTLP over HTTP, as OpenTelemetry's variables describe it. It blocks: a thread calls it.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
import ssl
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from threading import Event
from typing import Final
from urllib.error import HTTPError
from urllib.parse import unquote

from hookline.errors import InvalidConfig
from hookline.version import __version__

_PREFIXES: Final = ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_")
_DEFAULT: Final = "http://localhost:4318"
_PATH: Final = "/v1/traces"
_LATER: Final = frozenset({429, 502, 503, 504})  # worth another try
_TRIES, _PAUSE_S, _PAUSE_S_MAX = 4, 1.0, 30.0
_TIMEOUT_MS: Final = 10_000


def pairs_in(text: str) -> dict[str, str]:
    """The pairs of ``name=value,name=value``, percent-decoded. What is no pair is left out."""
    found = (part.partition("=") for part in text.split(","))
    return {unquote(name.strip()): unquote(value.strip()) for name, is_pair, value in found if is_pair and name.strip()}


def variable(environment: Mapping[str, str], name: str) -> str:
    """The variable's value for traces, else for all that is sent; empty: there is none."""
    return next((found for prefix in _PREFIXES if (found := environment.get(prefix + name, "").strip())), "")


def url_of(given: str | None, environment: Mapping[str, str]) -> str:
    """The url to send traces to: as given, else as the variables say. Raises InvalidConfig."""
    own = environment.get(_PREFIXES[0] + "ENDPOINT", "").strip()
    url = given or own or (environment.get(_PREFIXES[1] + "ENDPOINT", "").strip() or _DEFAULT).rstrip("/") + _PATH
    if not url.startswith(("http://", "https://")):
        raise InvalidConfig("OTEL_EXPORTER_OTLP_ENDPOINT is not a url that begins with http:// or https://")
    return url


class Collector:
    """A receiver of OTLP.

    Args:
        url: of it, with its path.
        environment: the variables that say how it is reached.

    Raises:
        InvalidConfig: a file of certificates cannot be read.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self._url = url
        self._is_zipped = variable(environment, "COMPRESSION").lower() == "gzip"
        self._headers = {
            "user-agent": f"hookline/{__version__}",
            **pairs_in(variable(environment, "HEADERS")),
            "content-type": "application/x-protobuf",
            **({"content-encoding": "gzip"} if self._is_zipped else {}),
        }
        self._timeout_s = _TIMEOUT_MS / 1_000
        with suppress(ValueError):
            self._timeout_s = max(1, int(variable(environment, "TIMEOUT"))) / 1_000
        self._tls = _tls(environment) if url.startswith("https://") else None
        self._is_over = Event()

    def send(self, body: bytes) -> bool:
        """Was it taken? Tries again for a while where that may help."""
        data = gzip.compress(body, 1) if self._is_zipped else body
        pause_s = _PAUSE_S
        for tries in range(1, _TRIES + 1):
            told_s = self._try(data)
            if told_s is None:
                return True
            if told_s < 0 or tries == _TRIES or self._is_over.wait(min(_PAUSE_S_MAX, told_s or pause_s)):
                return False
            pause_s *= 2
        return False

    def hurry(self) -> None:
        """Wait no more between tries."""
        self._is_over.set()

    def _try(self, data: bytes) -> float | None:
        """None: it was taken. Else in how many seconds it may be tried again; 0: as we like, negative: never."""
        request = urllib.request.Request(self._url, data, self._headers, method="POST")  # noqa: S310 - http or https
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s, context=self._tls) as answer:  # noqa: S310
                answer.read()
        except HTTPError as error:
            with error:
                return _retry_after_s(error.headers.get("retry-after", "")) if error.code in _LATER else -1.0
        except OSError:
            return 0.0
        return None


def _retry_after_s(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() else 0.0


def _tls(environment: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=variable(environment, "CERTIFICATE") or None)
        if certificate := variable(environment, "CLIENT_CERTIFICATE"):
            context.load_cert_chain(certificate, variable(environment, "CLIENT_KEY") or None)
    except OSError as error:
        why = error.strerror or error
        raise InvalidConfig(f"a file that OTEL_EXPORTER_OTLP_… names cannot be used: {why}") from error
    return context
