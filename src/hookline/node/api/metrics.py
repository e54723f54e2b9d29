"""``GET /metrics`` of a node: what only changes with the state is read when somebody looks."""

from heapq import nlargest

from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.metrics_reply import metrics_reply
from hookline.node.api.clocks import clock_view
from hookline.node.api.context import Api
from hookline.node.dispatch.seats import RunnerStatus
from hookline.node.tenant_figures import named_figures
from hookline.protocol.jobs import State
from hookline.telemetry.tallies import show_only

RUNNERS_MAX = 50  # by name; workers take fresh names when they start
_OTHER = "other"
_NOT_CLOSED = ("half_open", "open")


async def get_metrics(api: Api, request: ApiRequest) -> Reply:
    """``GET /metrics``."""
    request.query()
    metrics, services = api.services.metrics, api.services
    for state in State:
        metrics.jobs.labels(state.label).set(services.replica.counters[state.label])
    _tell_tenants(api)
    _tell_delivery(api)
    for name, (used, limit) in services.admission.usage().items():
        metrics.limit_used.labels(name).set(used)
        metrics.limit_max.labels(name).set(limit)
    _tell_log(api)
    clock = clock_view(api)
    metrics.clock_trusted.set(clock.trusted)
    metrics.clock_offset.set((clock.offset_ms or 0) / 1_000)
    return metrics_reply(metrics, request)


def _tell_tenants(api: Api) -> None:
    jobs: dict[tuple[str, ...], float] = {}
    size: dict[tuple[str, ...], float] = {}
    for name, figures in named_figures(api.services.replica.counters_by_tenant).items():
        jobs |= {(name, state.label): figures[state.label] for state in State}
        size[name,] = figures["pending_bytes"]
    show_only(api.services.metrics.tenant_jobs, jobs)
    show_only(api.services.metrics.tenant_bytes, size)


def _tell_delivery(api: Api) -> None:
    metrics, delivery = api.services.metrics, api.services.delivery
    used, limit = delivery.slots()
    metrics.slots_used.set(used)
    metrics.slots_max.set(limit)
    breakers = delivery.breakers()
    show_only(metrics.breakers, {(state,): breakers.get(state, 0) for state in _NOT_CLOSED})
    slots = slots_by_runner(delivery.runners() or [])
    show_only(metrics.runner_slots_used, {labels: used for labels, (used, _) in slots.items()})
    show_only(metrics.runner_slots_max, {labels: limit for labels, (_, limit) in slots.items()})


def slots_by_runner(runners: list[RunnerStatus]) -> dict[tuple[str, ...], tuple[int, int]]:
    """(used, limit) by (name, kind) of the busiest runners; of all others together by kind. Pure."""
    named = {runner.name for runner in nlargest(RUNNERS_MAX, runners, key=lambda one: (one.running, one.slots))}
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for runner in runners:
        labels = (runner.name if runner.name in named else _OTHER, runner.kind)
        used, limit = found.get(labels, (0, 0))
        found[labels] = (used + runner.running, limit + runner.slots)
    return found


def _tell_log(api: Api) -> None:
    metrics, replica, role = api.services.metrics, api.services.replica, api.services.role
    newest = max([replica.applied, *(node.applied for node in role.nodes())])
    metrics.log_index.set(newest)
    metrics.applied_index.set(replica.applied)
    metrics.durable_index.set(replica.durable)
    metrics.apply_lag.set(newest - replica.applied)
    metrics.durable_lag.set(replica.applied - replica.durable)
    metrics.term.set(replica.term)
    metrics.is_leader.set(role.is_leading())
    storage = role.log_storage()
    show_only(metrics.etcd_bytes, {(member,): size for member, (size, _) in storage.members.items()})
    show_only(metrics.etcd_used_bytes, {(member,): used for member, (_, used) in storage.members.items()})
    metrics.etcd_quota_bytes.set(storage.quota_bytes)
