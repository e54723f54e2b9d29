"""``hookline backup`` and ``hookline restore``: the state of a cluster as a file, and back."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from hookline.cli.failures import readable
from hookline.cli.output import byte_progress, print_json, stderr, stdout
from hookline.cli.parameters import Flag, NamedPath
from hookline.cli.service import Service
from hookline.cli.sheet import facts
from hookline.cli.trust_options import DEFAULT_TRUST, TrustOptions, tls_of
from hookline.errors import InvalidConfig

if TYPE_CHECKING:
    from hookline.cli.profiles import ServicePlace
    from hookline.node.storage.snapshots import SnapshotInfo

_AFTER_RESTORE = """\
When a node starts on it:
  - jobs that were waiting are delivered as planned; those whose time has passed, at once
  - jobs that were running are due again, when the time limit of the lost attempt is over at the latest; those with
    at_most_once become "unknown" and are not sent again
  - jobs that were delivered after the backup was made are delivered once more, with the same webhook-id
  - signing secrets are sealed: give the node the secret key of the old one (its secret.key or --secret-key-file)
For a cluster, restore the same file into the data directory of each node, and start with an empty etcd. See the guide
docs/how-to/backup-and-restore.md."""


def backup(
    *,
    out: NamedPath,
    url: Annotated[str | None, Parameter(env_var="HOOKLINE_URL")] = None,
    profile: Annotated[str | None, Parameter(env_var="HOOKLINE_PROFILE")] = None,
    api_key_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_API_KEY_FILE")] = None,
    secret_key_file: NamedPath | None = None,
    trust: TrustOptions = DEFAULT_TRUST,
    json: Flag = False,
) -> None:
    """Copy the state of a running node into a file, while it works. Ask a follower, and the leader has no work with it.

    Args:
        out: The file to write; it must not exist. What it holds is described in OUT.json, which belongs to it.
        url: The node, at the address of its --listen-internal if it has one. [that of the profile, else
            http://127.0.0.1:7070]
        profile: A profile that hookline login made; without it the one called default is taken, if there is one.
        api_key_file: A file that holds an API key with the scope admin; or have the key in HOOKLINE_API_KEY.
        secret_key_file: A file that holds the secret key of the nodes, where they ask nobody for an API key and listen
            beyond their machine.
        trust: For an https address.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.node.storage.backups import description_of
    from hookline.telemetry.logs import configure_logs

    description = description_of(out)
    if out.is_dir():
        raise InvalidConfig(f"{out} is a directory; name a file in it, such as {out / 'hookline.db'}", field="out")
    for file in (out, description):
        if file.exists():
            raise InvalidConfig(f"{file} exists; choose another name or move it away", field="out")
    if not out.parent.is_dir():
        raise InvalidConfig(f"the directory {out.parent} does not exist", field="out")
    configure_logs(as_json=False, level="error")
    place = Service(url=url, profile=profile, api_key_file=api_key_file, trust=trust).place()
    with readable("The backup", out.parent):
        info = _save(place, secret_key_file, out, description)
    _show(out, info, as_json=json)


def _save(place: "ServicePlace", secret_key_file: Path | None, out: Path, description: Path) -> "SnapshotInfo":
    incoming = out.with_name(f".{out.name}.incoming")  # beside the target, so that the last step is a rename
    try:
        with byte_progress("copying") as moved:
            path, info = asyncio.run(_fetch(place, secret_key_file, incoming, moved))
        description.write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")
        path.rename(out)
    except BaseException:
        description.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    for file in (description, out, out.parent):
        _sync(file)
    return info


async def _fetch(
    place: "ServicePlace", secret_key_file: Path | None, to: Path, moved: Callable[[int, int], None]
) -> "tuple[Path, SnapshotInfo]":
    from hookline.clock import SystemClock
    from hookline.http_api.guard import bearer
    from hookline.node.storage.snapshot_fetch import fetch_snapshot
    from hookline.node.vault import Vault
    from hookline.peers.proven_sender import proven_sender

    key = None if secret_key_file is None else Vault.of(secret_key_file, None).proof_keys[0]
    shown = () if place.key is None else (bearer(place.key),)
    async with proven_sender(key, SystemClock(), tls=tls_of(place.ca_file, place.cert)) as sender:
        return await fetch_snapshot(sender, [place.url], to, max_age_s=0, progress=moved, shown=shown)


def restore(*, source: Annotated[NamedPath, Parameter(name="--from")], data_dir: NamedPath, json: Flag = False) -> None:
    """Check a backup and make it the state of a new node, which must not run yet.

    Args:
        source: The file that "hookline backup" wrote, with its description beside it.
        data_dir: The data directory of the new node; it must not hold state yet.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.node.leadership.local import LocalLeadership
    from hookline.node.storage import backups, restoring, snapshots
    from hookline.telemetry.logs import configure_logs

    configure_logs(as_json=False, level="error")
    info = backups.read_description(source)
    restoring.refuse_state(data_dir)
    backups.check_backup(source, info)
    lock = LocalLeadership(data_dir)
    with readable("The restore", data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock.lock()
        try:
            restoring.restore(source, info, data_dir)
        finally:
            lock.unlock()
    _show(data_dir / snapshots.STATE_FILE, info, as_json=json)
    if not json:
        stderr().print(_AFTER_RESTORE, soft_wrap=True)


def _show(file: Path, info: "SnapshotInfo", *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file)} | msgspec.to_builtins(info))
        return
    rows = (
        ("file", str(file)),
        ("verified", "yes: checksum, structure, position in the log"),
        ("log entry", f"{info.index} of term {info.term}"),
        ("size", f"{info.size} bytes"),
        ("sha256", info.sha256),
    )
    stdout().print(facts(rows), soft_wrap=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
