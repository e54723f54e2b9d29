"""``hookline topology …``: which clusters there are, where ids go, and what a change would move."""

import msgspec
from cyclopts import App
from msgspec import UNSET
from rich.table import Table

from hookline.cli import topology_moves
from hookline.cli.output import print_json, stdout
from hookline.cli.parameters import AnyText, File, Flag
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.topology_file import TopologyFile
from hookline.cli.topology_moves import at_proxy
from hookline.client import topology_requests
from hookline.protocol.topology import Topology

app = App(name="topology", help="Which clusters there are, where ids go, and what moves by a change. Asks a proxy.")


for command in topology_moves.COMMANDS:
    app.command(command)


@app.command
def show(*, service: Service = DEFAULT_SERVICE) -> None:
    """Show the topology that the proxy has.

    Args:
        service: Where Hookline is; a proxy.
    """
    with at_proxy(service) as calls:
        topology = calls.send(topology_requests.topology())
    _print(topology, as_json=service.json)


@app.command
def validate(file: File, *, json: Flag = False) -> None:
    """Check a topology file; asks nobody. Without an epoch, it is the next one when it is applied.

    Args:
        file: TOML, as for hookline proxy; - for stdin.
        json: Print exactly one JSON document on stdout.
    """
    given = TopologyFile(file)
    _print(given.parse(), as_json=json, has_epoch=given.has_epoch)


@app.command
def route(job_id: AnyText, *, service: Service = DEFAULT_SERVICE) -> None:
    """Explain where an id goes.

    Args:
        job_id: of a job or a schedule.
        service: Where Hookline is; a proxy.
    """
    with at_proxy(service) as calls:
        found = calls.send(topology_requests.route(job_id))
    if service.json:
        print_json(found)
        return
    for number, step in enumerate(found.steps, 1):
        stdout().print(f"{number}. {step}", soft_wrap=True)
    stdout().print(f"{job_id} is at home in {found.cluster} (shard {found.shard})", soft_wrap=True)


def _print(topology: Topology, *, as_json: bool, has_epoch: bool = True) -> None:
    if as_json:
        found = msgspec.to_builtins(topology)
        print_json(found if has_epoch else {name: value for name, value in found.items() if name != "epoch"})
        return
    table = Table("cluster", "shard", "weight", "id", "nodes", box=None, pad_edge=False)
    for entry in topology.clusters:
        id_ = "-" if entry.id is UNSET else entry.id[:8]
        table.add_row(entry.name, str(entry.shard), str(entry.weight), id_, " ".join(entry.nodes))
    stdout().print(f"epoch {topology.epoch if has_epoch else '-'}, strategy {topology.strategy}")
    stdout().print(table, soft_wrap=True)
    if topology.previous is not None:
        before = ", ".join(entry.name for entry in topology.previous.clusters)
        stdout().print(f"a change is under way; before it: {topology.previous.strategy} over {before}")
