"""Judges what a running Hookline says of itself. Pure."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from hookline.cli.doctor.finding import Ailment, Finding, judged, unchecked
from hookline.cli.doctor.fleet import HeardFleet, HeardProcess
from hookline.protocol import http
from hookline.protocol.durations import parse_time

_DAY_MS: Final = 86_400_000
_SOON_MS: Final = 7 * _DAY_MS
_CLOCK_AWAY_MS: Final = 1_000
_NAMES: Final = ("service", "nodes", "versions", "topology", "moves", "api-keys")
_CLUSTER_DOWN: Final = "docs/how-to/cluster-down.md"
_CLOCK_WRONG: Final = "docs/how-to/clock-wrong.md"
_KEYS: Final = "docs/how-to/use-api-keys.md"


def service_findings(fleet: HeardFleet, own_version: str, now_ms: int, *, is_named: bool) -> Iterator[Finding]:
    """All but the clocks.

    Args:
        fleet: what was heard.
        own_version: of this command.
        now_ms: by this machine's clock.
        is_named: somebody said where Hookline is; else it may not run yet.
    """
    if fleet.door is None and not is_named:
        where = ", ".join(one.url for one in fleet.doors)
        for name in _NAMES:
            yield unchecked(name, f"nothing answers at {where}; if it runs elsewhere, say so with --url")
        return
    yield judged("service", _fine_service(fleet), _service(fleet))
    if fleet.door is None:
        for name in _NAMES[1:]:
            yield unchecked(name, "nothing answers")
        return
    yield _judged(
        fleet, "/clusters", "nodes", _counted(len(fleet.nodes), "node answers", "nodes answer"), _nodes(fleet)
    )
    yield judged("versions", f"all are {own_version}", _versions(fleet, own_version))
    if fleet.door.health is not None and fleet.door.health.role != "proxy":
        yield unchecked("topology", "a node was asked; only a proxy knows all clusters")
        yield unchecked("moves", "a node was asked; only a proxy knows how far a change is")
    else:
        yield _judged(fleet, "/topology", "topology", _fine_topology(fleet), _topology(fleet))
        state = "" if fleet.moves is None else fleet.moves.state
        yield _judged(fleet, "/topology/status", "moves", f"the topology is {state}", _moves(fleet))
    yield _api_keys(fleet, now_ms)


def _judged(fleet: HeardFleet, path: str, name: str, fine: str, troubles: Iterator[Ailment]) -> Finding:
    paths = (path, "/cluster") if path == "/clusters" else (path,)
    why = next((fleet.refused[one] for one in paths if one in fleet.refused), None)
    return judged(name, fine, troubles) if why is None else unchecked(name, why)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


# --- is it there, and fit -------------------------------------------------------------------------------------


def _fine_service(fleet: HeardFleet) -> str:
    return ", ".join(f"{one.url} is a {one.health.role}, and ok" for one in fleet.doors if one.health is not None)


def _service(fleet: HeardFleet) -> Iterator[Ailment]:
    for one in fleet.doors:
        if one.health is None:
            fix = "Start it, or correct --url; if it runs, look whether a firewall is between"
            yield Ailment(f"{one.url} does not answer: {one.why}", fix)
        elif one.health.status != "ok" or one.health.detail:
            text = f"{one.url} is {one.health.status}: {one.health.detail or 'it does not say why'}"
            yield Ailment(text, f"Do what it says; see {_CLUSTER_DOWN}", is_wrong=one.health.status != "ok")
        if one.health is not None:
            yield from _usage(one.url, one.health)


def _usage(url: str, health: http.Health) -> Iterator[Ailment]:
    for name, usage in health.usage.items():
        if name != "slots" and usage.limit and usage.used >= 0.8 * usage.limit:
            text = f"{url} has used {usage.used:,} of {usage.limit:,} {name.replace('_', ' ')}"
            yield Ailment(text, "Raise the limit, or make room; see docs/how-to/limits.md", is_wrong=False)


def _nodes(fleet: HeardFleet) -> Iterator[Ailment]:
    for one in fleet.nodes:
        if one.health is None:
            text = f"the node {one.url} of {fleet.cluster_of(one.url)} does not answer from here: {one.why}"
            yield Ailment(text, f"Start it, or let this machine reach it; see {_CLUSTER_DOWN}")
        elif one.health.status == "unavailable" and one not in fleet.doors:
            text = f"the node {one.url} is unavailable: {one.health.detail or ''}"
            yield Ailment(text, f"Do what it says; see {_CLUSTER_DOWN}")
    for name, why in fleet.incomplete.items():
        yield Ailment(f"the cluster {name} cannot be reached: {why}", f"See {_CLUSTER_DOWN}")
    for cluster in fleet.clusters or ():
        if cluster.leader is None:
            yield Ailment(f"nobody leads the cluster {cluster.name}", f"See {_CLUSTER_DOWN}")
        for node in cluster.nodes:
            if node.halted:
                text = f"the node {node.name} of {cluster.name} waits for a person: {node.halted}"
                yield Ailment(text, "See docs/how-to/etcd-was-lost.md")


# --- do they agree --------------------------------------------------------------------------------------------


def _versions(fleet: HeardFleet, own_version: str) -> Iterator[Ailment]:
    found = {f"{one.health.role} {one.url}": one.version for one in fleet.doors if one.health and one.version}
    for cluster in fleet.clusters or ():
        found |= {f"node {node.name} of {cluster.name}": node.version for node in cluster.nodes}
    by_version: dict[str, list[str]] = {}
    for who, version in found.items():
        by_version.setdefault(version, []).append(who)
    if len(by_version) > 1:
        listed = ", ".join(f"{version}: {', '.join(whose)}" for version, whose in by_version.items())
        fix = "Finish the upgrade: all nodes and proxies are to have one version"
        yield Ailment(f"they have different versions ({listed})", fix)
    elif by_version and own_version not in by_version:
        text = f"this command is {own_version}, and Hookline is {next(iter(by_version))}"
        yield Ailment(text, "Install the same version here: pip install 'hookline[cli]==…'", is_wrong=False)


def _fine_topology(fleet: HeardFleet) -> str:
    topology = fleet.topology
    return "" if topology is None else f"all know epoch {topology.epoch} with {len(topology.clusters)} clusters"


def _topology(fleet: HeardFleet) -> Iterator[Ailment]:
    topology = fleet.topology
    if topology is None:
        return
    healths = [(one.url, one.health) for one in fleet.processes if one.health is not None]
    newest = max((health.epoch for _, health in healths), default=topology.epoch)
    behind = [f"{url} knows epoch {health.epoch}" for url, health in healths if health.epoch != newest]
    fix = "It learns the newest within seconds; if not, apply it again: hookline topology apply FILE"
    if behind:
        yield Ailment(f"the newest epoch is {newest}, and {', '.join(behind)}", fix)
    digests = {health.topology for _, health in healths if health.epoch == newest and health.topology}
    if len(digests) > 1:
        yield Ailment(f"there are {len(digests)} documents with the epoch {newest}", "Apply one with a newer epoch")
    shards = [entry.shard for entry in topology.clusters]
    if twice := sorted({shard for shard in shards if shards.count(shard) > 1}):
        yield Ailment(f"several clusters have the shard {twice[0]}", "Give each cluster a shard of its own")
    yield from _whose(fleet, dict(healths))


def _whose(fleet: HeardFleet, healths: Mapping[str, http.Health]) -> Iterator[Ailment]:
    fix = "Correct the document, or the node's --cluster and --shard: hookline topology apply FILE"
    entries = () if fleet.topology is None else fleet.topology.clusters
    for entry in entries:
        for url in entry.nodes:
            health = healths.get(url)
            if health is not None and (health.cluster, health.shard) != (entry.name, entry.shard):
                text = f"{url} is a node of {health.cluster}, shard {health.shard}, and the topology says"
                yield Ailment(f"{text} {entry.name}, shard {entry.shard}", fix)
    ids = {
        entry.name: {health.cluster_id for url in entry.nodes if (health := healths.get(url)) and health.cluster_id}
        for entry in entries
    }
    for (one, its), (other, others) in combinations(ids.items(), 2):
        if its & others:
            yield Ailment(f"{one} and {other} are the same cluster, by its id", fix)


def _moves(fleet: HeardFleet) -> Iterator[Ailment]:
    moves = fleet.moves
    if moves is None:
        return
    if moves.state in ("paused", "aborting"):
        yield Ailment(
            f"a change of the topology is {moves.state}, and was left open",
            "hookline topology resume lets it go on, hookline topology abort takes it back",
            is_wrong=moves.state == "paused",
        )
    for why in moves.waits_for:
        yield Ailment(f"a move waits: {why}", "hookline topology status tells how far it is")
    for name in moves.unreachable:
        yield Ailment(f"{name} does not say how far its move is", f"See {_CLUSTER_DOWN}")
    for name in moves.can_be_switched_off:
        text = f"{name} has handed everything over, and still runs"
        yield Ailment(text, "Switch it off; see docs/how-to/remove-a-cluster.md", is_wrong=False)


# --- keys and clocks ------------------------------------------------------------------------------------------


def _api_keys(fleet: HeardFleet, now_ms: int) -> Finding:
    name = "api-keys"
    if any(one.health is not None and not one.health.asks_for_keys for one in fleet.nodes):
        text = "Hookline asks nobody for a key: whoever reaches it may do everything"
        fix = f"Start the nodes and proxies with --root-key-file, unless a gateway decides who calls; see {_KEYS}"
        return judged(name, "", [Ailment(text, fix, is_wrong=False)])
    if fleet.keys is None:
        return unchecked(name, fleet.refused.get("/keys", "nobody told which there are"))
    return judged(name, f"of {_counted(len(fleet.keys), 'key', 'keys')} none ends soon", _key_ends(fleet, now_ms))


def _key_ends(fleet: HeardFleet, now_ms: int) -> Iterator[Ailment]:
    for key in fleet.keys or ():
        if key.expires_at is None:
            fix = f"Make one that ends, and revoke it: hookline keys create --expires 90d; see {_KEYS}"
            yield Ailment(f"the key {key.name} ({key.id}) has no end", fix, is_wrong=False)
            continue
        left_ms = parse_time(key.expires_at) - now_ms
        if left_ms <= 0:
            text = f"the key {key.name} ({key.id}) has ended on {key.expires_at}"
            yield Ailment(text, f"hookline keys revoke {key.id}", is_wrong=False)
        elif left_ms < _SOON_MS:
            text = f"the key {key.name} ({key.id}) ends on {key.expires_at}"
            yield Ailment(text, f"Make a new one, and give it to whoever calls with this: see {_KEYS}")


def clock_finding(fleet: HeardFleet, ahead_ms: Mapping[str, tuple[float, float]]) -> Finding:
    """Do the clocks agree?

    Args:
        fleet: with what the nodes say of their own clocks.
        ahead_ms: how far each other clock is ahead of this machine's, and how wrong that may be, by where it is.
    """
    troubles = [*_far(ahead_ms), *(one for process in fleet.processes for one in _distrust(process))]
    for cluster in fleet.clusters or ():
        for node in cluster.nodes:
            if abs(node.clock_offset_ms or 0) > _CLOCK_AWAY_MS:
                text = f"the clock of {node.name} of {cluster.name} is {node.clock_offset_ms:+,} ms from the majority"
                troubles.append(Ailment(text, f"Set it right (NTP); see {_CLOCK_WRONG}"))
    if not ahead_ms and not troubles:
        return unchecked("clocks", "there is no other clock to compare this machine's with")
    return judged(
        "clocks", f"this machine's and {_counted(len(ahead_ms), 'other', 'others')} agree within a second", troubles
    )


def _far(ahead_ms: Mapping[str, tuple[float, float]]) -> Iterator[Ailment]:
    far = {who: ms for who, (ms, slack_ms) in ahead_ms.items() if abs(ms) - slack_ms > _CLOCK_AWAY_MS}
    if len(far) > 1 and len(far) == len(ahead_ms):
        away = next(iter(far.values()))
        text = f"this machine's clock is {-away / 1_000:+,.1f} s from all others"
        yield Ailment(text, f"Set this machine's clock right (NTP); see {_CLOCK_WRONG}")
        return
    for who, ms in far.items():
        text = f"the clock of {who} is {ms / 1_000:+,.1f} s from this machine's"
        yield Ailment(text, f"Set the one that is wrong right (NTP); see {_CLOCK_WRONG}")


def _distrust(process: HeardProcess) -> Iterator[Ailment]:
    health = process.health
    clock = None if health is None else health.clock
    if isinstance(clock, http.ClockView) and not clock.trusted:
        yield Ailment(f"{process.url}: {clock.detail or 'its clock is not trusted'}", f"See {_CLOCK_WRONG}")
