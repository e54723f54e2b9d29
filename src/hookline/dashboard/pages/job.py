"""The page of one job: its story, what it sends, and what can be done with it."""

from typing import Any

from starlette.responses import Response

from hookline.client.requests import FINISHED
from hookline.client.timeline import steps_of
from hookline.dashboard.contents import content_of, whole_job
from hookline.dashboard.live import LivePart, Sight, event_stream, mark_of
from hookline.dashboard.rendering import segment
from hookline.dashboard.snippets import curl_of
from hookline.dashboard.visits import PageRow, Visit


def job_id_of(visit: Visit) -> str:
    """The id in the address."""
    return str(visit.request.path_params["id"])


async def _seen(visit: Visit) -> tuple[str, dict[str, Any]]:
    """The mark and the values of what there is to see."""
    job = await whole_job(visit, job_id_of(visit))
    attempts = await visit.client.attempts(job.id)
    content = content_of(job)
    body = content.text if content.text is not None or job.body is None else f"@{job.id}.bin"
    values = {
        "job": job,
        "steps": steps_of(job, attempts),
        "content": content,
        "curl": curl_of(job.method, job.url, job.headers, body),
        "is_finished": job.state in FINISHED,
    }
    return mark_of(job, attempts), values


async def _show(visit: Visit) -> Response:
    mark, values = await _seen(visit)
    live = f"/dashboard/job/{segment(job_id_of(visit))}/stream?seen={mark}"
    return visit.page("job.html", live=live, **values)


async def _stream(visit: Visit) -> Response:
    async def look() -> Sight:
        mark, values = await _seen(visit)
        return mark, lambda: visit.text("job_now.html", **values)

    return event_stream(visit, LivePart("part", look, visit.asks().get("seen", "")))


async def _cancel(visit: Visit) -> Response:
    await visit.form()
    await visit.client.cancel_job(job_id_of(visit))
    return _back(visit, "cancelled")


async def _run(visit: Visit) -> Response:
    await visit.form()
    await visit.client.run_job(job_id_of(visit))
    return _back(visit, "run")


async def _retry(visit: Visit) -> Response:
    await visit.form()
    await visit.client.retry_job(job_id_of(visit))
    return _back(visit, "retried")


def _back(visit: Visit, done: str) -> Response:
    return visit.look_at(f"/job/{segment(job_id_of(visit))}?done={done}")


PAGES = (
    PageRow("GET", "/job/{id}", "read", _show),
    PageRow("GET", "/job/{id}/stream", "read", _stream),
    PageRow("POST", "/job/{id}/cancel", "cancel", _cancel),
    PageRow("POST", "/job/{id}/run", "write", _run),
    PageRow("POST", "/job/{id}/retry", "write", _retry),
)
