"""Writes the reference pages that come from code.

Usage: python docs/generate.py            write them
       python docs/generate.py --check    exit 1 and name the pages that are out of date
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # for tools

from generators import cli, configuration, errors, http_api, logs, metrics

REFERENCE = Path(__file__).parent / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli.render,
    "configuration.md": configuration.render,
    "errors.md": errors.render,
    "http-api.md": http_api.render,
    "logs.md": logs.render,
    "metrics.md": metrics.render,
}


def main(arguments: list[str]) -> int:
    """Write or check all pages."""
    stale = []
    for name, render in PAGES.items():
        page, text = REFERENCE / name, render()
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            stale.append(name)
        else:
            page.write_text(text, encoding="utf-8")
            print(f"written: docs/reference/{name}")
    if stale:
        print(f"out of date: {', '.join(stale)}; run: python docs/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
