"""Connection settings of the SDK, checked once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from hookline.client.headers import check_headers
from hookline.client.place import Place
from hookline.client.trust import SYSTEM, Trust
from hookline.errors import InvalidConfig
from hookline.visible import without_password

if TYPE_CHECKING:
    import httpx2

H = TypeVar("H", bound="httpx2.Client | httpx2.AsyncClient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting(Generic[H]):
    """How to reach the service.

    Attributes:
        url: its address, without a slash at the end.
        headers: sent with every call.
        trust: whose certificates it trusts, and which it shows.
        proxy: the url of an HTTP proxy to go through.
        http_client: the caller's own client, or what makes one in each process.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    trust: Trust = SYSTEM
    proxy: str | None = None
    http_client: H | Callable[[], H] | None = None

    def __post_init__(self) -> None:
        check_headers(self.headers, "headers")
        if self.http_client is not None and (self.trust != SYSTEM or self.proxy is not None):
            raise InvalidConfig(
                "verify, ca_file, cert and proxy are settings of your http_client; give them to it",
                field="http_client",
            )
        if self.proxy is not None:
            proxy_place(self.proxy)
        self.trust.context()


def proxy_place(text: str) -> Place:
    """The place of the HTTP proxy with that url. Raises InvalidConfig."""
    try:
        return Place(str(text))
    except ValueError as error:
        shown = without_password(str(text))
        raise InvalidConfig(f"proxy is {shown!r}; use one like http://proxy.example:3128", field="proxy") from error
