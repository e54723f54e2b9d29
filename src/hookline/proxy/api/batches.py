"""``POST /jobs/batch``: split by home, all sides sent side by side, the results in the order of the request.

Jobs without an id go together to one cluster that has room, with ids minted here. A side that fails takes only its own
jobs with it. Jobs that a change of the topology moves are created one by one, as each needs its old home's word.
"""

import asyncio
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from functools import partial

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hookline.errors import (
    Arriving,
    BatchTooLarge,
    ClusterUnavailable,
    DeadlineExceeded,
    HooklineError,
    InvalidJson,
    Moved,
)
from hookline.http_api.big_batches import BIG_BYTES, big_items
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.http_api.preferences import APPLIED_MINIMAL, wants_minimal
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.limits import BATCH_JOBS_MAX, KIB
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry
from hookline.proxy import splitting
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.creating import Name, create_named, mint
from hookline.proxy.api.passing import allows_fallback, call_of, reply_of
from hookline.proxy.rerouting import StaleRoute, rerouted

_MOVING_AT_ONCE = 16
_ITEM_BYTES_MAX = 2 * KIB * KIB  # more than a node takes for one job, however it is set
_BYTES_BETWEEN_YIELDS = 512 * KIB


class _Results(Struct):
    results: list[Raw]


class _Problem(Struct):
    code: str = ""


class _Refused(Struct):
    error: _Problem | None = None


class _NoOneHome(Enum):
    """The ways of jobs that do not go straight to the home of their id."""

    ANYWHERE = auto()  # they have no id
    MOVING = auto()  # a change moves them: their former home is asked first


class _NoId(Enum):
    UNREADABLE = auto()  # a node says what is wrong with the job


_GivenId = str | _NoId | None
_UNREADABLE = _NoId.UNREADABLE
_Place = ClusterEntry | _NoOneHome
_results = msgspec.json.Decoder(_Results)


async def create_batch(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /jobs/batch``."""
    deadline_ms = api.deadline_ms(request)
    allows_fallback(request)
    body = await request.whole_body()
    try:
        items = await _items(body)
    except (ValueError, InvalidJson):  # a node explains what is wrong
        items = ()
    if not items:
        return reply_of(await api.to_any(call_of(request, body), deadline_ms))
    if len(items) > BATCH_JOBS_MAX:
        raise BatchTooLarge(
            f"the batch has {len(items)} jobs; at most {BATCH_JOBS_MAX} are allowed", limit=BATCH_JOBS_MAX
        )
    request.forget_body()  # the items are copies, and it may be large
    body = b""
    call = call_of(request, is_named=True)  # ids are minted here for those that have none
    batch = _Batch(
        *(api, request.caller.tenant, call, items, await _given_ids(items), deadline_ms),
        is_minimal=wants_minimal(request),
    )
    await batch.run()
    return batch.reply()


async def _items(body: bytes) -> Sequence[bytes | Raw]:
    return await big_items(body, BATCH_JOBS_MAX) if len(body) > BIG_BYTES else splitting.batch_items(body)


class _Batch:
    """One batch while it is under way: each position gets its result."""

    def __init__(
        self,
        api: ProxyApi,
        tenant: str,
        call: NodeCall,
        items: Sequence[bytes | Raw],
        ids: Sequence[_GivenId],
        deadline_ms: float,
        *,
        is_minimal: bool,
    ) -> None:
        self._api = api
        self._tenant = tenant
        self._call = call
        self._items = items
        self._ids = ids
        self._deadline_ms = deadline_ms
        self._found: dict[int, Raw] = {}
        self._whole: NodeAnswer | None = None  # the one answer about all of it
        self._is_minimal = is_minimal  # ids and states will do, and no node has said more

    async def run(self) -> None:
        """Fill in all results."""
        try:
            await rerouted(self._route)
        except ClusterUnavailable as error:
            self._fail(self._left(), error)

    async def _route(self) -> None:
        """Send each job that has no result to its home. Raises StaleRoute when some are to be routed again."""
        router = self._api.known.router
        sides = splitting.split(self._left(), partial(self._place, router))
        async with asyncio.TaskGroup() as tasks:
            for place, positions in sides.items():
                tasks.create_task(self._side(router, place, positions))
        if self._left() and self._whole is None:
            raise StaleRoute

    def _left(self) -> list[int]:
        return [position for position in range(len(self._items)) if position not in self._found]

    def reply(self) -> Reply:
        """All results in order."""
        if self._whole is not None:
            return reply_of(self._whole)
        results = [self._found[position] for position in range(len(self._items))]
        return answer(200, {"results": results}, [APPLIED_MINIMAL] if self._is_minimal else ())

    def _place(self, router: Router, position: int) -> _Place:
        job_id = self._ids[position]
        if not isinstance(job_id, str):
            return _NoOneHome.ANYWHERE
        name = Name(self._tenant, "job", job_id, None)
        return _NoOneHome.MOVING if name.former_home(router) is not None else name.new_home(router)

    async def _side(self, router: Router, place: _Place, positions: list[int]) -> None:
        try:
            match place:
                case _NoOneHome.MOVING:
                    await self._create_moving(positions)
                case _NoOneHome.ANYWHERE:
                    self._take(positions, await self._create_minted(positions), is_minted=True)
                case ClusterEntry():
                    call = self._part(self._items[position] for position in positions)
                    side = await self._api.forwarder.to_cluster(place, call, self._deadline_ms, version=router.version)
                    self._take(positions, side, is_minted=False)
                    await self._create_moving([position for position in positions if self._is_on_its_way(position)])
        except StaleRoute:
            return  # these are routed again
        except HooklineError as error:
            self._fail(positions, error)

    async def _create_minted(self, positions: list[int]) -> NodeAnswer:
        minted: list[str] = []

        def call_for(cluster: ClusterEntry) -> NodeCall:
            minted[:] = [mint(self._api, cluster) for _ in positions]
            return self._part(map(self._with_id, positions, minted))

        try:
            return await self._api.forwarder.submit(self._api.candidates, call_for, self._deadline_ms)
        except DeadlineExceeded as error:
            for position, new in zip(positions, minted, strict=True):
                self._fail([position], _named(error, new))
            raise

    async def _create_moving(self, positions: list[int]) -> None:
        async def create(position: int) -> None:
            call = replace(self._call, target=CALLS["createJob"].path, body=bytes(self._items[position]))
            try:
                async with at_once:
                    name = Name(self._tenant, "job", str(self._ids[position]), None)
                    one = await create_named(self._api, call, name, self._deadline_ms)
            except HooklineError as error:
                self._fail([position], error)
                return
            content = "error" if one.status >= 400 else "job"
            self._look_whether_minimal(one)
            self._found[position] = Raw(b'{"status":%d,"%s":%s}' % (one.status, content.encode(), one.body))

        at_once = asyncio.Semaphore(_MOVING_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for position in positions:
                tasks.create_task(create(position))

    def _is_on_its_way(self, position: int) -> bool:
        """Its home says that it is at another cluster, or comes from there."""
        found = self._found.get(position)
        if found is None or b'"status":201' in (head := bytes(memoryview(found)[:16])) or b'"status":200' in head:
            return False
        error = msgspec.json.decode(found, type=_Refused).error
        return error is not None and error.code in (Moved.code, Arriving.code)

    def _take(self, positions: list[int], side: NodeAnswer, *, is_minted: bool) -> None:
        self._look_whether_minimal(side)
        if side.status == 200:
            results = _results.decode(side.body).results
            for position, result in zip(positions, results, strict=True):
                self._found[position] = splitting.as_new_result(result) if is_minted else result
        elif len(positions) == len(self._items):
            self._whole = side
        else:
            problem = Raw(b'{"status":%d,"error":%s}' % (side.status, side.body))
            self._found |= dict.fromkeys(positions, problem)

    def _look_whether_minimal(self, made: NodeAnswer) -> None:
        """A node of another release may say more than was asked for."""
        if made.status < 300 and APPLIED_MINIMAL not in made.headers:
            self._is_minimal = False

    def _fail(self, positions: Sequence[int], error: HooklineError) -> None:
        problem = Raw(msgspec.json.encode({"status": error.http_status, "error": error.to_problem()}))
        for position in positions:
            self._found.setdefault(position, problem)

    def _part(self, items: Iterable[bytes | Raw]) -> NodeCall:
        return replace(self._call, body=splitting.batch_body(items))

    def _with_id(self, position: int, new_id: str) -> bytes | Raw:
        item = self._items[position]
        return splitting.with_id(item, new_id) if self._ids[position] is None else item


async def _given_ids(items: Sequence[bytes | Raw]) -> list[_GivenId]:
    """The ids that the jobs bring; others have their turns in between."""
    ids: list[_GivenId] = []
    since_yield = 0
    for item in items:
        size = memoryview(item).nbytes
        try:
            ids.append(splitting.given_id(item) if size <= _ITEM_BYTES_MAX else _UNREADABLE)
        except ValueError:
            ids.append(_UNREADABLE)
        since_yield += size
        if since_yield > _BYTES_BETWEEN_YIELDS:
            since_yield = 0
            await asyncio.sleep(0)
    return ids


def _named(error: DeadlineExceeded, job_id: str) -> DeadlineExceeded:
    return DeadlineExceeded(f"{error.detail}: {job_id}", cluster=error.figures.get("cluster"), id=job_id)
