"""Carrying calls over HTTP: what is the same for ordinary code and for asyncio.

``requests`` says what is sent and how the answer is read, ``retrying`` what is sent again, ``connections`` how the
service is reached, and a carrier (``carriers``) through what.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hookline.client.carriers import AsyncCarrier, Carrier, CarrierCall
from hookline.client.connections import Connecting
from hookline.client.place import DEFAULT_URL, Place
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.errors import HooklineError, InvalidConfig
from hookline.protocol.tenants import tenant_of
from hookline.version import __version__
from hookline.visible import without_password

if TYPE_CHECKING:
    import httpx2

API_KEY, TENANT = "HOOKLINE_API_KEY", "HOOKLINE_TENANT"
_TENANT_HEADER = "hookline-tenant"
T = TypeVar("T")
Item_co = TypeVar("Item_co", covariant=True)


class AnyPage(Protocol[Item_co]):
    """One page of a list."""

    @property
    def data(self) -> Sequence[Item_co]:
        """The items of the page, in order."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page; None: this is the last."""


def moved_on(before: AnyPage[T], page: AnyPage[T]) -> AnyPage[T]:
    """The next page, unless the service goes round in a circle: the list would never end."""
    if page.next_cursor is not None and page.next_cursor == before.next_cursor:
        raise HooklineError("The service gives the same page of the list again. Is the address right?")
    return page


def call_of(request: Request[Any], url: str, headers: dict[str, str], retrying: Retrying) -> CarrierCall:
    """One try of a call, whose time begins now."""
    left_s = retrying.deadline()
    return CarrierCall(
        request.method, url, request.path, headers | request.headers, request.body, retrying.timeout_s, left_s
    )


def own_headers(connecting: Connecting[Any]) -> dict[str, str]:
    """The headers of every call; the caller's replace the SDK's."""
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"hookline-python/{__version__}",
    } | {name.lower(): value for name, value in connecting.headers.items()}


def with_key(headers: Mapping[str, str] | None, api_key: str | None, url: str) -> dict[str, str]:
    """The caller's headers and the one that shows its key: ``api_key``, else HOOKLINE_API_KEY.

    The variable is not looked at where the caller shows something else, by a header or by the url.

    Raises:
        InvalidConfig: there is a key, and something else to show in its place.
    """
    own = dict(headers or {})
    has_other = "authorization" in map(str.lower, own) or Place(url).user_and_password is not None
    if api_key is not None and has_other:
        raise InvalidConfig(
            "there is an api_key, and an Authorization header or a user in the url; only one can be sent",
            field="api_key",
        )
    key = api_key if api_key is not None else os.environ.get(API_KEY, "")
    if key.strip() and not has_other:
        own["authorization"] = f"Bearer {key.strip()}"
    return own


def with_tenant(headers: dict[str, str], tenant: str | None) -> dict[str, str]:
    """The headers and the one that names for whom the caller acts: ``tenant``, else HOOKLINE_TENANT.

    Raises InvalidRequest for what cannot be a tenant's name.
    """
    name = tenant if tenant is not None else os.environ.get(TENANT, "")
    if tenant is None and (not name or _TENANT_HEADER in map(str.lower, headers)):
        return headers
    tenant_of(name, field="tenant")
    return {known: value for known, value in headers.items() if known.lower() != _TENANT_HEADER} | {
        _TENANT_HEADER: name
    }


def service_url(given: str | None) -> str:
    """The service's address without a trailing slash: ``given``, else HOOKLINE_URL, else a node on this machine.

    Raises:
        InvalidConfig: it is not an address.
    """
    text, named = given, "base_url"
    if text is None:
        text, named = os.environ.get("HOOKLINE_URL") or DEFAULT_URL, "HOOKLINE_URL"
    if not text.startswith(("http://", "https://")) or "?" in text or "#" in text or not _is_url(text):
        shown = without_password(text)
        raise InvalidConfig(
            f"{named} {shown!r} is not the address of a service; use one like {DEFAULT_URL}", field=named
        )
    return text.rstrip("/")


def _is_url(text: str) -> bool:
    try:
        Place(text)
    except ValueError:
        return False
    return True


def given_carrier(client: "httpx2.Client", is_theirs: bool) -> Carrier:
    """Through a client of the caller's own."""
    from hookline.client.given_client import GivenClient  # noqa: PLC0415  # most callers have none

    return GivenClient(client, is_theirs)


def given_async_carrier(client: "httpx2.AsyncClient", is_theirs: bool) -> AsyncCarrier:
    """The same for asyncio."""
    from hookline.client.given_client import AsyncGivenClient  # noqa: PLC0415

    return AsyncGivenClient(client, is_theirs)
