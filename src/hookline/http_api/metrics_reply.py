"""The answer to ``GET /metrics``, of every kind of process."""

from hookline.http_api.messages import ApiRequest, Reply
from hookline.telemetry.process_metrics import ProcessMetrics


def metrics_reply(metrics: ProcessMetrics, request: ApiRequest) -> Reply:
    """In the format that the request asks for."""
    accept = b",".join(value for name, value in request.headers if name == b"accept")
    text, media = metrics.shown(accept.decode("latin-1"))
    return Reply(200, text, media)
