"""The files that pages load: style, scripts, and the libraries as their packages have them. All are in the wheel."""

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_NAMES: Final = {
    "dashboard.css": "dashboard.css",
    "dashboard.js": "dashboard.js",
    "charts.js": "charts.js",
    "icon.svg": "icon.svg",
    "htmx.js": "vendor/htmx-2.0.11.min.js",
    "uplot.js": "vendor/uplot-1.6.32.min.js",
    "uplot.css": "vendor/uplot-1.6.32.min.css",
}


class Asset(NamedTuple):
    """One file."""

    body: bytes
    media_type: str
    version: str


def _read(name: str) -> Asset:
    body = files(__package__).joinpath("assets", *name.split("/")).read_bytes()
    return Asset(body, _TYPES[name.rpartition(".")[2]], hashlib.sha256(body).hexdigest()[:16])


ASSETS: Final = {name: _read(file) for name, file in _NAMES.items()}


def asset_path(name: str) -> str:
    """The path at which a page finds it. It changes with the content, so that browsers may keep it for good."""
    return f"/dashboard/assets/{ASSETS[name].version}/{name}"
