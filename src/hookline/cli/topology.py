"""``hookline topology …``: which clusters there are, where ids go, and what a change would move."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError
from msgspec import UNSET
from msgspec.structs import replace
from rich.table import Table

from hookline.cli import inputs
from hookline.cli.output import print_json, stdout
from hookline.cli.parameters import AnyText, File, Flag
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests, topology_requests
from hookline.errors import InvalidConfig, RouteNotFound
from hookline.protocol.routing import Router
from hookline.protocol.topology import Topology, parse_topology_file
from hookline.protocol.topology_change import added_previous, check_change, completed

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

SAMPLES = 20_000

app = App(name="topology", help="Which clusters there are, and where ids go. Asks a proxy.")


@contextmanager
def _proxy(service: Service) -> "Iterator[Calls]":
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


@app.command
def show(*, service: Service = DEFAULT_SERVICE) -> None:
    """Show the topology that the proxy has.

    Args:
        service: Where Hookline is; a proxy.
    """
    with _proxy(service) as calls:
        topology = calls.send(topology_requests.topology())
    _print(topology, as_json=service.json)


@app.command
def validate(file: File, *, json: Flag = False) -> None:
    """Check a topology file; asks nobody.

    Args:
        file: TOML, as for hookline proxy; - for stdin.
        json: Print exactly one JSON document on stdout.
    """
    _print(read(file), as_json=json)


@app.command
def apply(file: File, *, force: Flag = False, with_ids: Flag = False, service: Service = DEFAULT_SERVICE) -> int:
    """Give a newer topology to the proxy and to all clusters; the exit code is 0 only if all have it now.

    Args:
        file: TOML, or - for stdin; its epoch is one more than the present one.
        force: Take it as it is, though a change is open or ids move without ``previous``. Ids may be made twice.
        with_ids: Write the id of each cluster that the proxy reaches into it: no other cluster is then taken for it.
        service: Where Hookline is; a proxy.
    """
    topology = read(file)
    with _proxy(service) as calls:
        if with_ids:
            topology = identified(
                topology, {cluster.name: cluster.id for cluster in calls.send(requests.clusters()).data}
            )
        applied = calls.send(topology_requests.apply_topology(topology, force=force))
    if service.json:
        print_json(applied)
    else:
        table = Table("cluster", "answer", box=None, pad_edge=False)
        for name, answer in applied.clusters.items():
            table.add_row(name, answer)
        stdout().print(table, soft_wrap=True)
        for note in applied.notes:
            stdout().print(note, soft_wrap=True)
        stdout().print(f"epoch {applied.epoch}; a cluster that was away learns it when it is back", soft_wrap=True)
    return int(any(answer != "ok" for answer in applied.clusters.values()))


@app.command
def plan(file: File, *, service: Service = DEFAULT_SERVICE) -> None:
    """Say which share of ids and keys a topology would give another home; changes nothing.

    Args:
        file: TOML, or - for stdin; what would be applied.
        service: Where Hookline is; a proxy, which knows the present topology.
    """
    new = read(file)
    with _proxy(service) as calls:
        old = calls.send(topology_requests.topology())
    whole = completed(old, new)
    check_change(old, whole)
    notes = [added_previous(old)] if whole != new else []
    moves = moving(old, new)
    share = sum(moves.values())
    if service.json:
        parts = [{"from": a, "to": b, "share": part} for (a, b), part in moves.items()]
        print_json({"share": share, "moves": parts, "notes": notes})
        return
    table = Table("from", "to", "share of ids", box=None, pad_edge=False)
    for (before, after), part in sorted(moves.items()):
        table.add_row(before, after, f"{part:.1%}")
    stdout().print(table)
    stdout().print(f"{share:.1%} of ids and keys chosen by clients get another home; ids minted here stay.")
    if new.strategy == "modulo" and share > 0.5:
        stdout().print('With strategy = "ring" about the share of the new cluster would move.', style="yellow")
    for note in notes:
        stdout().print(f"On apply: {note}", soft_wrap=True)


@app.command
def route(job_id: AnyText, *, service: Service = DEFAULT_SERVICE) -> None:
    """Explain where an id goes.

    Args:
        job_id: of a job or a schedule.
        service: Where Hookline is; a proxy.
    """
    with _proxy(service) as calls:
        found = calls.send(topology_requests.route(job_id))
    if service.json:
        print_json(found)
        return
    for number, step in enumerate(found.steps, 1):
        stdout().print(f"{number}. {step}", soft_wrap=True)
    stdout().print(f"{job_id} is at home in {found.cluster} (shard {found.shard})", soft_wrap=True)


def read(file: Path) -> Topology:
    """The topology in a file, or in stdin (``-``). Raises InvalidConfig, InvalidTopology."""
    try:
        text = inputs.read_file(str(file)).decode()
    except CycloptsError as error:
        raise InvalidConfig(str(error), field="file") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{file} cannot be read: it is not UTF-8", field="file") from error
    return parse_topology_file(text)


def identified(topology: Topology, ids: Mapping[str, str | None]) -> Topology:
    """With the ids of the clusters that have none and whose id is known, by name."""
    clusters = (
        replace(entry, id=ids.get(entry.name) or UNSET) if entry.id is UNSET else entry for entry in topology.clusters
    )
    return replace(topology, clusters=tuple(clusters))


def moving(old: Topology, new: Topology) -> dict[tuple[str, str], float]:
    """(old home, new home) to the share of ids that would move between them, of a fixed sample."""
    before, after = Router(old), Router(new)
    samples = (f"sample-{number}" for number in range(SAMPLES))
    pairs = Counter((before.key_home(it).cluster.name, after.key_home(it).cluster.name) for it in samples)
    return {pair: count / SAMPLES for pair, count in pairs.items() if pair[0] != pair[1]}


def _print(topology: Topology, *, as_json: bool) -> None:
    if as_json:
        print_json(topology)
        return
    table = Table("cluster", "shard", "weight", "id", "nodes", box=None, pad_edge=False)
    for entry in topology.clusters:
        id_ = "-" if entry.id is UNSET else entry.id[:8]
        table.add_row(entry.name, str(entry.shard), str(entry.weight), id_, " ".join(entry.nodes))
    stdout().print(f"epoch {topology.epoch}, strategy {topology.strategy}")
    stdout().print(table, soft_wrap=True)
    if topology.previous is not None:
        before = ", ".join(entry.name for entry in topology.previous.clusters)
        stdout().print(f"a change is under way; before it: {topology.previous.strategy} over {before}")
