"""A receiver of OTLP over HTTP, as a collector is: it decodes what comes, and keeps the spans."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

KINDS = {
    SpanMessage.SPAN_KIND_SERVER: "server",
    SpanMessage.SPAN_KIND_CLIENT: "client",
    SpanMessage.SPAN_KIND_INTERNAL: "internal",
}


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, ids in hex; ``resource``: attributes of the process that made it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    resource: dict[str, Any]
    is_error: bool
    took_ns: int

    @property
    def service(self) -> str:
        """The kind of process that made it."""
        return str(self.resource["service.name"])


@dataclass
class OtlpReceiver:
    """Keeps what came. ``status``, ``retry_after``: its answer, which may be that it takes nothing."""

    url: str
    spans: list[ReceivedSpan] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    status: int = 200
    retry_after: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, condition: Callable[[list[ReceivedSpan]], bool], what: str) -> list[ReceivedSpan]:
        """The spans so far, as soon as they are as the condition says."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.spans), 60), f"{what}: {self.names()}"
            return list(self.spans)

    def wait_for(self, *names: str) -> list[ReceivedSpan]:
        """The same, when there are spans of these names, as often as they are named."""
        return self.wait(lambda _: all(self.names().count(name) >= names.count(name) for name in names), str(names))

    def names(self) -> list[str]:
        return [span.name for span in self.spans]


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def decoded(body: bytes) -> Iterator[ReceivedSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        process = {one.key: _value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    span.name,
                    KINDS[span.kind],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.trace_state,
                    [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    {one.key: _value(one.value) for one in span.attributes},
                    process,
                    span.status.code == Status.STATUS_CODE_ERROR,
                    span.end_time_unix_nano - span.start_time_unix_nano,
                )


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """One that listens at 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            with receiver.changed:
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                if receiver.status == 200:
                    receiver.raw.append(body)
                    receiver.spans += decoded(body)
                status, retry_after = receiver.status, receiver.retry_after
                receiver.changed.notify_all()
            self.send_response(status)
            if retry_after is not None:
                self.send_header("retry-after", retry_after)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = OtlpReceiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
