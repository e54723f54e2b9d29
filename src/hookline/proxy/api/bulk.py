"""Retry and cancel by filter: cluster after cluster, each with what is left of the limit."""

import msgspec
from msgspec import Raw, Struct

from hookline.errors import InvalidRequest
from hookline.http_api import strict_json
from hookline.http_api.exchange import Reply, answer
from hookline.protocol import http
from hookline.protocol.limits import BULK_LIMIT_MAX, REQUEST_BYTES_MAX
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.lists import none_reachable, with_incomplete
from hookline.proxy.api.passing import Incoming, call_of, reply_of
from hookline.proxy.sender import Answer

_SAMPLE = 10


class _Bulk(Struct):
    """What is read of the request; the nodes read the rest."""

    dry_run: bool = False
    limit: int = BULK_LIMIT_MAX


_bulks = msgspec.json.Decoder(_Bulk)
_responses = msgspec.json.Decoder(http.BulkResponse)


async def retry_jobs(api: ProxyApi, request: Incoming) -> Reply:
    """``POST /jobs/retry``."""
    return await _on_all(api, request, is_repeatable=False)


async def cancel_jobs(api: ProxyApi, request: Incoming) -> Reply:
    """``POST /jobs/cancel``."""
    return await _on_all(api, request, is_repeatable=True)


async def _on_all(api: ProxyApi, request: Incoming, *, is_repeatable: bool) -> Reply:
    deadline_ms = api.deadline_ms(request)
    body = await request.body(REQUEST_BYTES_MAX)
    strict_json.check_utf8(body)
    bulk = strict_json.decode(_bulks, body)
    fields = strict_json.unique_fields(body)
    if not 1 <= bulk.limit <= BULK_LIMIT_MAX:
        raise InvalidRequest(f"limit must be from 1 to {BULK_LIMIT_MAX}", field="limit")
    done = http.BulkResponse(0, 0, bulk.dry_run, False, [])
    incomplete: list[str] = []
    clusters = api.clusters()
    for cluster in clusters:
        left = bulk.limit - done.matched
        if left <= 0:
            done = msgspec.structs.replace(done, more=True)
            break
        part = msgspec.json.encode({**fields, "limit": Raw(b"%d" % left)})
        call = call_of(request, part, is_repeatable=is_repeatable or bulk.dry_run)
        one = await api.ask(cluster, call, deadline_ms)
        if isinstance(one, Answer) and one.status == 200:
            done = _sum(done, _responses.decode(one.body))
        elif isinstance(one, Answer) and one.status < 500 and one.status != 429:
            return reply_of(one)
        else:
            incomplete.append(cluster.name)
    if len(incomplete) == len(clusters):
        raise none_reachable(incomplete, is_all=True)
    return answer(200, with_incomplete(msgspec.structs.asdict(done), incomplete))


def _sum(done: http.BulkResponse, one: http.BulkResponse) -> http.BulkResponse:
    return http.BulkResponse(
        done.matched + one.matched,
        done.changed + one.changed,
        done.dry_run,
        done.more or one.more,
        (done.sample + one.sample)[:_SAMPLE],
    )
