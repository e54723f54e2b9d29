"""``hookline cluster …``: who leads, and is it fit."""

from collections.abc import Sequence
from typing import get_args

import msgspec
from cyclopts import App

from hookline.cli import charter, render
from hookline.cli.output import print_json, show_whole, usage_error, warn_incomplete
from hookline.cli.parameters import AnyText
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.sheet import facts
from hookline.client import requests
from hookline.errors import InvalidRequest
from hookline.protocol import http
from hookline.protocol.modes import Mode
from hookline.telemetry.log_events import LogArea, LogLevel
from hookline.visible import visible

app = App(name="cluster", help="Who leads, whether it is fit to take jobs, and whose log etcd holds.")
app.command(charter.init)
app.command(charter.survey)
app.command(charter.recover)


@app.command
def show(name: AnyText | None = None, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show the cluster and its nodes; all clusters, if a proxy has more than one.

    Args:
        name: Of the only cluster to show.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        try:
            found: http.Cluster | http.ClusterList = calls.send(requests.cluster(name))
        except InvalidRequest:
            if name is not None:
                raise
            found = calls.send(requests.clusters())  # a proxy that has more than one
    if service.json:
        print_json(found)
        return
    for cluster in found.data if isinstance(found, http.ClusterList) else [found]:
        show_whole(render.cluster_table(cluster))
        if cluster.runners:
            show_whole(render.runner_table(cluster))
    if isinstance(found, http.ClusterList):
        warn_incomplete(found.incomplete)


@app.command
def mode(mode: Mode, name: AnyText | None = None, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Choose which processes make attempts. Attempts under way go on.

    For example: hookline cluster mode workers

    Args:
        mode: leader: the leader's; hybrid: those of all nodes; workers: only those of hookline worker.
        name: Of the cluster, if a proxy has more than one.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = calls.send(requests.cluster_mode(mode, name))
    if service.json:
        print_json(found)
    else:
        show_whole(render.runner_table(found))


@app.command(name="trust-clock")
def trust_clock(*, service: Service = DEFAULT_SERVICE) -> None:
    """Say that the clock of a node's machine is right, after a jump that nothing else explains.

    Each node answers for itself: give the url of that node, not of a proxy.

    Args:
        service: Where the node is.
    """
    with service.calls() as calls:
        clock = calls.send(requests.trust_clock())
    if service.json:
        print_json(clock)
    else:
        show_whole(render.clock_facts(clock))


@app.command(name="log-levels")
def log_levels(*changes: AnyText, service: Service = DEFAULT_SERVICE) -> None:
    """Show or change from which level on each area of a node's or a proxy's log is written.

    Each process answers for itself, and for those that it has started; what is changed holds until it ends.

    For example: hookline cluster log-levels warning dispatch=debug etcd=debug

    Args:
        changes: AREA=LEVEL, and a LEVEL alone for all areas that are not named. Levels: debug, info, warning, error.
        service: Where the node or proxy is.
    """
    request = requests.change_log_levels(*_changed(changes)) if changes else requests.log_levels()
    with service.calls() as calls:
        found = calls.send(request)
    if service.json:
        print_json(found)
    else:
        show_whole(facts(sorted(found.levels.items())))


def _changed(changes: Sequence[str]) -> tuple[LogLevel | None, dict[LogArea, LogLevel]]:
    """The level of all areas, and those of the named ones."""
    named = dict(change.split("=", 1) for change in changes if "=" in change)
    alone = [change for change in changes if "=" not in change]
    areas, levels = get_args(LogArea), get_args(LogLevel)
    if wrong := [area for area in named if area not in areas]:
        raise usage_error(f"the log has no area {visible(wrong[0])}; there are {', '.join(areas)}")
    if wrong := [level for level in (*alone, *named.values()) if level not in levels]:
        raise usage_error(f"{visible(wrong[0])} is not a level of the log; there are {', '.join(levels)}")
    if len(alone) > 1 or len(named) + len(alone) < len(changes):
        raise usage_error("give each area, and the level of all others, once")
    return msgspec.convert((alone[0] if alone else None, named), tuple[LogLevel | None, dict[LogArea, LogLevel]])


@app.command
def health(*, service: Service = DEFAULT_SERVICE) -> int:
    """Say whether the node is fit to take jobs; the exit code is 0 only if it is.

    Args:
        service: Where Hookline is.
    """
    with service.calls() as calls:
        answer = calls.send(requests.health())
    if service.json:
        print_json(answer)
    else:
        show_whole(render.health_facts(answer))
    return int(answer.status != "ok")
