"""The reference of the HTTP API, from the same documents that nodes and proxies serve at /openapi.json."""

from typing import Any

from hookline.http_api.docs_form import curl
from hookline.http_api.docs_page import type_text
from hookline.http_api.openapi import openapi_document
from hookline.http_api.operations import COMMON_REFUSALS
from hookline.protocol.calls import CALLS, Repeatable, Server

_INTRODUCTION = """\
# HTTP API

Written by `docs/generate.py` from the documents that every node and every proxy serves at `/openapi.json`; `/docs`
shows them as a page. Nodes and proxies answer the same calls; what only one of the two has is marked.

- JSON in, JSON out, in UTF-8. Unknown fields are refused, and so are fields that are there twice.
- Times are RFC 3339 with a zone; answers are in UTC. Durations are `"1h30m"` (units w d h m s ms) or a number of
  seconds.
- Lists answer `{"data": […], "next_cursor": …}`. Go on with `cursor=` for as long as `next_cursor` is not null; a page
  may be short although there is more. A cursor belongs to its filter.
- Errors are problem documents with a stable code: see [error codes](errors.md).
- Every answer carries `hookline-cluster` and `hookline-node`, or `hookline-proxy` when a proxy gives it by itself.
- `HEAD` works wherever `GET` does.
- A proxy may answer any call with PROXY_CODES as well. It takes `Hookline-Timeout-Ms` with any call: a number of
  milliseconds, to be answered earlier than after the 10 s it takes by itself.
- A call that got no answer may be sent again: it does no more than once would. A create needs an `id` or key for that,
  DRY_RUN `dry_run`; a 404 to a repeated `DELETE` means that it was done. These would be done once more, or
  undo what others changed in between: ONCE_ONLY.
- Ids have 1 to 128 of the characters `A-Z a-z 0-9 _ : -`. An id that is not like that gets 400 `invalid_id`, also in a
  path; one that is not known gets 404. `batch`, `retry`, `cancel` (jobs) and `preview` (schedules) are reserved.

"""


def render() -> str:
    """The page as Markdown."""
    node, proxy = openapi_document("node"), openapi_document("proxy")
    parts = [_introduction()]
    for tag in proxy["tags"]:
        parts.append(f"## {tag['name']}\n\n")
        for path, methods in proxy["paths"].items():
            for method, call in methods.items():
                if tag["name"] in call["tags"]:
                    parts.append(_call(path, method, node["paths"].get(path, {}).get(method), call))
    parts.append("## Shapes\n\nFields with * are required.\n\n")
    shapes = node["components"]["schemas"], proxy["components"]["schemas"]
    parts += [_shape(name, *(of.get(name) for of in shapes)) for name in sorted(shapes[0] | shapes[1])]
    return "".join(parts).rstrip() + "\n"


def _introduction() -> str:
    text = _INTRODUCTION.replace("PROXY_CODES", _codes_of_proxies())
    return text.replace("DRY_RUN", _repeated("dry_run")).replace("ONCE_ONLY", _repeated("never"))


def _repeated(how: Repeatable) -> str:
    return ", ".join(f"`{call.method} {call.path}`" for call in CALLS.values() if call.repeatable == how)


def _codes_of_proxies() -> str:
    own = [error for error in COMMON_REFUSALS["proxy"] if error not in COMMON_REFUSALS["node"]]
    return " or ".join(f"{error.http_status} `{error.code}`" for error in own)


def _call(path: str, method: str, at_node: dict[str, Any] | None, at_proxy: dict[str, Any]) -> str:
    call = at_node or at_proxy
    server: Server = "node" if at_node else "proxy"
    method = method.upper()
    parts = [f"### {call['summary']}\n\n`{method} {path}`\n\n"]
    if not at_node:
        parts.append("Only at a proxy.\n\n")
    if "description" in call:
        parts.append(f"{call['description']}\n\n")
    parts.append(f"```sh\n{curl(path, method, call, server)}\n```\n\n")
    if parameters := at_proxy.get("parameters"):
        known = [p["name"] for p in call.get("parameters", ())]
        rows = [
            (f"`{p['name']}`", p["in"], _type(p["schema"]), _marked(p["description"], p["name"] in known))
            for p in parameters
        ]
        parts.append(_table(("Parameter", "In", "Type", "Meaning"), rows))
    if body := call.get("requestBody"):
        needed = "" if body["required"] else " (may be left out)"
        parts.append(f"Body: {_type(body['content']['application/json']['schema'])}{needed}\n\n")
    rows = []
    for status, response in call["responses"].items():
        kinds = " or ".join(_type(content["schema"]) for content in response.get("content", {}).values())
        rows.append((status, kinds, response["description"]))
    return "".join(parts) + _table(("Status", "Body", "Meaning"), rows)


def _marked(text: str, is_nodes: bool, is_proxys: bool = True) -> str:
    """The text, with a word about who has it if it is one of the two."""
    if is_nodes and is_proxys:
        return text
    return f"{'Nodes' if is_nodes else 'Proxies'} only. {text}".rstrip()


def _shape(name: str, at_node: dict[str, Any] | None, at_proxy: dict[str, Any] | None) -> str:
    schema = at_node or at_proxy or {}
    required = schema.get("required", ())
    nodes, proxys = ((at or schema)["properties"] for at in (at_node, at_proxy))
    rows = [
        (
            f"`{field}`{' *' if field in required else ''}",
            _type(of),
            _marked(of.get("description", ""), field in nodes, field in proxys),
        )
        for field, of in (nodes | proxys).items()
    ]
    return f"### {name}\n\n{schema.get('description', '').replace('``', '`')}\n\n" + _table(
        ("Field", "Type", "Meaning"), rows
    )


def _type(schema: dict[str, Any]) -> str:
    text = type_text(schema)
    if "$ref" in schema:
        return f"[{text}](#{text.lower()})"
    if "anyOf" in schema and all("$ref" in one for one in schema["anyOf"]):
        return " or ".join(map(_type, schema["anyOf"]))
    return f"one of {text}" if "enum" in schema else text


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"
