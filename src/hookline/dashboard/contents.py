"""The content of a job as a page shows it: as text, and not more of it than anybody reads."""

from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from hookline.client import requests
from hookline.client.answers import Job
from hookline.dashboard.visits import Visit

_SHOWN_CHARS: Final = 64 * 1024


class JobAsSent(Job, frozen=True):
    """A job with its payload byte for byte."""

    payload: Raw | UnsetType = UNSET


class Content(NamedTuple):
    """The content of a job.

    Attributes:
        text: as it is sent; None: it sends nothing, or bytes that are not text.
        shown: the same, JSON in lines, the rest of a long one left out.
        size: in bytes.
        is_json: it is a payload.
    """

    text: str | None
    shown: str
    size: int
    is_json: bool


async def whole_job(visit: Visit, job_id: str) -> JobAsSent:
    """Ask for it. Raises JobNotFound."""
    return await visit.client.send(requests.get_job(job_id).giving(JobAsSent))


def content_of(job: JobAsSent) -> Content:
    """Reads what the job sends."""
    if job.payload is not UNSET:
        data = bytes(job.payload)
        return Content(data.decode(), _cut(msgspec.json.format(data, indent=2).decode()), len(data), True)
    if job.body is None:
        return Content(None, "", 0, False)
    try:
        text = job.body.decode()
    except UnicodeDecodeError:
        return Content(None, _cut(job.body.hex(" ")), len(job.body), False)
    return Content(text, _cut(text), len(job.body), False)


def _cut(text: str) -> str:
    left_out = len(text) - _SHOWN_CHARS
    return (
        text if left_out <= 0 else f"{text[:_SHOWN_CHARS]}\n… {left_out:,} more characters; GET /jobs/{{id}} has them"
    )
