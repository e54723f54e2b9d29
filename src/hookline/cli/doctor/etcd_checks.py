"""Checks the etcd of a cluster: its version, members, alarms, size and settings."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from hookline.cli.doctor.asking import Asker, NotHeard
from hookline.cli.doctor.finding import Ailment, Finding, judged, unchecked
from hookline.errors import LogFault

if TYPE_CHECKING:
    from hookline.node.etcd import rpc_pb2 as rpc
    from hookline.node.etcd.client import EtcdAddress

NAMES: Final = ("etcd-version", "etcd-members", "etcd-alarms", "etcd-size", "etcd-settings")
_FULL: Final = 0.7  # new jobs are refused from here on
_MUCH: Final = 0.5
_ALARMS: Final = {1: "NOSPACE: its database is full", 2: "CORRUPT: its data is damaged"}
_GUIDE: Final = "docs/how-to/run-three-nodes.md"
_LOST: Final = "docs/how-to/etcd-was-lost.md"


@dataclass(frozen=True, slots=True)
class HeardEtcd:
    """The answers of the members.

    Attributes:
        statuses: of each endpoint; None: it does not answer.
        members: all there are, by etcd itself; None: it does not say.
        alarms: each with the member that raised it; None likewise.
        why: it does not.
        flags: the command line of each member that shows it, and its quota.
    """

    endpoints: Sequence[str]
    statuses: "Sequence[rpc.StatusResponse | None]"
    members: "Sequence[rpc.Member] | None"
    alarms: "Sequence[rpc.AlarmMember] | None"
    why: str
    flags: dict[str, list[str]]
    quotas: dict[str, int]


def hear_etcd(address: "EtcdAddress", asker: Asker, timeout_s: float) -> HeardEtcd:
    """Ask all members."""
    statuses, members, alarms, why = asyncio.run(_called(address, timeout_s))
    flags, quotas = {}, {}
    for url, status in zip(address.endpoints, statuses, strict=True):
        if status is None:
            continue
        try:
            shown: dict[str, Any] = asker.ask(url, "/debug/vars").read(dict)
            flags[url] = [str(word) for word in shown.get("cmdline", [])]
            figures = asker.ask(url, "/metrics").body.decode("utf-8", "replace")
        except NotHeard:
            continue
        if found := re.search(r"^etcd_server_quota_backend_bytes (\S+)$", figures, re.MULTILINE):
            quotas[url] = int(float(found[1]))
    return HeardEtcd(address.endpoints, statuses, members, alarms, why, flags, quotas)


async def _called(address: "EtcdAddress", timeout_s: float) -> tuple[Any, Any, Any, str]:
    from hookline.node.etcd import rpc_pb2 as rpc
    from hookline.node.etcd.client import EtcdClient

    client = EtcdClient(address)
    try:
        statuses = await client.statuses(timeout_s)
        client.member = next((place for place, one in enumerate(statuses) if one is not None), 0)
        try:
            members = await client.members(timeout_s)
            alarms = (await client.alarms(rpc.AlarmRequest(), timeout_s)).alarms
        except LogFault as error:
            return statuses, None, None, error.detail
        return statuses, members, list(alarms), ""
    finally:
        await client.close()


def etcd_findings(heard: HeardEtcd, quota_bytes: int | None) -> Iterator[Finding]:
    """All about it. ``quota_bytes``: what the nodes are told of the quota (--etcd-quota); None: nobody said."""
    versions = sorted({one.version for one in heard.statuses if one is not None})
    yield judged("etcd-members", f"all {len(heard.endpoints)} members answer", _members(heard))
    if not versions:
        for name in NAMES:
            if name != "etcd-members":
                yield unchecked(name, "no member of etcd answers")
        return
    yield judged("etcd-version", f"etcd is {versions[0]}", _version(versions))
    if heard.alarms is None:
        yield unchecked("etcd-alarms", heard.why)
    else:
        yield judged("etcd-alarms", "no alarm is raised", _alarms(heard))
    yield judged("etcd-size", _fine_size(heard), _size(heard, quota_bytes))
    if heard.flags:
        yield judged("etcd-settings", "they are as Hookline needs them", _settings(heard, quota_bytes))
    else:
        yield unchecked("etcd-settings", "the members do not show how they were started")


def no_etcd_findings(why: str) -> Iterator[Finding]:
    """There is none, or it cannot be asked."""
    for name in NAMES:
        yield unchecked(name, why)


def _members(heard: HeardEtcd) -> Iterator[Ailment]:
    silent = [url for url, status in zip(heard.endpoints, heard.statuses, strict=True) if status is None]
    for url in silent:
        yield Ailment(f"the member {url} does not answer", f"Start it, or correct --etcd; see {_GUIDE}")
    if any(one is not None and one.leader == 0 for one in heard.statuses):
        text = "etcd has no leader, so nothing can be written"
        yield Ailment(text, f"Bring most of its members back; if they are lost for good, see {_LOST}")
    if heard.members is None:
        if len(silent) < len(heard.endpoints):
            yield Ailment(f"etcd does not say who its members are: {heard.why}", f"See {_GUIDE}")
        return
    named = {urlsplit(url).netloc for url in heard.endpoints}
    for member in heard.members:
        urls = [url for url in member.clientURLs if urlsplit(url).netloc]
        if urls and not any(urlsplit(url).netloc in named for url in urls):
            text = (
                f"etcd has a member {member.name or '(never started)'} at {', '.join(urls)} that --etcd does not name"
            )
            yield Ailment(text, "Name all members with --etcd, or remove it: etcdctl member remove", is_wrong=False)
    count = len(heard.members)
    if count == 1:
        text = "etcd has one member: the log of the cluster is on one disk"
        yield Ailment(text, f"Run three, on three machines; see {_GUIDE}", is_wrong=False)
    elif count % 2 == 0:
        text = f"etcd has {count} members, which survive no more losses than {count - 1}"
        yield Ailment(text, "Run three or five", is_wrong=False)


def _version(versions: Sequence[str]) -> Iterator[Ailment]:
    numbers = {text: tuple(int(part) for part in re.findall(r"\d+", text)[:3]) for text in versions}
    if len(versions) > 1:
        yield Ailment(f"the members have different versions: {', '.join(versions)}", "Finish the upgrade of etcd")
    for text, number in numbers.items():
        if number < (3, 4):
            yield Ailment(
                f"etcd is {text}, and Hookline needs 3.4 or newer", "Upgrade etcd, one minor version at a time"
            )
        elif number < (3, 5):
            told = f"etcd is {text}, which has known faults in leases, watches and keep-alives"
            fix = f"Hookline does not rely on these; still, take 3.5 or 3.6, which are maintained; see {_GUIDE}"
            yield Ailment(told, fix, is_wrong=False)
        elif (3, 5, 0) <= number <= (3, 5, 2):
            yield Ailment(f"etcd is {text}, which can damage its data when it is killed", "Upgrade to 3.5.3 or newer")


def _alarms(heard: HeardEtcd) -> Iterator[Ailment]:
    names = {member.ID: member.name for member in heard.members or ()}
    for alarm in heard.alarms or ():
        text = _ALARMS.get(alarm.alarm, f"alarm {alarm.alarm}")
        who = names.get(alarm.memberID) or f"{alarm.memberID:x}"
        if alarm.alarm == 1:
            fix = "The nodes make room and disarm it by themselves; if they cannot, raise --quota-backend-bytes of etcd"
        else:
            fix = f"Stop that member and put a new one in its place; see {_LOST}"
        yield Ailment(f"the member {who} has raised {text}", fix)


def _fine_size(heard: HeardEtcd) -> str:
    return f"its largest database has {max(one.dbSize for one in heard.statuses if one is not None) / 2**20:,.0f} MiB"


def _size(heard: HeardEtcd, quota_bytes: int | None) -> Iterator[Ailment]:
    for url, status in zip(heard.endpoints, heard.statuses, strict=True):
        quota = heard.quotas.get(url) or quota_bytes
        if status is None or not quota:
            continue
        share = status.dbSize / quota
        if share >= _MUCH:
            text = f"the database of {url} takes {share:.0%} of its quota of {quota / 2**20:,.0f} MiB"
            fix = (
                "Look whether a node is down and holds the log back; else raise --quota-backend-bytes and --etcd-quota"
            )
            if share >= _FULL:
                text += "; new jobs are refused from 70 % on"
            yield Ailment(text, fix, is_wrong=share >= _FULL)


def _settings(heard: HeardEtcd, quota_bytes: int | None) -> Iterator[Ailment]:
    for url, words in heard.flags.items():
        retention = _flag(words, "auto-compaction-retention")
        if retention and retention.strip("0hms"):
            text = f"{url} compacts by itself (--auto-compaction-retention={retention})"
            yield Ailment(text, f"Set it to 0: the nodes compact what all of them have on disk; see {_GUIDE}")
        if _flag(words, "unsafe-no-fsync") is not None:
            text = f"{url} runs with --unsafe-no-fsync: what it acknowledges is lost with the power"
            yield Ailment(text, "Leave that out")
    for url, quota in heard.quotas.items():
        if quota_bytes is not None and quota < quota_bytes:
            text = f"{url} has a quota of {quota:,} bytes, and the nodes are told {quota_bytes:,}"
            yield Ailment(text, f"Start the nodes with --etcd-quota {quota}, or raise --quota-backend-bytes of etcd")


def _flag(words: Sequence[str], name: str) -> str | None:
    """The value of a flag, the last one if it is given again; "" if it has none; None: it is not given."""
    for place, word in reversed(list(enumerate(words))):
        flag, equals, value = word.lstrip("-").partition("=")
        if flag == name and word.startswith("-"):
            following = words[place + 1] if place + 1 < len(words) else "-"
            return value if equals else "" if following.startswith("-") else following
    return None
