"""Lists over all clusters: a page of each, merged. A cluster that is down is named, and its place is kept."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from msgspec import Raw, Struct

from hookline.errors import AllClustersUnavailable, ClusterUnavailable, HooklineError, Internal, InvalidCursor
from hookline.http_api.cursors import decode_cursor, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer, page_limit, scope_of
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol import http
from hookline.protocol.http_audit import AUDIT_FILTERS
from hookline.protocol.topology import ClusterEntry
from hookline.proxy import merging
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.passing import passed_on, reply_of
from hookline.proxy.merging import ClusterPage, Item, Positions

_CURSOR_CHARS_MAX = 32_000
_CONSISTENCY = "consistency"


class _Page(Struct):
    data: list[dict[str, Raw]]
    next_cursor: str | None
    cursors: list[str] | None = None
    searched_to: str | None = None


class _Cursor(Struct):
    """The place where each cluster goes on: "" at its beginning, None at its end; by the topology of ``epoch``.

    ``since``: the epoch of the first page. ``last``: where the list has come to, of what moves between clusters.
    """

    epoch: int = 0
    positions: Positions = {}
    since: int = 0
    last: list[str] = []


_pages = msgspec.json.Decoder(_Page)
_cursors = msgspec.json.Decoder(_Cursor)


@dataclass(frozen=True, slots=True)
class Listing:
    """The differences between the lists; ``fields`` are those that the merging looks at."""

    fields: tuple[str, ...]
    key: Callable[[Item], Any]
    filters: tuple[str, ...] = ()
    is_descending: bool = False
    join: Callable[[list[Item]], Item] | None = None
    moving: "Moving | None" = None  # items go from one cluster to another when the topology changes


class Moving(NamedTuple):
    """How to tell what was given: by where the list has come to."""

    last_of: Callable[[Sequence[Item], Sequence[str]], list[str]]
    is_given: Callable[[Item, Sequence[str]], bool]


JOBS = Listing(
    ("created_at", "id"),
    merging.job_key,
    filters=http.FILTERS,
    is_descending=True,
    join=merging.first_of,
    moving=Moving(merging.last_of_jobs, merging.is_given_job),
)
SCHEDULES = Listing(
    ("id",),
    merging.schedule_key,
    join=merging.first_of,
    moving=Moving(merging.last_of_schedules, merging.is_given_schedule),
)
DESTINATIONS = Listing(
    ("host", "running", "waiting", "breaker", "recent"),
    merging.destination_key,
    join=merging.join_destinations,
)

AUDIT = Listing(("at", "id"), merging.audit_key, filters=AUDIT_FILTERS, is_descending=True)


TENANTS = Listing(("name", "used"), merging.tenant_key, join=merging.join_tenants)


async def list_jobs(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /jobs``."""
    return await _list(api, request, JOBS)


async def list_schedules(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /schedules``."""
    return await _list(api, request, SCHEDULES)


async def list_destinations(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /destinations``."""
    return await _list(api, request, DESTINATIONS)


async def list_audit(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /audit``."""
    return await _list(api, request, AUDIT)


async def list_tenants(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /tenants``."""
    return await _list(api, request, TENANTS)


async def _list(api: ProxyApi, request: ApiRequest, listing: Listing) -> Reply:
    query = request.query(*listing.filters, "limit", "cursor", _CONSISTENCY)
    limit = page_limit(query)
    scope = f"proxy {request.call.path} " + repr([query.get(name) for name in listing.filters])
    scope = scope_of(scope, request)
    cursor = _decode(query.get("cursor"), scope)
    positions = cursor.positions

    headers = passed_on(request)

    def call_for(cluster: ClusterEntry) -> NodeCall:
        wanted = {name: query[name] for name in (*listing.filters, _CONSISTENCY) if name in query}
        if position := positions.get(cluster.name):
            wanted["cursor"] = position
        return NodeCall("GET", f"{request.call.path}?{urlencode({**wanted, 'limit': limit})}", headers)

    since = cursor.since or api.known.epoch
    ended = {name for name, position in positions.items() if position is None}
    answers = await api.ask_all(call_for, api.deadline_ms(request), but=ended)
    refusal = next((one for one in answers.values() if isinstance(one, NodeAnswer) and 400 <= one.status < 500), None)
    if refusal is not None:
        return reply_of(refusal)
    pages: dict[str, ClusterPage] = {}
    for name, one in answers.items():
        if isinstance(one, NodeAnswer) and one.status == 200:
            pages[name] = _page(one.body, listing)
            await asyncio.sleep(0)  # a page can be large: let others in
    positions = _of_all(api, cursor)
    incomplete = [name for name, position in positions.items() if position is not None and name not in pages]
    if not pages and incomplete:
        raise none_reachable(incomplete, is_all=not ended)
    last, moving = cursor.last, listing.moving
    sources = [] if moving is None else _moving(api, since)
    merged = merging.merge(
        pages,
        limit,
        key=listing.key,
        is_descending=listing.is_descending,
        join=listing.join,
        # Else what is newer than the last item is of a cluster that did not answer before.
        is_given=lambda item: bool(sources) and moving is not None and moving.is_given(item, last),
    )
    positions |= merged.positions
    has_more = any(position is not None for position in positions.values())
    last = [] if moving is None else moving.last_of(merged.data, last)
    after = _Cursor(max(cursor.epoch, api.known.epoch), positions, since, last)
    next_cursor = encode_cursor(msgspec.json.encode(after).decode(), scope) if has_more else None
    body: dict[str, Any] = {"data": merged.data, "next_cursor": next_cursor}
    if sources:
        body["moving"] = sources
    # The merged page ends where that of any cluster does: the newest of these times is how far all of them came.
    searched = [page.searched_to for page in pages.values() if page.searched_to is not None]
    if searched and len(merged.data) < limit:
        body["searched_to"] = max(searched)
    return answer(200, with_incomplete(body, incomplete))


def _moving(api: ProxyApi, since: int) -> list[str]:
    """The clusters out of which things move, or have moved since the list began by the topology of that epoch."""
    return sorted(entry.name for entry in api.clusters()) if since < api.known.epoch else api.moving()


def _of_all(api: ProxyApi, cursor: _Cursor) -> Positions:
    """The place where every cluster goes on.

    The proxy that gave the cursor may know more clusters than this one, also by the same epoch: what this one has from
    its file is not in force before a cluster has said so.
    """
    names = [cluster.name for cluster in api.clusters()]
    if cursor.epoch > api.known.epoch or not api.known.is_in_force:
        names += [name for name in cursor.positions if name not in names]
    return {name: cursor.positions.get(name, "") for name in names}


def with_incomplete(body: dict[str, Any], incomplete: list[str]) -> dict[str, Any]:
    """The body, which names the clusters that are missing in it, if there are any."""
    return {**body, "incomplete": sorted(incomplete)} if incomplete else body


def none_reachable(names: list[str], *, is_all: bool) -> HooklineError:
    """None of those that were asked answered."""
    if is_all:
        return AllClustersUnavailable(retry_after_s=1)
    return ClusterUnavailable(
        f"the rest is on {', '.join(names)}, which cannot be reached; go on with the same cursor when it is back",
        retry_after_s=1,
        clusters=names,
    )


def read_view(data: bytes | Raw, fields: tuple[str, ...]) -> Item:
    """An object of which only these fields are decoded, as far as it has them; the rest stays byte for byte."""
    view: Item = dict(msgspec.json.decode(data, type=dict[str, Raw]))
    return _with_decoded(view, fields)


def _with_decoded(view: Mapping[str, Any], fields: tuple[str, ...]) -> Item:
    return {**view, **{name: msgspec.json.decode(view[name]) for name in fields if name in view}}


def _page(body: bytes, listing: Listing) -> ClusterPage:
    page = _pages.decode(body)
    if page.cursors is None or len(page.cursors) != len(page.data):
        raise Internal("a node gave a page without cursors; it may run an older release, upgrade it")
    return ClusterPage(
        [_with_decoded(item, listing.fields) for item in page.data], page.cursors, page.next_cursor, page.searched_to
    )


def _decode(cursor: str | None, scope: str) -> _Cursor:
    if cursor is None:
        return _Cursor()
    try:
        return _cursors.decode(decode_cursor(cursor, scope, _CURSOR_CHARS_MAX))
    except msgspec.DecodeError as error:
        raise InvalidCursor(field="cursor") from error
