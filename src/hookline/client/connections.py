"""Connection settings of the SDK, checked once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from hookline.client.headers import check_headers
from hookline.client.place import Place
from hookline.errors import InvalidConfig
from hookline.visible import without_password

if TYPE_CHECKING:
    import os
    import ssl

    import httpx2

Verify: TypeAlias = "ssl.SSLContext | str | os.PathLike[str] | bool"
H = TypeVar("H", bound="httpx2.Client | httpx2.AsyncClient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting(Generic[H]):
    """How to reach the service.

    Attributes:
        url: its address, without a slash at the end.
        headers: sent with every call.
        verify: a file of certificates to trust, or a context; True: those that the system trusts; False: any.
        proxy: the url of an HTTP proxy to go through.
        http_client: the caller's own client, or what makes one in each process.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: Verify = True
    proxy: str | None = None
    http_client: H | Callable[[], H] | None = None

    def __post_init__(self) -> None:
        check_headers(self.headers, "headers")
        if self.http_client is not None and (self.verify is not True or self.proxy is not None):
            raise InvalidConfig(
                "verify and proxy are settings of your http_client; give them to it", field="http_client"
            )
        if self.proxy is not None:
            proxy_place(self.proxy)
        if self.verify is not True:
            tls_context(self.verify)


def tls_context(verify: Verify) -> "ssl.SSLContext | None":
    """The TLS context that checks certificates; None: the system's authorities do. Raises InvalidConfig."""
    if verify is True:
        return None
    import ssl  # noqa: PLC0415  # takes long, and http:// has no use for it

    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    try:
        path = Path(verify)
        return ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        said = f"verify is {str(verify)!r}, which is not a file of certificates: {reason}"
        raise InvalidConfig(said, field="verify") from error


def proxy_place(text: str) -> Place:
    """The place of the HTTP proxy with that url. Raises InvalidConfig."""
    try:
        return Place(str(text))
    except ValueError as error:
        shown = without_password(str(text))
        raise InvalidConfig(f"proxy is {shown!r}; use one like http://proxy.example:3128", field="proxy") from error
