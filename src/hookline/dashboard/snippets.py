"""Command lines that do what a page shows, to be copied into a terminal. Pure."""

import shlex
from collections.abc import Mapping


def curl_of(method: str, url: str, headers: Mapping[str, str], body: str | None) -> str:
    """The webhook as curl sends it; without the signature, which only Hookline can make."""
    lines = [f"curl -X {shlex.quote(method)} {shlex.quote(url)}"]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    if body is not None:
        if not any(name.lower() == "content-type" for name in headers):
            lines.append("-H 'Content-Type: application/json'")
        lines.append(f"--data-binary {shlex.quote(body)}")
    return " \\\n  ".join(lines)
