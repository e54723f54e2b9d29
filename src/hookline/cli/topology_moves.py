"""``hookline topology plan, apply, status, pause, resume, abort, balance``: what moves when the topology changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter
from msgspec import UNSET
from msgspec.structs import replace
from rich.table import Table

from hookline.cli import move_view
from hookline.cli.output import print_json, stderr, stdout, usage_error
from hookline.cli.parameters import File, Flag, NamedPath
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.topology_file import TopologyFile, identified, text_of
from hookline.client import requests, topology_requests
from hookline.client.requests import Request
from hookline.errors import InvalidConfig, RouteNotFound
from hookline.protocol.http import TopologyApplied
from hookline.protocol.http_moves import TopologyStatus
from hookline.protocol.topology import Placement, Topology
from hookline.protocol.topology_change import is_completed, leaving, placement_of, same_homes

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_INTERRUPTED = 130
_GOES_ON = (
    "The change goes on without this command. hookline topology status --watch shows it again; pause, resume and abort"
    " do what they say."
)
MoveRate = Annotated[int | None, Parameter(show_default=False)]


class _Applied(TopologyApplied, frozen=True, kw_only=True):
    """The result of ``apply --json``, and how far the change is; at the end, unless it was not waited for."""

    status: TopologyStatus | None = None


@contextmanager
def at_proxy(service: Service) -> "Iterator[Calls]":
    """Calls to a proxy; a node has no such calls, and says so in terms of HTTP."""
    with service.calls() as calls:
        try:
            yield calls
        except RouteNotFound as error:
            where = service.place().url
            raise InvalidConfig(
                f"{where} is not a proxy: a node has no topology to show or to change; give --url of a proxy",
                field="url",
            ) from error


def plan(file: File, *, rate: MoveRate = None, with_finished: Flag = False, service: Service = DEFAULT_SERVICE) -> int:
    """Say what a topology would move, and how long that takes; changes nothing. The exit code is 1 if it is refused.

    Args:
        file: TOML, or - for stdin; what would be applied. Without an epoch it is the next one.
        rate: As for apply.
        with_finished: As for apply.
        service: Where Hookline is; a proxy.
    """
    given = TopologyFile(file)
    given.parse()
    with at_proxy(service) as calls:
        old = calls.send(topology_requests.topology())
        new = _next(given, old, rate, with_finished=with_finished)
        if not given.has_epoch:  # also what is in force already is shown
            new = replace(new, epoch=old.epoch + 1)
        found = calls.send(topology_requests.plan_topology(new))
    if service.json:
        print_json(found)
    else:
        move_view.show_plan(found, new.strategy)
    return int(bool(found.problems))


def apply(
    file: File,
    *,
    rate: MoveRate = None,
    with_finished: Flag = False,
    no_wait: Flag = False,
    force: Flag = False,
    with_ids: Flag = False,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Give a newer topology to the proxy and to all clusters, and show how jobs and schedules move by it.

    Ctrl-C ends this command, and not the change. The exit code is 0 only if all clusters have the topology now.

    Args:
        file: TOML, or - for stdin. Its epoch is one more than the present one; without an epoch it is that.
        rate: Jobs a second out of each cluster at most. [as many as deliveries leave room for]
        with_finished: Move the finished jobs of clusters that are taken out as well.
        no_wait: Do not wait until everything has moved.
        force: Take it as it is, though a change is under way or ids move without ``previous``. Ids may be made twice.
        with_ids: Write the id of each cluster that the proxy reaches into it: no other cluster is then taken for it.
        service: Where Hookline is; a proxy.
    """
    given = TopologyFile(file)
    given.parse()
    with at_proxy(service) as calls:
        old = calls.send(topology_requests.topology())
        new = _next(given, old, rate, with_finished=with_finished)
        if with_ids:
            ids = {cluster.name: cluster.id for cluster in calls.send(requests.clusters()).data}
            new = identified(new, ids)
        applied = calls.send(topology_requests.apply_topology(new, force=force))
        is_everywhere = all(answer == "ok" for answer in applied.clusters.values())
        if not service.json:
            _tell_applied(applied)
        status = calls.send(topology_requests.topology_status())
        goes = [entry.name for entry in leaving(replace(new, previous=_placement(old)))]
        if not no_wait and (status.state != "stable" or goes):
            status = _followed(calls, service)
            is_everywhere = _is_kept(calls, new)
            if is_everywhere and goes:
                status = move_view.await_free(calls, goes, is_silent=service.json)
    if service.json:
        print_json(_Applied(applied.epoch, applied.clusters, applied.notes, status=status))
    return int(not is_everywhere)


def _next(given: TopologyFile, old: Topology, rate: int | None, *, with_finished: bool) -> Topology:
    """The topology of the file; without an epoch the one in force, if it says the same, or else the next one."""
    same = _paced(given.parse(old.epoch), rate, with_finished=with_finished)
    if given.has_epoch:
        return same
    if old.previous is not None and same.previous is None and same_homes(placement_of(old), placement_of(same)):
        # The change that is under way, perhaps at another pace or with other urls; not its end.
        new = _paced(old, rate, with_finished=with_finished)
        same = replace(new, clusters=same.clusters)
    return same if is_completed(same, old) else replace(same, epoch=old.epoch + 1)


def _is_kept(calls: "Calls", new: Topology) -> bool:
    """Say so if somebody took the change back meanwhile, or changed something else."""
    found = calls.send(topology_requests.topology())
    if same_homes(placement_of(found), placement_of(new)):
        return True
    stderr().print(
        f"epoch {found.epoch} is another topology by now: the change was taken back, or another one came",
        style="yellow",
        soft_wrap=True,
    )
    return False


def _paced(topology: Topology, rate: int | None, *, with_finished: bool) -> Topology:
    move = topology.move
    move = replace(move, rate=move.rate if rate is None else rate, with_finished=move.with_finished or with_finished)
    return replace(topology, move=move)


def _placement(old: Topology) -> Placement:
    return Placement(strategy=old.strategy, clusters=tuple(old.all_clusters()))


def _tell_applied(applied: TopologyApplied) -> None:
    table = Table("cluster", "answer", box=None, pad_edge=False)
    for name, answer in applied.clusters.items():
        table.add_row(name, answer)
    stdout().print(table, soft_wrap=True)
    for note in applied.notes:
        stdout().print(note, soft_wrap=True)
    stdout().print(f"epoch {applied.epoch}; a cluster that was away learns it when it is back", soft_wrap=True)


def _followed(calls: "Calls", service: Service) -> TopologyStatus:
    try:
        return move_view.follow(calls, is_silent=service.json)
    except KeyboardInterrupt:
        stderr().print(_GOES_ON, soft_wrap=True)
        raise


def status(*, watch: Flag = False, service: Service = DEFAULT_SERVICE) -> None:
    """Say how far a change of the topology is.

    Args:
        watch: Show it until it has ended. With --json: as it is at the end.
        service: Where Hookline is; a proxy.
    """
    with at_proxy(service) as calls:
        found = _followed(calls, service) if watch else calls.send(topology_requests.topology_status())
    _print(found, service)


def pause(*, service: Service = DEFAULT_SERVICE) -> None:
    """Let nothing move until the change is resumed.

    Args:
        service: Where Hookline is; a proxy.
    """
    _change(topology_requests.pause_move(), service)


def resume(*, rate: MoveRate = None, full_speed: Flag = False, service: Service = DEFAULT_SERVICE) -> None:
    """Let the change go on; or change how fast, also while it is not paused.

    Args:
        rate: Jobs a second out of each cluster at most. [as before]
        full_speed: As many as deliveries leave room for.
        service: Where Hookline is; a proxy.
    """
    if full_speed and rate is not None:
        raise usage_error("--full-speed takes the rate away; give one of both.")
    _change(topology_requests.resume_move(None if full_speed else UNSET if rate is None else rate), service)


def abort(*, service: Service = DEFAULT_SERVICE) -> None:
    """Take the change back: all that has moved goes back. Once more, and it goes on as before.

    Args:
        service: Where Hookline is; a proxy.
    """
    _change(topology_requests.abort_move(), service)


def _change(request: Request[TopologyStatus], service: Service) -> None:
    with at_proxy(service) as calls:
        found = calls.send(request)
    _print(found, service)


def _print(found: TopologyStatus, service: Service) -> None:
    if service.json:
        print_json(found)
    else:
        move_view.show_status(found)


def balance(*, seconds: int | None = None, out: NamedPath | None = None, service: Service = DEFAULT_SERVICE) -> None:
    """Propose weights of a ring by which all clusters would do the same; changes nothing.

    Args:
        seconds: For how long the load is measured, up to 20. [5]
        out: A file to write the proposed topology into, which must not exist; give it to plan and apply.
        service: Where Hookline is; a proxy.
    """
    with at_proxy(service) as calls:
        found = calls.send(topology_requests.balance_topology(seconds))
    if service.json:
        print_json(found)
    else:
        move_view.show_balance(found)
    if out is not None and found.proposal is not None:
        _write(out, text_of(msgspec.convert(found.proposal, Topology)))
        stderr().print(f"written: {out}", soft_wrap=True)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise usage_error(f"{path} exists; choose another name.") from error


COMMANDS = (plan, apply, status, pause, resume, abort, balance)
