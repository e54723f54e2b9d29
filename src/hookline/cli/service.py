"""Which Hookline a command talks to; the same options on every command that does."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from hookline.cli.parameters import Flag
from hookline.client.blocking import Client
from hookline.client.transport import DEFAULT_URL


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Service:
    """Where Hookline is, and how to answer.

    Attributes:
        url: A node or a proxy.
        json: Print exactly one JSON document on stdout.
        timeout: Seconds for each try of a call.
    """

    url: Annotated[str, Parameter(env_var="HOOKLINE_URL")] = DEFAULT_URL
    json: Flag = False
    timeout: Annotated[float, Parameter(name="--http-timeout", env_var="HOOKLINE_HTTP_TIMEOUT")] = 10.0

    def client(self) -> Client:
        """A client for it; to be used in a ``with``."""
        return Client(self.url, timeout=self.timeout)


DEFAULT_SERVICE = Service()
