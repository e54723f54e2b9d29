"""``/internal/destinations``: settings of destinations and tenants, on their way to a cluster new in the topology.

The decision page docs/decisions/0012-one-document-per-epoch.md says why none that was acknowledged is missed. Not part
of the public API; described in docs/reference/internal-http.md.
"""

import msgspec

from hookline.errors import EpochUnknown, InvalidRequest, SecretKeyDiffers, SecretKeyMissing
from hookline.http_api import strict_json
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api.context import Api
from hookline.node.api.topology import barrier
from hookline.node.vault import ENV_NAME, FILE_OPTION
from hookline.protocol.commands import ImportDestinations, Refused
from hookline.protocol.internal_http import DestinationsPage
from hookline.protocol.limits import KIB
from hookline.protocol.settings import DELETED, decode_destination
from hookline.protocol.tenants import decode_tenant
from hookline.protocol.urls import destination_name

PAGE_ROWS = 200
PAGE_BYTES = 64 * KIB  # an entry of the log takes a page, and other commands with it
_DIGITS_MAX = 18  # of the number of a destination
_pages = msgspec.json.Decoder(DestinationsPage)


async def get_settings(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/destinations?after=``: a page of them, of all tenants; under the epoch of the call."""
    after = request.query("after").get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) <= _DIGITS_MAX):
        raise InvalidRequest("after must be the next of an earlier page", field="after")
    kept = api.services.replica.topology
    if kept is None:
        raise EpochUnknown("this cluster has no topology yet", epoch=0)
    await barrier(api, kept)  # settings that were let pass under an older topology are in the state then
    api.ownership.check_epoch(request)
    rows = api.reads.destinations_set(int(after), PAGE_ROWS)
    data: list[tuple[str, str, bytes]] = []
    size = 0
    for row in rows:
        settings = row.settings or DELETED
        size += len(row.tenant) + len(row.name) + len(settings)
        if data and size > PAGE_BYTES:
            break
        data.append((row.tenant, row.name, settings))
    tenants = api.services.replica.tenants.rows() if after == "0" else []
    has_more = len(data) < len(rows) or len(rows) == PAGE_ROWS
    next_after = str(rows[len(data) - 1].id) if has_more else None
    return answer(200, DestinationsPage(kept.epoch, data, next_after, tenants))


async def put_settings(api: Api, request: ApiRequest) -> Reply:
    """``PUT /internal/destinations``: take a page; the last one makes it ready for the topology of that epoch."""
    body = await request.body()
    strict_json.check_utf8(body)
    page = strict_json.decode(_pages, body)
    for _tenant, name, settings in page.data:
        destination_name(name)
        _check_secrets(api, name, settings)
    for tenant, settings in page.tenants:
        _check_tenant(tenant, settings)
    command = ImportDestinations(page.epoch, tuple(page.data), page.next is None, tuple(page.tenants))
    async with api.destinations:
        (result,) = await api.propose(command)
    if isinstance(result, Refused):
        raise api.ownership.outdated()
    return Reply(200, b"{}")


def _check_tenant(tenant: str, blob: bytes) -> None:
    try:
        decode_tenant(blob)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the settings of the tenant {tenant} cannot be read: {error}", field="tenants") from error


def _check_secrets(api: Api, name: str, blob: bytes) -> None:
    """Raise SecretKeyDiffers unless what signs for the destination can be opened here."""
    try:
        settings = decode_destination(blob)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the settings of {name} cannot be read: {error}", field="data") from error
    for sealed in (*settings.sealed_secrets, *filter(None, (settings.sealed_access,))):
        try:
            api.services.vault.open_bytes(sealed)
        except SecretKeyMissing as error:
            raise SecretKeyDiffers(
                f"a secret of {name} is sealed with a key that cluster {api.config.cluster} does not have; give its"
                f" nodes the key of the other clusters in {ENV_NAME} or {FILE_OPTION}, and start them again"
            ) from error
