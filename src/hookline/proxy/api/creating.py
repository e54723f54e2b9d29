"""Creating one job or schedule: at the home of its id or key, or, with an id minted here, wherever there is room.

The id is fixed before the first try, so that a repetition on the same cluster is recognised. While the topology
changes, an id or key that moved is created at its new home only after the old one has said that it has no such job.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Literal

from msgspec.structs import replace

from hookline.errors import DeadlineExceeded
from hookline.http_api.messages import ApiRequest, Reply
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.ids import check_id, check_key, mint_id
from hookline.protocol.internal_http import AbsenceRequest
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.following import ALLOW, follow, is_absent, is_on_its_way
from hookline.proxy.api.passing import allows_fallback, call_of, reply_of
from hookline.proxy.forwarder import Candidates
from hookline.proxy.rerouting import StaleRoute, rerouted
from hookline.proxy.splitting import given_id, with_id, without_deduplicated

Kind = Literal["job", "schedule"]

ID_RANDOM_BYTES = 10


@dataclass(frozen=True, slots=True)
class Name:
    """The client's name for the thing it creates: an id, or else an idempotency key. Both are its tenant's."""

    tenant: str
    kind: Kind
    id: str | None
    key: str | None

    @property
    def text(self) -> str:
        """The text that its home is worked out from."""
        return self.id if self.id is not None else self.key or ""

    def __str__(self) -> str:
        return f"the id {self.id}" if self.id is not None else f"the Idempotency-Key {self.key}"

    @property
    def asked(self) -> AbsenceRequest:
        """The question whether a cluster has it."""
        return AbsenceRequest(self.id, self.key, self.kind, self.tenant)

    def new_home(self, router: Router) -> ClusterEntry:
        """Its home when it is new."""
        return (router.key_home(self.text) if self.id is None else router.new_home(self.text)).cluster

    def former_home(self, router: Router) -> ClusterEntry | None:
        """The former home, where it may be already because of a change that is under way."""
        if self.id is not None and (hinted := router.hinted(self.id)) is not None:
            return None if hinted in router.topology.clusters else hinted
        route = router.previous_home(self.text, is_key=self.id is None)
        return None if route is None else route.cluster


class _MoveBegan(Exception):
    """While it was routed, a change began that moves it."""


async def create_job(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /jobs``."""
    return await _create(api, request, "job")


async def create_schedule(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /schedules``."""
    return await _create(api, request, "schedule")


async def _create(api: ProxyApi, request: ApiRequest, kind: Kind) -> Reply:
    deadline_ms = api.deadline_ms(request)
    may_fall_back = allows_fallback(request)
    key = request.header(b"idempotency-key") if kind == "job" else None
    if key is not None:
        check_key(key)
    body = await request.whole_body()
    try:
        chosen = given_id(body)
    except ValueError:  # a node explains what is wrong
        return reply_of(await api.to_any(call_of(request, body), deadline_ms))
    call = call_of(request, body, is_named=True)  # at the latest by an id that is minted here
    if chosen is None and key is None:
        return reply_of(await create_minted(api, call, deadline_ms))
    name = Name(request.caller.tenant, kind, None if chosen is None else check_id(chosen), key)
    return reply_of(await create_named(api, call, name, deadline_ms, may_fall_back=may_fall_back))


async def create_minted(api: ProxyApi, call: NodeCall, deadline_ms: float) -> NodeAnswer:
    """Give it an id of the cluster that takes it."""
    minted = ""

    def call_for(cluster: ClusterEntry) -> NodeCall:
        nonlocal minted
        minted = mint(api, cluster)
        return replace(call, body=with_id(call.body, minted))

    try:
        answer = await api.forwarder.submit(api.candidates, call_for, deadline_ms)
    except DeadlineExceeded as error:
        raise _naming(error, f"the id {minted}", minted) from error
    body = without_deduplicated(answer.body) if answer.status == 200 else None
    if body is None:
        return answer
    return NodeAnswer(201, body, answer.content_type, answer.headers)  # the second time it was we who sent it


async def create_named(
    api: ProxyApi, call: NodeCall, name: Name, deadline_ms: float, *, may_fall_back: bool = False
) -> NodeAnswer:
    """Create it at its home; elsewhere only if the client allows that. While it moves, never."""

    async def by_the_newest() -> NodeAnswer:
        if name.former_home(api.known.router) is None:
            return await _create_unmoved(api, call, name, deadline_ms, may_fall_back=may_fall_back)
        return await _create_moving(api, call, name, deadline_ms)

    try:
        return await rerouted(by_the_newest, (StaleRoute, _MoveBegan))
    except DeadlineExceeded as error:
        raise _naming(error, str(name), name.id) from error


def mint(api: ProxyApi, cluster: ClusterEntry) -> str:
    """A fresh id with the cluster's hint."""
    return mint_id(api.clock.wall_ms(), api.clock.token(ID_RANDOM_BYTES), cluster.shard)


async def _create_unmoved(
    api: ProxyApi, call: NodeCall, name: Name, deadline_ms: float, *, may_fall_back: bool
) -> NodeAnswer:
    def route(router: Router) -> Candidates:
        if name.former_home(router) is not None:
            raise _MoveBegan
        home = name.new_home(router)
        if not may_fall_back:
            return Candidates(1, (home,))
        total, others = api.candidates(router)
        return Candidates(total, chain((home,), (entry for entry in others if entry.name != home.name)))

    asked_last: list[ClusterEntry] = []

    def call_for(cluster: ClusterEntry) -> NodeCall:
        asked_last[:] = [cluster]
        return call

    answer = await api.forwarder.submit(route, call_for, deadline_ms)
    if not is_on_its_way(answer):
        return answer
    version = api.known.version
    return await follow(api, answer, asked_last[0], call, deadline_ms, version, asked=name.asked)


async def _create_moving(api: ProxyApi, call: NodeCall, name: Name, deadline_ms: float) -> NodeAnswer:
    router = api.known.router
    former = name.former_home(router)
    assert former is not None
    version = router.version
    absent = await is_absent(api, former, name.asked, deadline_ms, version)
    if isinstance(absent, NodeAnswer):
        return absent
    if absent:
        cluster = name.new_home(router)
    else:  # it recognises what it has, though it is no longer the home
        call, cluster = call.with_headers(ALLOW), former
    answer = await api.forwarder.to_cluster(cluster, call, deadline_ms, version=version)
    return await follow(api, answer, cluster, call, deadline_ms, version, asked=name.asked)


def _naming(error: DeadlineExceeded, what: str, job_id: str | None) -> DeadlineExceeded:
    named = {"id": job_id} if job_id else {}
    cluster = str(error.figures.get("cluster", ""))
    return DeadlineExceeded(
        f"cluster {cluster} did not answer in time; the request may or may not have been accepted."
        f" Repeat it with {what}",
        cluster=cluster,
        **named,  # type: ignore[arg-type]
    )
