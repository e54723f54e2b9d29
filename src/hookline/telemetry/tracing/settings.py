"""Says whether a process sends traces, where to, and which: by options of Hookline and OpenTelemetry's variables. Pure.

Source of the variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from hookline.errors import InvalidConfig
from hookline.telemetry.tracing.sampling import Sampler, check_ratio, sampler_of

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """The settings of one process, and of those it starts.

    Attributes:
        url: where traces go, with its path; None: where the variables say.
        ratio: the share of the traces that begin here which is recorded; None: as the variables say.
        service: the name of the process's kind, unless ``OTEL_SERVICE_NAME`` gives another.
        attributes: of the process, beside those of ``OTEL_RESOURCE_ATTRIBUTES``.
    """

    url: str | None = None
    ratio: float | None = None
    service: str = "hookline"
    attributes: tuple[tuple[str, str], ...] = ()

    def sampler(self, environment: Mapping[str, str]) -> Sampler:
        """Decides for the traces that begin here. Raises InvalidConfig."""
        if self.ratio is not None:
            return Sampler(self.ratio)
        return sampler_of(environment.get("OTEL_TRACES_SAMPLER", ""), environment.get("OTEL_TRACES_SAMPLER_ARG", ""))

    def wish(self, environment: Mapping[str, str]) -> "TraceWish":
        """Are traces to be sent?"""
        if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return TraceWish(False)
        if self.url is not None:
            return TraceWish(True)
        exporters = [name.strip() for name in environment.get("OTEL_TRACES_EXPORTER", "").lower().split(",")]
        if "otlp" not in exporters and any(exporters):
            is_none = exporters == ["none"]
            return TraceWish(False, "" if is_none else "of OTEL_TRACES_EXPORTER only otlp and none are known")
        if "otlp" not in exporters and not any(environment.get(name, "").strip() for name in _ENDPOINTS):
            return TraceWish(False)
        protocol = next((found for name in _PROTOCOLS if (found := environment.get(name, "").strip())), "http/protobuf")
        if protocol != "http/protobuf":
            return TraceWish(False, f"they are sent by http/protobuf, usually to port 4318, and not by {protocol}")
        return TraceWish(True)


NO_TRACES = TraceSettings()


class TraceWish(NamedTuple):
    """Whether traces are to be sent; ``why_not``: something was asked for that cannot be had."""

    is_on: bool
    why_not: str = ""


def trace_settings(url: str | None, ratio: str | None, service: str, **attributes: str) -> TraceSettings:
    """The settings as options give them. Raises InvalidConfig.

    ``attributes``: names with ``_`` in the place of dots.
    """
    return TraceSettings(
        None if url is None else _endpoint(url),
        None if ratio is None else check_ratio(ratio, "traces-ratio"),
        service,
        tuple((name.replace("_", "."), value) for name, value in attributes.items()),
    )


def _endpoint(text: str) -> str:
    """The url with the path that receivers of OTLP have, unless it has another."""
    try:
        url = urlsplit(text)
        is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise InvalidConfig("traces must be the url of an OTLP/HTTP receiver, such as http://otel:4318", field="traces")
    if url.username is not None or url.query or url.fragment:
        raise InvalidConfig(
            "the url of traces has a user, a query or a fragment; credentials go into OTEL_EXPORTER_OTLP_HEADERS, such"
            " as authorization=Bearer%20…",
            field="traces",
        )
    return text if url.path not in ("", "/") else text.rstrip("/") + _PATH
