"""Adds to each call on ``/docs`` a command line that makes it and a form to try it."""

import json
from html import escape
from typing import Any

from hookline.protocol.calls import Server

ADDRESSES: dict[Server, str] = {"node": "http://127.0.0.1:7070", "proxy": "http://127.0.0.1:7000"}
"""The address of a server, unless somebody named another one."""
_EXAMPLES = {"id": "order-4711", "host": "shop.example", "name": "c0"}


def curl(path: str, method: str, call: dict[str, Any], server: Server) -> str:
    """A command line that makes the call."""
    for name, value in _EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    parameters = [p for p in call.get("parameters", ()) if p["in"] == "query" and (p["required"] or p["name"] == "id")]
    query = "&".join(f"{p['name']}={_example(p).replace(' ', '+')}" for p in parameters)
    line = "curl" + ("" if method == "GET" else f" -X {method}")
    line += f" '{ADDRESSES[server]}{path}{'?' + query if query else ''}'"
    if (body := _body(call)) is not None:
        line += f" \\\n  -H 'Content-Type: application/json' \\\n  -d '{json.dumps(body)}'"
    return line


def curl_html(path: str, method: str, call: dict[str, Any], server: Server) -> str:
    """The same as HTML; the page's script puts the address in where the reader is."""
    address = escape(ADDRESSES[server])
    text = escape(curl(path, method, call, server))
    shown = text.replace(address, f'<span class="origin">{address}</span>', 1)
    return f"<pre>{shown}</pre>"


def try_form(path: str, method: str, call: dict[str, Any]) -> str:
    """The form, which the page's script makes work; it stays hidden where no script runs."""
    name = call["operationId"]
    fields = [_field(name, parameter) for parameter in call.get("parameters", ())]
    if "requestBody" in call:
        body = _body(call)
        text = "" if body is None else json.dumps(body, indent=2, ensure_ascii=False)
        rows = max(3, text.count("\n") + 1)
        fields.append(
            f'<label for="{name}-body">Body</label><textarea id="{name}-body" data-in="body" rows="{rows}" '
            f'spellcheck="false">{escape(text)}</textarea>'
        )
    return (
        f'<details class="try" hidden><summary>Try it: {escape(call["summary"])}</summary>'
        f'<form data-method="{method}" data-path="{escape(path)}" autocomplete="off">{"".join(fields)}'
        f"<button>Send {method} {escape(path)}</button>"
        '<output hidden><p class="status"></p><pre class="headers"></pre><pre class="body"></pre></output>'
        "</form></details>"
    )


def _field(call: str, parameter: dict[str, Any]) -> str:
    name, where, schema = parameter["name"], parameter["in"], parameter["schema"]
    field = f"{call}-{name}"
    attributes = f'id="{field}" name="{name}" data-in="{where}"' + (" required" if parameter["required"] else "")
    label = f'<label for="{field}"><code>{escape(name)}</code> ({where})</label>'
    if "enum" in schema:
        options = "".join(f"<option>{escape(str(value))}</option>" for value in schema["enum"])
        return f'{label}<select {attributes}><option value=""></option>{options}</select>'
    return f'{label}<input {attributes} placeholder="{escape(_example(parameter))}">'


def _example(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    known = _EXAMPLES.get(parameter["name"]) or next(iter(schema.get("examples", ())), schema.get("default", ""))
    return str(known)


def _body(call: dict[str, Any]) -> Any:
    return call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
