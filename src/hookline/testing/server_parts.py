"""Imported before all else by what runs a node: without the parts of a server, a sentence says what to install."""

from importlib.util import find_spec

_NEEDED = ("apsw", "httptools", "prometheus_client", "starlette", "structlog", "xxhash")

if _missing := [name for name in _NEEDED if find_spec(name) is None]:
    raise ImportError(
        f"a node for tests needs the parts of a server ({', '.join(_missing)} missing): pip install 'hookline[server]'"
    )
