"""The metrics that each of our processes has, and how they are shown. Names and meanings: docs/reference/metrics.md."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector

from hookline.telemetry.tallies import MetricRow, Registry
from hookline.telemetry.tracing.export import dropped_spans
from hookline.version import __version__

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

_openmetrics: Callable[[Registry], bytes] = exposition.generate_latest
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
_ENDS = MetricRow(
    "hookline_tls_certificate_expires_timestamp_seconds",
    "gauge",
    ("certificate",),
    "When a certificate ends: `server` and `client`, which the process shows; `ca` and `client_ca`, the last of those "
    "that it trusts; `etcd_client` and `etcd_ca`, for etcd.",
)
_DROPPED = MetricRow(
    "hookline_traces_dropped_spans_total",
    "counter",
    (),
    "Spans of this process, without its children, that no receiver of traces took, or that waited when too many did.",
)
_OF_PROCESS = (
    MetricRow(
        "process_cpu_seconds_total", "counter", (), "User and system CPU time of this process, without children."
    ),
    MetricRow("process_resident_memory_bytes", "gauge", (), "Resident memory."),
    MetricRow("process_virtual_memory_bytes", "gauge", (), "Virtual memory."),
    MetricRow("process_start_time_seconds", "gauge", (), "When the process started, in seconds since 1970."),
    MetricRow("process_open_fds", "gauge", (), "Open file descriptors."),
    MetricRow("process_max_fds", "gauge", (), "How many may be open."),
)


class ProcessMetrics:
    """The metrics of one process, in a registry of their own.

    Attributes:
        certificate_ends: asked when somebody looks: when certificates end, in seconds since 1970, by what they are for.
    """

    def __init__(self) -> None:
        self.registry = registry = Registry()
        self.certificate_ends: Callable[[], Mapping[str, float]] = dict
        registry.describe(*_OF_PROCESS)
        ProcessCollector(registry=registry)
        registry.gauge("hookline_build_info", "1, with the version of Hookline.", "version").labels(__version__).set(1)
        self.loop_lag = registry.spread(
            "hookline_loop_lag_seconds", "How late the event loop was, looked at ten times a second.", _LAG_BUCKETS
        )
        registry.describe(_ENDS, _DROPPED)
        registry.register(_Ends(self))
        registry.register(_DroppedSpans())

    def shown(self, accept: str) -> tuple[bytes, bytes]:
        """All of them, and the media type: OpenMetrics if the ``Accept`` header asks for that, else plain text."""
        if wants_openmetrics(accept):
            return _openmetrics(self.registry), OPENMETRICS
        return generate_latest(self.registry), TEXT


class _Ends(Collector):
    def __init__(self, metrics: ProcessMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Of prometheus_client."""
        family = GaugeMetricFamily(_ENDS.name, _ENDS.meaning, labels=_ENDS.labels)
        for name, end_s in self._metrics.certificate_ends().items():
            family.add_metric([name], end_s)
        return [family]


class _DroppedSpans(Collector):
    def collect(self) -> Iterable[CounterMetricFamily]:
        """Of prometheus_client."""
        return [CounterMetricFamily(_DROPPED.name, _DROPPED.meaning, value=dropped_spans())]


def wants_openmetrics(accept: str) -> bool:
    """Does the ``Accept`` header name OpenMetrics, and no plain text that it likes better?"""
    open_q = text_q = 0.0
    for item in accept.lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        if media == "application/openmetrics-text":
            open_q = max(open_q, _quality(parameters))
        elif media == "text/plain":
            text_q = max(text_q, _quality(parameters))
    return open_q > 0 and open_q >= text_q


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
