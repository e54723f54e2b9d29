"""The receiver of traces, as options and environment variables of nodes, proxies and workers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from hookline.cli.destination_options import setting

if TYPE_CHECKING:
    from hookline.telemetry.tracing.settings import TraceSettings


@Parameter(name="*", group=Group("Settings"))
@dataclass(frozen=True, kw_only=True)
class TraceOptions:
    """OpenTelemetry's own variables hold as well; these go before.

    Attributes:
        traces: Send traces to this OTLP/HTTP receiver, such as http://otel:4318; or have OTEL_EXPORTER_OTLP_ENDPOINT.
        traces_ratio: The share of the traces that begin here which is recorded, such as 0.1; or have
            OTEL_TRACES_SAMPLER. [1]
    """

    traces: Annotated[str | None, setting("TRACES")] = None
    traces_ratio: Annotated[str | None, setting("TRACES_RATIO")] = None

    def trace_settings(self, service: str, **attributes: str) -> "TraceSettings":
        """The settings of a process, checked; ``attributes`` of it, with ``_`` for dots. Raises InvalidConfig."""
        from hookline.telemetry.tracing.settings import trace_settings

        return trace_settings(self.traces, self.traces_ratio, service, **attributes)


DEFAULT_TRACE_OPTIONS = TraceOptions()
