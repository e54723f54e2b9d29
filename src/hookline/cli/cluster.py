"""``hookline cluster …``: who leads, and is it fit."""

from cyclopts import App

from hookline.cli import charter, render
from hookline.cli.output import print_json, show_whole
from hookline.cli.parameters import AnyText
from hookline.cli.service import DEFAULT_SERVICE, Service

app = App(name="cluster", help="Who leads, whether it is fit to take jobs, and whose log etcd holds.")
app.command(charter.init)
app.command(charter.survey)
app.command(charter.recover)


@app.command
def show(name: AnyText | None = None, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show the cluster and its nodes.

    Args:
        name: Of the cluster, when a proxy has more than one.
        service: Where Hookline is.
    """
    with service.client() as client:
        cluster = client.cluster(name)
    if service.json:
        print_json(cluster)
    else:
        show_whole(render.cluster_table(cluster))


@app.command(name="trust-clock")
def trust_clock(*, service: Service = DEFAULT_SERVICE) -> None:
    """Say that the clock of a node's machine is right, after a jump that nothing else explains.

    Each node answers for itself: give the url of that node, not of a proxy.

    Args:
        service: Where the node is.
    """
    with service.client() as client:
        clock = client.trust_clock()
    if service.json:
        print_json(clock)
    else:
        show_whole(render.clock_facts(clock))


@app.command
def health(*, service: Service = DEFAULT_SERVICE) -> int:
    """Say whether the node is fit to take jobs; the exit code is 0 only if it is.

    Args:
        service: Where Hookline is.
    """
    with service.client() as client:
        answer = client.health()
    if service.json:
        print_json(answer)
    else:
        show_whole(render.health_facts(answer))
    return int(answer.status != "ok")
