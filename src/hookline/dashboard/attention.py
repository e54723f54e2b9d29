"""Says in words what an operator should look at, the worst first. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from hookline.client.answers import Cluster, ClusterList, Destination, Health

_NEARLY_FULL: Final = 0.8


class Concern(NamedTuple):
    """Something to look at. ``path`` leads to where more is said; empty: nowhere."""

    tone: str
    text: str
    path: str = ""


def concerns_of(health: Health, clusters: ClusterList, destinations: Sequence[Destination]) -> list[Concern]:
    """All there is to say, the bad before the odd."""
    found = [
        *_of_service(health),
        *(_missing(name, clusters.reasons.get(name, "")) for name in clusters.incomplete),
        *(one for cluster in clusters.data for one in _of_cluster(cluster)),
        *(one for destination in destinations for one in _of_destination(destination)),
        *_dead(clusters.data),
    ]
    return sorted(found, key=lambda one: one.tone != "bad")


def _of_service(health: Health) -> Iterator[Concern]:
    if health.status != "ok":
        yield Concern("bad" if health.status == "unavailable" else "odd", health.detail or f"It is {health.status}.")
    for name, usage in health.usage.items():
        if name != "slots" and usage.limit and usage.used >= _NEARLY_FULL * usage.limit:
            words, share = name.replace("_", " "), 100 * usage.used / usage.limit
            yield Concern("odd", f"Of {words} {usage.used:,} are used, which is {share:.0f} % of what is allowed.")
    for cluster in health.clusters:
        if cluster.breaker == "open":
            yield Concern("bad", f"Calls to the cluster {cluster.name} fail, so its breaker lets none through.")
        for node in cluster.nodes:
            if node.state == "down":
                why = f": {node.detail}" if node.detail else "."
                yield Concern("odd", f"The node {node.url} of {cluster.name} does not answer{why}")


def _missing(name: str, reason: str) -> Concern:
    return Concern("bad", f"The cluster {name} cannot be reached{f': {reason}' if reason else '.'}")


def _of_cluster(cluster: Cluster) -> Iterator[Concern]:
    if cluster.leader is None:
        yield Concern("bad", f"Nobody leads the cluster {cluster.name}; its jobs wait.")
    for node in cluster.nodes:
        if node.halted:
            yield Concern("bad", f"The node {node.name} of {cluster.name} waits for a person: {node.halted}")
    if cluster.clock is not None and not cluster.clock.trusted:
        yield Concern("odd", f"A clock of {cluster.name} is not believed: {cluster.clock.detail or ''}")


def _of_destination(destination: Destination) -> Iterator[Concern]:
    path = f"/dashboard/destination?{urlencode({'host': destination.host})}"
    waiting = "1 job waits" if destination.waiting == 1 else f"{destination.waiting:,} jobs wait"
    if destination.breaker.state != "closed":
        yield Concern("bad", f"{destination.host} fails, so its breaker holds jobs back: {waiting}.", path)
    elif destination.paused and destination.waiting:
        yield Concern("odd", f"{destination.host} is paused: {waiting}.", path)


def _dead(clusters: Sequence[Cluster]) -> Iterator[Concern]:
    dead = sum(one.figures.jobs.get("dead", 0) for one in clusters if one.figures is not None)
    if dead:
        text = f"{dead:,} jobs are dead: look why, and try them again." if dead > 1 else "A job is dead: look why."
        yield Concern("odd", text, "/dashboard/dead")
