"""Options that name the Hookline a command talks to, the same on every such command."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli.parameters import Flag
from hookline.client.place import DEFAULT_URL

if TYPE_CHECKING:
    from hookline.cli.calls import Calls


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Service:
    """The place of Hookline, and the form of the output.

    Attributes:
        url: A node or a proxy.
        json: Print exactly one JSON document on stdout.
        timeout: Seconds for each try of a call.
    """

    url: Annotated[str, Parameter(env_var="HOOKLINE_URL")] = DEFAULT_URL
    json: Flag = False
    timeout: Annotated[float, Parameter(name="--http-timeout", env_var="HOOKLINE_HTTP_TIMEOUT")] = 10.0

    def calls(self) -> "Calls":
        """Makes the object that sends calls to it; to be used in a ``with``."""
        from hookline.cli.calls import Calls

        return Calls(self.url, self.timeout)


DEFAULT_SERVICE = Service()
