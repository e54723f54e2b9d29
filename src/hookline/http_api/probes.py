"""Answers load balancers and process supervisors: does the process work, and can it take jobs?"""

from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.protocol import http

_OK = http.Probe("ok")


async def get_livez(request: ApiRequest) -> Reply:
    """``GET /livez``: 200 whenever it is answered at all, whatever goes on around this process."""
    request.query()
    return answer(200, _OK)


def readiness(request: ApiRequest, why_not: str | None) -> Reply:
    """The answer to ``GET /readyz``: 200, or 503 with the reason."""
    request.query()
    return answer(200, _OK) if why_not is None else answer(503, http.Probe("unavailable", why_not))
