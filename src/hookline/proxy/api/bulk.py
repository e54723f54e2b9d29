"""Retry and cancel by filter: cluster after cluster, each with what is left of the limit.

Two kinds of clusters without a result are kept apart: those that surely changed nothing, and those that may have.
"""

import msgspec
from msgspec import Raw, Struct

from hookline.errors import DeadlineExceeded, HooklineError, InvalidRequest
from hookline.http_api import strict_json
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.peers.sender import NodeAnswer
from hookline.protocol import http
from hookline.protocol.limits import BULK_LIMIT_MAX
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.lists import none_reachable
from hookline.proxy.api.passing import call_of, reply_of

_SAMPLE = 10


class _Bulk(Struct):
    """The part of the request that a proxy reads; the nodes read the rest."""

    dry_run: bool = False
    limit: int = BULK_LIMIT_MAX


_bulks = msgspec.json.Decoder(_Bulk)
_responses = msgspec.json.Decoder(http.BulkResponse)


async def on_all(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /jobs/retry`` and ``POST /jobs/cancel``."""
    deadline_ms = api.deadline_ms(request)
    body = await request.body()
    strict_json.check_utf8(body)
    bulk = strict_json.decode(_bulks, body)
    fields = strict_json.unique_fields(body)
    if not 1 <= bulk.limit <= BULK_LIMIT_MAX:
        raise InvalidRequest(f"limit must be from 1 to {BULK_LIMIT_MAX}", field="limit")
    done = http.BulkResponse(0, 0, bulk.dry_run, False, [])
    for cluster in api.in_turn():
        left = bulk.limit - done.matched
        if left <= 0:
            done = msgspec.structs.replace(done, more=True)
            break
        part = msgspec.json.encode({**fields, "limit": Raw(b"%d" % left)})
        call = call_of(request, part, is_dry_run=bulk.dry_run)
        one = await api.ask_briefly(cluster, call, deadline_ms)
        if isinstance(one, NodeAnswer) and 400 <= one.status < 500 and one.status != 429:
            return reply_of(one)
        done = _with(done, cluster.name, one)
    if len(done.incomplete) + len(done.unclear) == len(api.clusters()):
        raise _failure(done)
    return answer(200, msgspec.structs.replace(done, moving=api.moving()))


def _with(done: http.BulkResponse, name: str, one: NodeAnswer | HooklineError) -> http.BulkResponse:
    if isinstance(one, NodeAnswer) and one.status == 200:
        return _sum(done, _responses.decode(one.body))
    may_have_changed = isinstance(one, DeadlineExceeded) or (isinstance(one, NodeAnswer) and one.status >= 500)
    if may_have_changed and not done.dry_run:
        return msgspec.structs.replace(done, unclear=[*done.unclear, name])
    return msgspec.structs.replace(done, incomplete=[*done.incomplete, name])


def _failure(done: http.BulkResponse) -> HooklineError:
    """No cluster answered."""
    if not done.unclear:
        return none_reachable(done.incomplete, is_all=True)
    return DeadlineExceeded(
        f"{', '.join(done.unclear)} did not answer in time and may have changed jobs; look with dry_run, or call again",
        clusters=done.unclear,
    )


def _sum(done: http.BulkResponse, one: http.BulkResponse) -> http.BulkResponse:
    return http.BulkResponse(
        done.matched + one.matched,
        done.changed + one.changed,
        done.dry_run,
        done.more or one.more,
        (done.sample + one.sample)[:_SAMPLE],
        done.incomplete,
        done.unclear,
    )
