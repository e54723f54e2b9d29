"""Pages that a process serves beside its API: whoever starts the process hands them in as routes.

So the API knows nothing of them, and they know of it what any client does: they call the application.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from starlette.applications import Starlette

from hookline.clock import Clock
from hookline.http_api.endpoint import AsgiApp, Paths
from hookline.http_api.guard import Guard
from hookline.http_api.messages import HeaderPair
from hookline.protocol.calls import Server


@dataclass(frozen=True, slots=True)
class PageHost:
    """The process that serves the pages.

    Attributes:
        app: its API, to be called in this process.
        server: a node or a proxy.
        guard: says whose a key is, and what it may do; None: nobody is asked for one.
        root_keys: all processes of the service share the first of them, which is in force; the others were before.
        clock: the process's.
        identity: the headers that every answer carries.
        is_secure: it speaks TLS.
        is_stopping: the process was told to end; what is still open is to be closed.
    """

    app: AsgiApp
    server: Server
    guard: Guard | None
    root_keys: Sequence[str]
    clock: Clock
    identity: Sequence[HeaderPair]
    is_secure: bool
    is_stopping: Callable[[], bool]


Routes = Mapping[str, Callable[[PageHost], AsgiApp]]
"""Makes the pages at and below a path, such as ``/dashboard``, for the process that serves them."""

NO_ROUTES: Routes = MappingProxyType({})


def add_pages(app: Starlette, routes: Routes, host: PageHost) -> None:
    """Serve the pages beside the calls of the application, which ``endpoint.application`` has made."""
    paths = app.middleware_stack
    assert isinstance(paths, Paths)
    for prefix, pages_of in routes.items():
        paths.add_pages(prefix, pages_of(host))
