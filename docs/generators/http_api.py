"""The reference of the HTTP API, from the same document that a node serves at /openapi.json."""

from typing import Any

from hookline.http_api.docs_page import curl, type_text
from hookline.http_api.openapi import openapi_document

_INTRODUCTION = """\
# HTTP API

Written by `docs/generate.py` from the document that every node serves at `/openapi.json`; `/docs` shows it as a page.

- JSON in, JSON out, in UTF-8. Unknown fields are refused, and so are fields that are there twice.
- Times are RFC 3339 with a zone; answers are in UTC. Durations are `"1h30m"` (units w d h m s ms) or a number of
  seconds.
- Lists answer `{"data": […], "next_cursor": …}`. Go on with `cursor=` for as long as `next_cursor` is not null; a page
  may be short although there is more. A cursor belongs to its filter.
- Errors are problem documents with a stable code: see [error codes](errors.md).
- Every answer carries `hookline-cluster` and `hookline-node`. `HEAD` works wherever `GET` does.
- Ids have 1 to 128 of the characters `A-Z a-z 0-9 _ : -`. An id that is not like that gets 400 `invalid_id`, also in a
  path; one that is not known gets 404. `batch`, `retry`, `cancel` (jobs) and `preview` (schedules) are reserved.

"""


def render() -> str:
    """The page as Markdown."""
    document = openapi_document()
    parts = [_INTRODUCTION]
    calls = [(path, method, call) for path, methods in document["paths"].items() for method, call in methods.items()]
    for tag in document["tags"]:
        parts.append(f"## {tag['name']}\n\n")
        parts += [_call(path, method.upper(), call) for path, method, call in calls if tag["name"] in call["tags"]]
    parts.append("## Shapes\n\nFields with * are required.\n\n")
    parts += [_shape(name, schema) for name, schema in document["components"]["schemas"].items()]
    return "".join(parts).rstrip() + "\n"


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    parts = [f"### {call['summary']}\n\n`{method} {path}`\n\n"]
    if "description" in call:
        parts.append(f"{call['description']}\n\n")
    parts.append(f"```sh\n{curl(path, method, call)}\n```\n\n")
    if parameters := call.get("parameters"):
        rows = [(f"`{p['name']}`", p["in"], _type(p["schema"]), p["description"]) for p in parameters]
        parts.append(_table(("Parameter", "In", "Type", "Meaning"), rows))
    if body := call.get("requestBody"):
        needed = "" if body["required"] else " (may be left out)"
        parts.append(f"Body: {_type(body['content']['application/json']['schema'])}{needed}\n\n")
    rows = []
    for status, response in call["responses"].items():
        kinds = " or ".join(_type(content["schema"]) for content in response.get("content", {}).values())
        rows.append((status, kinds, response["description"]))
    return "".join(parts) + _table(("Status", "Body", "Meaning"), rows)


def _shape(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{field}`{' *' if field in required else ''}", _type(of), of.get("description", ""))
        for field, of in schema["properties"].items()
    ]
    return f"### {name}\n\n{schema.get('description', '').replace('``', '`')}\n\n" + _table(
        ("Field", "Type", "Meaning"), rows
    )


def _type(schema: dict[str, Any]) -> str:
    text = type_text(schema)
    if "$ref" in schema:
        return f"[{text}](#{text.lower()})"
    return f"one of {text}" if "enum" in schema else text


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"
