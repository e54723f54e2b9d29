"""A job or a schedule from the fields of a form: as the SDK takes it, and as curl, CLI and Python say it. Pure."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import Raw

from hookline.client.json_values import check_raw
from hookline.errors import InvalidRequest

METHODS: Final = ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_WHEN: Final = ("delay", "run_at")
_CALENDAR: Final = ("timezone", "overlap", "jitter")


class Recipe(NamedTuple):
    """A job or a schedule that is to be made.

    Attributes:
        url: what each job calls.
        job: the fields of the job beside its url, as the SDK and the API have them; ``payload`` as JSON text.
        cron: of a schedule; empty: it is a job.
        options: of the schedule.
    """

    url: str
    job: dict[str, Any]
    cron: str = ""
    options: Mapping[str, Any] = {}

    @property
    def fields(self) -> dict[str, Any]:
        """The job's fields for the SDK: the payload goes out byte for byte."""
        return {name: Raw(value.encode()) if name == "payload" else value for name, value in self.job.items()}


def job_recipe(form: Mapping[str, str]) -> Recipe:
    """Reads the form of a job. Raises InvalidRequest for what cannot be read."""
    job = _job(form) | {name: form[name].strip() for name in ("id", *_WHEN) if form.get(name, "").strip()}
    return Recipe(form.get("url", "").strip(), job)


def schedule_recipe(form: Mapping[str, str]) -> Recipe:
    """Reads the form of a schedule. Raises InvalidRequest."""
    options: dict[str, Any] = {name: form[name].strip() for name in _CALENDAR if form.get(name, "").strip()}
    if form.get("id", "").strip():
        options["id"] = form["id"].strip()
    if form.get("catch_up"):
        options["catch_up"] = {"policy": form["catch_up"]}
    return Recipe(form.get("url", "").strip(), _job(form), form.get("cron", "").strip(), options)


def _job(form: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if form.get("method", "POST") != "POST":
        found["method"] = form["method"]
    if payload := form.get("payload", "").strip():
        check_raw(Raw(payload.encode()))
        found["payload"] = payload
    if headers := headers_in(form.get("headers", "")):
        found["headers"] = headers
    if labels := labels_in(form.get("labels", "")):
        found["labels"] = labels
    if form.get("timeout", "").strip():
        found["timeout"] = form["timeout"].strip()
    if form.get("max_attempts", "").strip():
        found["retry"] = {"max_attempts": _whole(form, "max_attempts")}
    if form.get("guarantee") == "at_most_once":
        found["guarantee"] = "at_most_once"
    if form.get("priority", "").strip() not in ("", "0"):
        found["priority"] = _whole(form, "priority")
    return found


def _whole(form: Mapping[str, str], name: str) -> int:
    try:
        return int(form[name].strip())
    except ValueError as error:
        raise InvalidRequest(f"{name.replace('_', ' ')} is a whole number", field=name) from error


def headers_in(text: str) -> dict[str, str]:
    """Reads ``Name: value`` lines. Raises InvalidRequest."""
    return _pairs(text, ":", "headers", "write each header on a line of its own, as Name: value")


def labels_in(text: str) -> dict[str, str]:
    """Reads ``name=value`` lines. Raises InvalidRequest."""
    return _pairs(text, "=", "labels", "write each label on a line of its own, as name=value")


def _pairs(text: str, mark: str, field: str, wrong: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in filter(str.strip, text.split("\n")):
        name, found, value = line.partition(mark)
        if not found or not name.strip():
            raise InvalidRequest(wrong, field=field)
        if name.strip() in pairs:
            raise InvalidRequest(f"{name.strip()} is there twice", field=field)
        pairs[name.strip()] = value.strip()
    return pairs


def curl_recipe(origin: str, recipe: Recipe) -> str:
    """A command line with curl."""
    path = "/schedules" if recipe.cron else "/jobs"
    return (
        f"curl -X POST {shlex.quote(origin + path)} \\\n  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(_document(recipe))}"
    )


def _document(recipe: Recipe) -> str:
    job = _json({"url": recipe.url, **recipe.job})
    if not recipe.cron:
        return job
    rest = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in recipe.options.items())
    return f'{{"cron": {json.dumps(recipe.cron)}, "job": {job}{rest}}}'


def _json(job: Mapping[str, Any]) -> str:
    """JSON with the payload as it was typed."""
    parts = [f"{json.dumps(name)}: {value if name == 'payload' else json.dumps(value)}" for name, value in job.items()]
    return f"{{{', '.join(parts)}}}"


def cli_recipe(origin: str, recipe: Recipe) -> str:
    """A command line with hookline."""
    words = ["hookline", "schedules", "create", recipe.cron] if recipe.cron else ["hookline", "jobs", "create"]
    lines = [shlex.join([*words, recipe.url])]
    for name, value in {**recipe.options, **recipe.job}.items():
        lines += [shlex.join(option) for option in _options(name, value)]
    return f"export HOOKLINE_URL={shlex.quote(origin)}\n" + " \\\n  ".join(lines)


def _options(name: str, value: Any) -> list[list[str]]:
    match name:
        case "payload":
            return [["--data", value]]
        case "headers":
            return [["--header", f"{key}: {one}"] for key, one in value.items()]
        case "labels":
            return [["--label", f"{key}={one}"] for key, one in value.items()]
        case "retry":
            return [["--retry-max", str(value["max_attempts"])]]
        case "guarantee":
            return [["--at-most-once"]]
        case "catch_up":
            return [["--catch-up", value["policy"]]]
        case "run_at":
            return [["--at", value]]
        case _:
            return [[f"--{name.replace('_', '-')}", str(value)]]


def python_recipe(origin: str, recipe: Recipe) -> str:
    """A program with the SDK."""
    lines = ["from hookline import Client", "", f"with Client({origin!r}) as hookline:"]
    job = {name: json.loads(value) if name == "payload" else value for name, value in recipe.job.items()}
    if recipe.cron:
        arguments = [repr(recipe.cron), repr({"url": recipe.url, **job})]
        arguments += [f"{name}={value!r}" for name, value in recipe.options.items()]
        return "\n".join([*lines, f"    hookline.create_schedule({', '.join(arguments)})"])
    arguments = [repr(recipe.url), *(f"{name}={value!r}" for name, value in job.items())]
    return "\n".join([*lines, f"    job = hookline.create_job({', '.join(arguments)})", "    print(job.id)"])
