"""The form that changes a pending job, or tries a finished one again with changes."""

from typing import Any, cast

from msgspec import Raw
from starlette.responses import Response

from hookline.client.fields import JobUpdateFields
from hookline.client.requests import FINISHED
from hookline.dashboard.contents import JobAsSent, content_of, whole_job
from hookline.dashboard.pages.job import job_id_of
from hookline.dashboard.recipes import METHODS, headers_in
from hookline.dashboard.rendering import segment
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import HooklineError


async def _show(visit: Visit) -> Response:
    job = await whole_job(visit, job_id_of(visit))
    return _form(visit, job, form_of(job), "")


def _form(visit: Visit, job: JobAsSent, fields: dict[str, str], wrong: str, status: int = 200) -> Response:
    values = {"job": job, "fields": fields, "wrong": wrong, "methods": METHODS, "is_finished": job.state in FINISHED}
    return visit.page("edit.html", status, **values)


def form_of(job: JobAsSent) -> dict[str, str]:
    """The job as the form has it. Content that is not text cannot be changed here."""
    content = content_of(job)
    headers = "\n".join(f"{name}: {value}" for name, value in job.headers.items())
    found = {"url": job.url, "method": job.method, "headers": headers, "delay": "", "timeout": job.timeout}
    if content.text is not None or not content.size:
        found["payload"] = content.text or ""
    return found


def changes_in(before: dict[str, str], sent: dict[str, str], *, is_json: bool) -> JobUpdateFields:
    """The fields that somebody changed. Raises InvalidRequest for headers that are none.

    Only they are sent: what is hidden or cut in the form stays as it is.
    """
    found: dict[str, Any] = {}
    for name, was in before.items():
        text = sent.get(name, was).replace("\r\n", "\n")
        if text == was.replace("\r\n", "\n") or (name == "payload" and not text and not was):
            continue
        if name == "headers":
            found["headers"] = headers_in(text)
        elif name != "payload":
            found[name] = text.strip()
        elif is_json:
            found["payload"] = Raw(text.encode())
        else:
            found["body"] = text.encode()
    return cast("JobUpdateFields", found)


async def _save(visit: Visit) -> Response:
    sent = await visit.form()
    job = await whole_job(visit, job_id_of(visit))
    before, content = form_of(job), content_of(job)
    try:
        changes = changes_in(before, sent, is_json=content.is_json or not content.size)
        if job.state in FINISHED:
            await visit.client.retry_job(job.id, **changes)
        elif changes:
            await visit.client.update_job(job.id, **changes)
    except HooklineError as error:
        where = f"{error.field}: " if error.field else ""
        return _form(visit, job, before | sent, f"{where}{error.detail}", error.http_status)
    return visit.look_at(f"/job/{segment(job.id)}?done={'retried' if job.state in FINISHED else 'changed'}")


PAGES = (
    PageRow("GET", "/job/{id}/edit", "write", _show),
    PageRow("POST", "/job/{id}/edit", "write", _save),
)
