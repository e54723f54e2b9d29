"""``hookline cluster init, survey, recover``: whose log etcd holds, and what a person decides when it was lost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.etcd_options import DEFAULT_ETCD_ADDRESS, EtcdAddressOptions
from hookline.cli.output import print_json, show_whole, stderr, stdout
from hookline.cli.parameters import Flag, NamedPath
from hookline.cli.sheet import Column, Sheet, facts
from hookline.cli.trust_options import DEFAULT_TRUST, TrustOptions
from hookline.errors import InvalidConfig

if TYPE_CHECKING:
    from hookline.node.etcd.charters import Charters
    from hookline.node.etcd.statuses import NodeStatus
    from hookline.node.history.recovery import Candidate
    from hookline.node.identity import Charter, Log
    from hookline.tls.live import LiveTls

T = TypeVar("T")


def init(
    *, quorum: EtcdAddressOptions = DEFAULT_ETCD_ADDRESS, cluster: str = "c0", shard: int = 0, json: Flag = False
) -> None:
    """Begin a new cluster, once: give it an id in etcd. Its nodes wait for that.

    Args:
        cluster: Name of the cluster.
        shard: Number of the cluster; never use one again for another cluster.
        quorum: Where etcd is.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.clock import SystemClock
    from hookline.node.history.interface import CLUSTER_ID_BYTES
    from hookline.node.identity import Charter

    fresh = Charter(cluster_id=SystemClock().token(CLUSTER_ID_BYTES).hex(), cluster=cluster, shard=shard)

    async def begin(charters: "Charters", statuses: "list[NodeStatus]") -> "Charter":
        found, log = await charters.read(0)
        if found is not None:
            raise InvalidConfig(
                f"etcd holds cluster {cluster} already: id {found.cluster_id}, generation {found.generation}, entries "
                f"up to {log.last or found.begins_after}. Nothing was changed",
                field="cluster",
            )
        for status in statuses:
            if status.applied:
                raise InvalidConfig(
                    f"node {status.name} has the state of cluster {cluster} up to entry {status.applied}: it is not "
                    f"new. Go on with it: hookline cluster recover --cluster {cluster} --etcd … --from {status.name}",
                    field="cluster",
                )
        begun = await charters.begin(fresh)
        if begun is None:
            raise InvalidConfig(
                f"etcd holds a log of cluster {cluster} up to entry {log.last}, and not whose it is; somebody removed "
                "that. Nothing was changed. See docs/how-to/etcd-was-lost.md",
                field="cluster",
            )
        return begun

    charter = _with_etcd(quorum, cluster, begin)
    if charter != fresh:
        raise InvalidConfig(f"somebody else began cluster {cluster} at the same time: id {charter.cluster_id}")
    if json:
        print_json({"cluster": cluster, "shard": shard, "id": charter.cluster_id})
    else:
        show_whole(facts((("cluster", cluster), ("shard", shard), ("id", charter.cluster_id))))


def survey(
    *,
    quorum: EtcdAddressOptions = DEFAULT_ETCD_ADDRESS,
    cluster: str = "c0",
    root_key_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_ROOT_KEY_FILE")] = None,
    trust: TrustOptions = DEFAULT_TRUST,
    json: Flag = False,
) -> None:
    """Show what etcd holds of a cluster and what its nodes have, so that you can choose; changes nothing.

    Nodes that run tell about themselves, also while they wait; start them all first.

    Args:
        cluster: Name of the cluster.
        root_key_file: A file that holds the root key of the nodes, if they have one; or have it in HOOKLINE_ROOT_KEY.
        quorum: Where etcd is.
        trust: For nodes with https addresses.
        json: Print exactly one JSON document on stdout.
    """

    async def look(charters: "Charters", statuses: "list[NodeStatus]") -> "tuple[Charter | None, Log]":
        charter, log = await charters.read(0)
        found.extend(statuses)
        candidates.update(await _ask(statuses, charter, root_key_file, tls))
        return charter, log

    tls = trust.tls()
    found: list[NodeStatus] = []
    candidates: dict[str, Candidate] = {}
    charter, log = _with_etcd(quorum, cluster, look)
    if json:
        print_json({"charter": charter, "log": {"first": log.first, "last": log.last}, "nodes": found})
        return
    _show_charter(charter, log)
    columns = ("NODE", "ROLE", "CLUSTER ID", "GENERATION", "ENTRY", "DIGEST", "WHY")
    sheet = Sheet([Column(name) for name in columns], form="wide")
    for status in found:
        candidate = candidates[status.name]
        position = candidate.position
        id_, digest = position.cluster_id[:8] or "-", position.digest[:8] or "-"
        why = (status.halted or "") if candidate.answers else "does not answer; it told this once, and may have more"
        sheet.add(status.name, status.role, id_, str(position.generation), str(position.applied), digest, why)
    show_whole(sheet)


def recover(
    *,
    quorum: EtcdAddressOptions = DEFAULT_ETCD_ADDRESS,
    cluster: str = "c0",
    source: Annotated[str, Parameter(name="--from")],
    root_key_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_ROOT_KEY_FILE")] = None,
    force: Flag = False,
    trust: TrustOptions = DEFAULT_TRUST,
    json: Flag = False,
) -> None:
    """Begin the log anew on the state of one node; the others take that over, and keep what they have aside.

    For a cluster whose etcd was emptied, set back or lost, or that was restored from a backup. Look with "hookline
    cluster survey" first, and choose the node with the newest entry.

    Args:
        cluster: Name of the cluster.
        source: The node whose state counts, by its name, while it runs; or the data directory of one that does not.
        root_key_file: A file that holds the root key of the nodes, if they have one; or have it in HOOKLINE_ROOT_KEY.
        quorum: Where etcd is.
        force: Also when the choice leaves jobs behind in a state that is kept aside.
        trust: For nodes with https addresses.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.node.history.recovery import plan_recovery
    from hookline.node.membership.home import known_home

    async def begin_again(charters: "Charters", statuses: "list[NodeStatus]") -> "Charter":
        charter, log = await charters.read(0)
        home = known_home(Path(source))
        others = [it for it in statuses if home is None or it.home != home]
        candidates = await _ask(others, charter, root_key_file, trust.tls())
        chosen = candidates.pop(source, None) or _on_disk(source)
        _refuse_silent(chosen)
        planned = plan_recovery(chosen, [*candidates.values()], charter, log, force=force)
        if planned.cluster != cluster:
            raise InvalidConfig(f"{source} has the state of cluster {planned.cluster}, not of {cluster}", field="from")
        if not await charters.replace(charter, planned):
            raise InvalidConfig(
                "somebody else has changed the cluster meanwhile; look again with: hookline cluster survey"
            )
        return planned

    planned = _with_etcd(quorum, cluster, begin_again)
    if json:
        print_json(planned)
        return
    stdout().print(
        f"cluster {planned.cluster} (id {planned.cluster_id}) goes on in generation {planned.generation} from the "
        f"state of {source} at entry {planned.begins_after}.",
        soft_wrap=True,
    )
    stderr().print(
        "The nodes go on by themselves. A state that is replaced is kept: hookline state show DIR", soft_wrap=True
    )


def _with_etcd(
    quorum: EtcdAddressOptions, cluster: str, work: "Callable[[Charters, list[NodeStatus]], Awaitable[T]]"
) -> T:
    from hookline.node.etcd.charters import Charters
    from hookline.node.etcd.client import EtcdClient, EtcdDenied, EtcdRefused, EtcdUnclear
    from hookline.node.etcd.keys import Keys
    from hookline.node.etcd.statuses import read_statuses

    async def run() -> T:
        client, keys = EtcdClient(quorum.address()), Keys(cluster)
        try:
            return await work(Charters(client, keys), await read_statuses(client, keys))
        except EtcdDenied as error:
            raise InvalidConfig(error.detail, field="etcd_user") from error
        except (EtcdUnclear, EtcdRefused) as error:
            raise InvalidConfig(f"etcd does not answer: {error.detail}. Are the urls right?", field="etcd") from error
        finally:
            await client.close()

    return asyncio.run(run())


async def _ask(
    statuses: "list[NodeStatus]", charter: "Charter | None", root_key_file: Path | None, tls: "LiveTls"
) -> "dict[str, Candidate]":
    """The nodes with their states. Raises InvalidConfig when they want a proof that we do not have."""
    from hookline.clock import SystemClock
    from hookline.node.membership.positions import ask_candidates
    from hookline.peers.proven_sender import proven_sender
    from hookline.protocol.proofs import proof_key
    from hookline.telemetry.logs import configure_logs

    configure_logs(as_json=False, level="critical")  # what nodes refuse is said below
    root_key = inputs.root_keys(root_key_file).get("root_key")
    key = None if root_key is None else proof_key(root_key.encode())
    async with proven_sender(key, SystemClock(), tls=tls) as sender:
        found = await ask_candidates(sender, statuses, charter)
    if sender.refusing:
        raise InvalidConfig(
            f"these nodes have another root key than this command: {', '.join(sorted(sender.refusing))}. Give theirs "
            "with --root-key-file",
            field="root_key_file",
        )
    return found


def _refuse_silent(chosen: "Candidate") -> None:
    if not chosen.answers:
        raise InvalidConfig(
            f"node {chosen.position.node} does not answer, so nobody knows what state it has. Start it; or run this "
            "where its disk is, with its data directory as --from",
            field="from",
        )


def _on_disk(source: str) -> "Candidate":
    """The state in a data directory. Raises InvalidConfig when there is none."""
    from hookline.node.history.recovery import Candidate
    from hookline.node.identity import Position
    from hookline.node.leadership.local import LocalLeadership
    from hookline.node.storage.snapshots import STATE_FILE, read_position

    directory = Path(source)
    if not (directory / STATE_FILE).is_file():
        raise InvalidConfig(
            f"no node {source} has told about itself, and there is no data directory of that name; see: hookline "
            "cluster survey",
            field="from",
        )
    lock = LocalLeadership(directory)
    lock.lock()
    try:
        found = read_position(directory / STATE_FILE)
    finally:
        lock.unlock()
    position = Position(
        node=source,
        cluster_id=found.cluster_id,
        cluster=found.cluster,
        shard=found.shard,
        generation=found.generation,
        applied=found.index,
        digest=found.digest,
    )
    return Candidate(position, is_waiting=True)


def _show_charter(charter: "Charter | None", log: "Log") -> None:
    if charter is None:
        stdout().print("etcd holds no such cluster")
        return
    pairs: list[tuple[str, Any]] = [
        ("cluster", f"{charter.cluster}, shard {charter.shard}, id {charter.cluster_id}"),
        ("generation", f"{charter.generation}, begun after entry {charter.begins_after}"),
        ("log", f"entries {log.first} to {log.last}" if log.last else "empty"),
    ]
    show_whole(facts(pairs))
