"""The calls about tenants: their limits in this cluster, and their weight when slots are scarce."""

import msgspec
from msgspec import UNSET

from hookline.errors import TenantNotFound
from hookline.http_api import strict_json
from hookline.http_api.cursors import decode_cursor, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer, page_limit
from hookline.node.api.context import Api, refusal
from hookline.node.api.views import page_reply
from hookline.protocol import http_tenants
from hookline.protocol.commands import PutTenant, Refused
from hookline.protocol.limits import check_between
from hookline.protocol.tenants import REMOVED, TenantSettings, encode_tenant, tenant_name, tenant_of

LIMIT_MAX = 2**53 - 1  # what JSON holds exactly everywhere
CREATES_MAX = 1_000_000
WEIGHT_MAX = 1_000
_SCOPE = "tenants"
_requests = msgspec.json.Decoder(http_tenants.TenantRequest)


async def list_tenants(api: Api, request: ApiRequest) -> Reply:
    """``GET /tenants``, by name."""
    query = request.query("limit", "cursor")
    limit, cursor = page_limit(query), query.get("cursor")
    after = "" if cursor is None else decode_cursor(cursor, _SCOPE)
    names = sorted(name for name in map(tenant_name, _known(api)) if name > after)
    shown = names[:limit]
    next_cursor = encode_cursor(shown[-1], _SCOPE) if len(names) > limit else None
    page = http_tenants.TenantPage([_view(api, _named(name)) for name in shown], next_cursor)
    return page_reply(request, page, _SCOPE, shown)


async def get_tenant(api: Api, request: ApiRequest) -> Reply:
    """``GET /tenants/{tenant}``."""
    request.query()
    tenant = _asked(request)
    if tenant not in _known(api):
        raise TenantNotFound
    return answer(200, _view(api, tenant))


async def put_tenant(api: Api, request: ApiRequest) -> Reply:
    """``PUT /tenants/{tenant}``: fields that are not given stay as they are."""
    tenant = _asked(request)
    body = await request.body()
    strict_json.check_utf8(body)
    wanted = strict_json.decode(_requests, body)
    strict_json.unique_fields(body)
    async with api.destinations:
        settings = _changed(wanted, api.services.replica.tenants.of(tenant))
        # Right before it is proposed, as for a destination: a cluster that is new has read all settings by then.
        api.ownership.check_epoch(request)
        await _propose(api, PutTenant(tenant, encode_tenant(settings)))
    return answer(200, _view(api, tenant))


async def delete_tenant(api: Api, request: ApiRequest) -> Reply:
    """``DELETE /tenants/{tenant}``: its limits and its weight go; its jobs and keys stay."""
    request.query()
    tenant = _asked(request)
    async with api.destinations:
        if not api.services.replica.tenants.is_set(tenant):
            raise TenantNotFound
        api.ownership.check_epoch(request)
        await _propose(api, PutTenant(tenant, REMOVED))
    return Reply(204)


async def _propose(api: Api, command: PutTenant) -> None:
    (result,) = await api.propose(command)
    if isinstance(result, Refused):
        raise refusal(result)


def _asked(request: ApiRequest) -> str:
    return _named(request.path["tenant"])


def _named(name: str) -> str:
    return tenant_of(name, field="tenant")


def _known(api: Api) -> set[str]:
    """Those that have settings, jobs or keys."""
    replica = api.services.replica
    keys = {key.record.tenant for key in replica.api_keys.by_id.values() if key.record.revoked_ms is None}
    busy = (tenant for tenant, counters in replica.counters_by_tenant.items() if any(counters.values()))
    return {*replica.tenants.names, *busy, *keys}


def _changed(wanted: http_tenants.TenantRequest, old: TenantSettings) -> TenantSettings:
    given = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not UNSET}
    for name, value in given.items():
        if value is not None:
            check_between(name, value, 0 if name.startswith("pending") else 1, _MOST.get(name, LIMIT_MAX))
    return msgspec.structs.replace(old, **given)


_MOST = {"creates_per_second": CREATES_MAX, "weight": WEIGHT_MAX}


def _view(api: Api, tenant: str) -> http_tenants.Tenant:
    replica = api.services.replica
    settings, counters = replica.tenants.of(tenant), replica.counters_of(tenant)
    running = counters["running"]
    return http_tenants.Tenant(
        name=tenant_name(tenant),
        pending_jobs=settings.pending_jobs,
        pending_bytes=settings.pending_bytes,
        creates_per_second=settings.creates_per_second,
        weight=settings.weight,
        used=http_tenants.TenantUse(counters["pending"] + running, counters["pending_bytes"], running),
    )
