"""The calls about destinations: their limits and retries, whether they are paused, which secrets sign for them."""

import msgspec
from msgspec import UNSET

from hookline.errors import DestinationNotFound, InvalidRequest, InvalidTime
from hookline.http_api import strict_json
from hookline.http_api.cursors import decode_cursor, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer, page_limit, scope_of
from hookline.node.api.context import Api
from hookline.node.api.receiver_access import changed_access, check_unique
from hookline.node.api.views import page_reply
from hookline.node.state_machine.read_rows import DestinationRow
from hookline.protocol import http
from hookline.protocol.commands import PutDestination
from hookline.protocol.durations import parse_duration
from hookline.protocol.jobs import RetryPolicy
from hookline.protocol.limits import SECRETS_PER_DESTINATION_MAX
from hookline.protocol.retries import given_retry, retry_of
from hookline.protocol.settings import DELETED, DestinationSettings, encode
from hookline.protocol.urls import destination_name

CONCURRENCY_MAX = 10_000
RATE_MAX = 1_000_000
RATE_PER_MS_MAX = 86_400_000
_SCOPE = "destinations"
_requests = msgspec.json.Decoder(http.DestinationRequest)


async def list_destinations(api: Api, request: ApiRequest) -> Reply:
    """``GET /destinations``, by name."""
    query = request.query("limit", "cursor")
    limit, scope = page_limit(query), scope_of(_SCOPE, request)
    cursor = query.get("cursor")
    after = "" if cursor is None else decode_cursor(cursor, scope)
    rows = api.reads.destinations(request.caller.tenant, after, limit + 1)
    next_cursor = encode_cursor(rows[limit - 1].name, scope) if len(rows) > limit else None
    page = http.DestinationPage([api.views.destination(row) for row in rows[:limit]], next_cursor)
    return page_reply(request, page, scope, [row.name for row in rows[:limit]])


async def get_destination(api: Api, request: ApiRequest) -> Reply:
    """``GET /destinations/{host}``."""
    request.query()
    return answer(
        200, api.views.destination(_found(api, request.caller.tenant, destination_name(request.path["host"])))
    )


async def put_destination(api: Api, request: ApiRequest) -> Reply:
    """``PUT /destinations/{host}``: fields that are not given stay as they are."""
    tenant, name = request.caller.tenant, destination_name(request.path["host"])
    body = await request.body()
    strict_json.check_utf8(body)
    wanted = strict_json.decode(_requests, body)
    fields = strict_json.unique_fields(body)
    if isinstance(wanted.rate, http.Rate):
        strict_json.unique_fields(fields["rate"])
    if isinstance(wanted.retry, http.RetryRequest):
        strict_json.unique_fields(fields["retry"])
    check_unique(fields, wanted)
    async with api.destinations:
        row = api.reads.destination(tenant, name)
        settings = _changed(api, wanted, DestinationSettings() if row is None else row.settings)
        # Again, right before it is proposed: a cluster that is new in a newer topology has read the settings by then.
        api.ownership.check_epoch(request)
        await api.propose(PutDestination(tenant, name, encode(settings)))
    return answer(200, api.views.destination(_found(api, tenant, name)))


async def delete_destination(api: Api, request: ApiRequest) -> Reply:
    """``DELETE /destinations/{host}``: its settings go. That is a setting too: see ``protocol.settings.DELETED``."""
    request.query()
    tenant, name = request.caller.tenant, destination_name(request.path["host"])
    async with api.destinations:
        if api.reads.destination(tenant, name) is None:
            raise DestinationNotFound
        api.ownership.check_epoch(request)
        await api.propose(PutDestination(tenant, name, DELETED))
    return Reply(204)


def _changed(api: Api, wanted: http.DestinationRequest, old: DestinationSettings) -> DestinationSettings:
    rate_limit, rate_per_ms = old.rate_limit, old.rate_per_ms
    if wanted.rate is not UNSET:
        rate_limit, rate_per_ms = _rate(wanted.rate)
    concurrency = old.concurrency if wanted.concurrency is UNSET else wanted.concurrency
    if concurrency is not None and not 1 <= concurrency <= CONCURRENCY_MAX:
        raise InvalidRequest(f"concurrency must be from 1 to {CONCURRENCY_MAX}", field="concurrency")
    return DestinationSettings(
        concurrency=concurrency,
        rate_limit=rate_limit,
        rate_per_ms=rate_per_ms,
        paused=old.paused if wanted.paused is UNSET else wanted.paused,
        sealed_secrets=old.sealed_secrets if wanted.secrets is UNSET else _secrets(api, wanted.secrets),
        retry=old.retry if wanted.retry is UNSET else _retry(wanted.retry),
        sealed_access=changed_access(api.requests, api.services.vault, wanted, old.sealed_access),
    )


def _retry(retry: http.RetryRequest | None) -> RetryPolicy | None:
    policy = None if retry is None else retry_of(retry)
    return None if policy is None or given_retry(policy) is None else policy


def _rate(rate: http.Rate | None) -> tuple[int | None, int]:
    if rate is None:
        return None, DestinationSettings().rate_per_ms
    if not 1 <= rate.limit <= RATE_MAX:
        raise InvalidRequest(f"rate.limit must be from 1 to {RATE_MAX}", field="rate.limit")
    per_ms = parse_duration(rate.per, field="rate.per")
    if not 1 <= per_ms <= RATE_PER_MS_MAX:
        raise InvalidTime("rate.per must be from 1 ms to 1 day", field="rate.per")
    return rate.limit, per_ms


def _secrets(api: Api, secrets: list[str] | None) -> tuple[bytes, ...]:
    if secrets is None:
        return ()
    if len(secrets) > SECRETS_PER_DESTINATION_MAX:
        raise InvalidRequest(f"at most {SECRETS_PER_DESTINATION_MAX} secrets can sign at once", field="secrets")
    return tuple(api.requests.seal(secret, "secrets") for secret in dict.fromkeys(secrets))


def _found(api: Api, tenant: str, name: str) -> DestinationRow:
    row = api.reads.shown_destination(tenant, name)
    if row is None:
        raise DestinationNotFound
    return row
