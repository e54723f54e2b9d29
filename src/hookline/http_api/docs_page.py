"""``/openapi.json``, and ``/docs``: the same document as a page, rendered here. It loads nothing from anywhere.

Its one script and its style are in the page and named in the Content-Security-Policy by their sums, so that nothing
else runs, and the script reaches this server only.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from hookline.http_api.docs_form import curl_html, try_form
from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.openapi import openapi_document
from hookline.protocol.calls import Server

_HTML = b"text/html; charset=utf-8"
_STYLE = files(__package__).joinpath("docs_page.css").read_text(encoding="utf-8")
_SCRIPT = files(__package__).joinpath("docs_page.js").read_text(encoding="utf-8")


def _sum(text: str) -> str:
    """As the W3C's Content Security Policy Level 3 names a script or a style that is in the page."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; script-src {_sum(_SCRIPT)}; style-src {_sum(_STYLE)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [(b"content-security-policy", _POLICY.encode())]


async def get_openapi(request: ApiRequest, server: Server) -> Reply:
    """``GET /openapi.json`` of a node or a proxy."""
    request.query()
    return Reply(200, openapi_bytes(server))


async def get_docs(request: ApiRequest, server: Server) -> Reply:
    """``GET /docs``."""
    request.query()
    return Reply(200, docs_html(server), _HTML, _HEADERS)


@cache
def openapi_bytes(server: Server) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(openapi_document(server))


@cache
def docs_html(server: Server) -> bytes:
    """The page."""
    document = openapi_document(server)
    calls = [
        (path, method.upper(), call) for path, methods in document["paths"].items() for method, call in methods.items()
    ]
    parts = [f"<h1>Hookline</h1><p>{escape(document['info']['description'])}</p>", _how_to_read()]
    for tag in (tag["name"] for tag in document["tags"]):
        mine = [call for call in calls if tag in call[2]["tags"]]
        links = "".join(f'<a href="#{call["operationId"]}">{escape(call["summary"])}</a>' for _, _, call in mine)
        parts.append(f'<h2>{escape(tag)}</h2><nav aria-label="{escape(tag)}">{links}</nav>')
        parts += [_call(*call, server) for call in mine]
    parts.append("<h2>Shapes</h2>")
    parts += [_shape(name, schema) for name, schema in document["components"]["schemas"].items()]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Hookline API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main><script>{_SCRIPT}</script></body></html>"
    )
    return page.encode()


def _how_to_read() -> str:
    return (
        "<p>JSON in, JSON out. Errors are <code>application/problem+json</code> with a stable <code>code</code>; times "
        'are RFC 3339 with a zone; durations are <code>"1h30m"</code> or seconds; lists go on at '
        "<code>next_cursor</code>. Unknown fields are refused. The machine-readable form is "
        '<a href="/openapi.json">/openapi.json</a>.</p>'
        '<p hidden><label for="api-key">API key, to try calls where one is needed</label> '
        '<input id="api-key" type="password" autocomplete="off" spellcheck="false"></p>'
    )


def _call(path: str, method: str, call: dict[str, Any], server: Server) -> str:
    parts = [
        f'<section id="{call["operationId"]}"><h3>{escape(call["summary"])}</h3>',
        f'<p><span class="method">{method}</span> <code>{escape(path)}</code></p>',
        f"<p>{_inline(call.get('description', ''))}</p>",
        curl_html(path, method, call, server),
        try_form(path, method, call),
    ]
    if parameters := call.get("parameters"):
        rows = [
            (f"<code>{escape(p['name'])}</code>", escape(p["in"]), _type(p["schema"]), _inline(p["description"]))
            for p in parameters
        ]
        parts.append(_table(("parameter", "in", "type", ""), rows))
    if body := call.get("requestBody"):
        parts.append(f"<p>Body: {_type(body['content']['application/json']['schema'])}</p>")
    replies = []
    for status, response in call["responses"].items():
        kinds = " or ".join(_type(content["schema"]) for content in response.get("content", {}).values())
        replies.append((escape(status), kinds, _inline(response["description"])))
    parts.append(_table(("status", "body", ""), replies))
    return "".join(parts) + "</section>"


def _shape(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{escape(field)}</code>" + (" *" if field in required else ""),
            _type(of),
            _inline(of.get("description", "")),
        )
        for field, of in schema["properties"].items()
    ]
    text = _inline(schema.get("description", "").replace("``", "`"))
    return f'<section id="{name}"><h3>{name}</h3><p>{text}</p>{_table(("field", "type", ""), rows)}</section>'


def _type(schema: dict[str, Any]) -> str:
    text = type_text(schema)
    if "$ref" in schema:
        return f'<a href="#{text}">{text}</a>'
    if "anyOf" in schema and all("$ref" in one for one in schema["anyOf"]):
        return " or ".join(map(_type, schema["anyOf"]))
    return escape(text)


def type_text(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_text(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {type_text(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_text(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _inline(text: str) -> str:
    """Escaped, with `code` in backticks."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if odd % 2 else piece for odd, piece in enumerate(pieces))
