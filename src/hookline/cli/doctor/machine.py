"""Checks the machine: disk, limits, time synchronisation, ports, time zone data."""

import os
import resource
import shutil
import socket
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from hookline.cli.doctor.asking import Asker, NotHeard
from hookline.cli.doctor.finding import Ailment, Finding, judged, unchecked
from hookline.clock import Clock

_GIB: Final = 2**30
_MIB: Final = 2**20
_SPACE_LEAST: Final = 512 * _MIB
_SPACE_GOOD: Final = 5 * _GIB
_INODES_LEAST: Final = 1_000
_SYNCS: Final = 15
_SYNC_SLOW_MS: Final = 20.0
_SYNC_HOPELESS_MS: Final = 200.0
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_FAR: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs")
_LAYERS: Final = ("overlay", "aufs")
_FILES_LEAST: Final = 4_096
_FILES_GOOD: Final = 16_384
_MEMORY_LEAST: Final = 256 * _MIB
_MEMORY_GOOD: Final = 512 * _MIB
_ZONES_OLD_YEARS: Final = 2
_MOUNTS: Final = Path("/proc/self/mountinfo")
_NO_DIRECTORY: Final = "no data directory is named; say which: hookline doctor node -- --data-dir DIR"


def disk_findings(directory: Path | None, sync: Callable[[int], None], clock: Clock) -> Iterator[Finding]:
    """All about the disk of a data directory. ``sync`` makes a file durable, and is measured."""
    if directory is None:
        for name in ("disk-space", "disk-write", "disk-kind"):
            yield unchecked(name, _NO_DIRECTORY)
        return
    place = _existing(directory.absolute())
    yield judged("disk-space", f"{_size(shutil.disk_usage(place).free)} are free in {place}", _space(place))
    yield _write(directory, place, sync, clock)
    yield _kind(place, _MOUNTS)


def _space(place: Path) -> Iterator[Ailment]:
    usage, inodes = shutil.disk_usage(place), os.statvfs(place)
    fix = "Make room, or move the data directory to a larger disk; see docs/how-to/limits.md"
    text = f"only {_size(usage.free)} of {_size(usage.total)} are free on the disk of {place}"
    if usage.free < _SPACE_LEAST:
        yield Ailment(f"{text}; a node stops when it is full", fix)
    elif usage.free < _SPACE_GOOD and usage.free < usage.total / 10:
        yield Ailment(text, fix, is_wrong=False)
    if inodes.f_files and inodes.f_favail < _INODES_LEAST:
        yield Ailment(f"only {inodes.f_favail:,} more files fit on the disk of {place}", "Delete files there")


def _no_directory(directory: Path) -> Path | None:
    """The file that is where a directory should be, or would be made; None: there is none."""
    return next((it for it in (directory, *directory.parents) if it.exists() and not it.is_dir()), None)


def _write(directory: Path, place: Path, sync: Callable[[int], None], clock: Clock) -> Finding:
    name = "disk-write"
    if (file := _no_directory(directory)) is not None:
        return judged(name, "", [Ailment(f"{file} is no directory", "Name a directory: --data-dir")])
    try:
        took = _sync_ms(place, sync, clock)
    except OSError as error:
        fix = f"Let the user that runs the node write there: chown USER {place}; or make room"
        return judged(name, "", [Ailment(f"{place} cannot be written: {error.strerror}", fix)])
    half_ms = statistics.median(took)
    text = f"a write to {place} is durable after {half_ms:.1f} ms, the slowest of {len(took)} took {max(took):.1f} ms"
    troubles = []
    if half_ms > _SYNC_SLOW_MS:
        fix = "Each batch of jobs waits that long, twice: take a local disk with a write cache that survives power loss"
        troubles.append(Ailment(text, fix, is_wrong=half_ms > _SYNC_HOPELESS_MS))
    if directory.exists() and directory.stat().st_mode & 0o077:
        open_to = f"{directory} is open to other users of the machine, and holds payloads"
        troubles.append(Ailment(open_to, f"chmod 700 {directory}", is_wrong=False))
    return judged(name, text, troubles)


def _sync_ms(place: Path, sync: Callable[[int], None], clock: Clock) -> list[float]:
    took = []
    with tempfile.NamedTemporaryFile(prefix=".hookline-doctor-", dir=place, buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(b"\0" * 4_096)
            began_ms = clock.boot_ms()
            sync(file.fileno())
            took.append(clock.boot_ms() - began_ms)
    return took


def _kind(place: Path, mounts: Path) -> Finding:
    kind = file_system(place, mounts)
    if kind is None:
        return unchecked("disk-kind", "this system does not say which file systems it has")
    troubles = []
    if kind in _IN_MEMORY:
        text = f"{place} is on {kind}, which is memory: everything in it is gone after a restart"
        troubles.append(Ailment(text, "Move the data directory to a disk"))
    elif kind in _FAR:
        text = f"{place} is on {kind}, a file system over a network: locks and fsync cannot be relied on there"
        troubles.append(Ailment(text, "Move the data directory to a local disk, or a block device"))
    elif kind in _LAYERS:
        text = f"{place} is on {kind}: if this is a container, its data goes with it"
        troubles.append(Ailment(text, "Mount a volume, and keep the data directory there", is_wrong=False))
    return judged("disk-kind", f"{place} is on {kind}", troubles)


def file_system(place: Path, mounts: Path) -> str | None:
    """The kind of file system that a place is on, by proc_pid_mountinfo(5); None: nobody says."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    kinds = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        where = before.split()[4].replace(r"\040", " ")
        if after and place.is_relative_to(where):
            kinds[where] = after.split()[0]  # the newest mount at a place hides those before it
    return kinds[max(kinds, key=len)] if kinds else None


def limit_findings(groups: Path) -> Iterator[Finding]:
    """Bounds of this user's processes. ``groups``: where the control groups are, /sys/fs/cgroup."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield judged("open-files", "the limit of open files is high enough", _files(hard))
    limit = memory_limit(groups)
    fine = "no control group limits the memory" if limit is None else f"the memory is limited to {_size(limit)}"
    yield judged("memory", fine, _memory(limit, groups))


def _files(hard: int) -> Iterator[Ailment]:
    if hard != resource.RLIM_INFINITY and hard < _FILES_GOOD:
        text = f"a process may have {hard:,} files and connections open (ulimit -Hn)"
        fix = "Raise it, as LimitNOFILE=1048576 in the unit of systemd does, or --ulimit nofile=… of a container"
        yield Ailment(text, fix, is_wrong=hard < _FILES_LEAST)


def memory_limit(groups: Path) -> int | None:
    """Bytes that the narrowest control group of this process allows; None: as many as there are."""
    limits = [text for file in _group_files(groups, "memory.max", "memory.limit_in_bytes") if (text := _text(file))]
    numbers = [int(text) for text in limits if text.isdigit() and int(text) < 2**60]
    return min(numbers, default=None)


def _memory(limit: int | None, groups: Path) -> Iterator[Ailment]:
    if limit is not None and limit < _MEMORY_GOOD:
        text = f"the memory is limited to {_size(limit)}; a node takes 150 MiB at rest, and up to 400 MiB under load"
        yield Ailment(text, "Raise the memory limit to 512 MiB or more", is_wrong=limit < _MEMORY_LEAST)
    killed = 0
    for file in _group_files(groups, "memory.events"):
        words = _text(file).split()
        killed += int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0
    if killed:
        text = f"the kernel has killed {killed:,} processes of this control group for want of memory"
        yield Ailment(text, "Raise the memory limit", is_wrong=False)


def _group_files(groups: Path, *names: str) -> Iterator[Path]:
    own = _text(Path("/proc/self/cgroup"))
    paths = {line.split(":", 2)[2].strip("/") for line in own.splitlines() if line.count(":") >= 2} | {""}
    for base in (groups, groups / "memory"):
        for path in sorted(paths):
            yield from (base / path / name for name in names if (base / path / name).is_file())


def port_findings(places: Sequence[tuple[str, int]], asker: Asker, scheme: str) -> Finding:
    """Are the ports free, or held by Hookline?"""
    if not places:
        return unchecked("ports", "no settings of a node or proxy are named; say which with --config FILE")
    troubles, fine = [], []
    for host, port in places:
        why = _why_not_bound(host, port)
        where = f"{host}:{port}"
        if why is None:
            fine.append(f"{where} is free")
        elif "in use" in why and _is_hookline(f"{scheme}://{_reached(host)}:{port}", asker):
            fine.append(f"Hookline serves at {where}")
        elif "in use" in why:
            text = f"{where} is held by {holder_of(port) or 'a process of another user'}"
            troubles.append(Ailment(text, "Stop that, or take another port with --listen"))
        else:
            troubles.append(Ailment(f"{where} cannot be listened at: {why}", "Correct --listen"))
    return judged("ports", ", ".join(fine), troubles)


def _why_not_bound(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None


def _is_hookline(url: str, asker: Asker) -> bool:
    try:
        return bool(asker.ask(url, "/livez").read(dict).get("status"))
    except NotHeard:
        return False


def holder_of(port: int) -> str | None:
    """The process that listens at a port, by name and id, if this user may know (proc_pid_net(5)); else None."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in _text(Path("/proc/net") / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(one) in inodes for one in (process / "fd").iterdir()):
                return f"{_text(process / 'comm').strip()} (process {process.name})"
        except OSError:
            continue
    return None


def sync_finding(is_synchronised: bool | None) -> Finding:
    """Does the kernel say that something keeps its clock right? None: nobody can be asked."""
    name = "time-sync"
    if is_synchronised is None:
        return unchecked(name, "this system does not say whether its clock is kept right")
    text = "the kernel does not say that its clock is synchronised"
    fix = "Run chrony or systemd-timesyncd on this machine, or its host; see docs/how-to/clock-wrong.md"
    troubles = [] if is_synchronised else [Ailment(text, fix, is_wrong=False)]
    return judged(name, "the kernel says that its clock is synchronised", troubles)


def zone_finding(version: str | None, now_ms: int) -> Finding:
    """Is the time zone data there, and how old is it? ``version``: of the IANA's, like 2026a."""
    fix = "pip install --upgrade tzdata, on all nodes of a cluster"
    if version is None:
        text = "the package tzdata is missing, and schedules need it"
        return judged("time-zones", "", [Ailment(text, fix)])
    year = int(version[:4])
    now_year = 1970 + now_ms // 31_556_952_000
    text = f"the time zone data is {version}"
    old = f"{text}, and governments have changed clocks since; schedules may run an hour off"
    troubles = [Ailment(old, fix)] if now_year - year >= _ZONES_OLD_YEARS else []
    return judged("time-zones", text, troubles)


def _existing(directory: Path) -> Path:
    """The directory, or the one in which it would be made."""
    return next(place for place in (directory, *directory.parents) if place.is_dir())


def _reached(host: str) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what it listens at
    return f"[{shown}]" if ":" in shown else shown


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _size(bytes_: float) -> str:
    return f"{bytes_ / _GIB:,.1f} GiB" if bytes_ >= _GIB else f"{bytes_ / _MIB:,.0f} MiB"
