"""``hookline backup`` and ``hookline restore``: the state of a cluster as a file, and back."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from hookline.cli.failures import readable
from hookline.cli.output import byte_progress, print_json, stderr, stdout
from hookline.cli.parameters import Flag, NamedPath
from hookline.cli.sheet import facts
from hookline.client.place import DEFAULT_URL
from hookline.errors import InvalidConfig

if TYPE_CHECKING:
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
    url: Annotated[str, Parameter(env_var="HOOKLINE_URL")] = DEFAULT_URL,
    json: Flag = False,
) -> None:
    """Copy the state of a running node into a file, while it works. Ask a follower, and the leader has no work with it.

    Args:
        out: The file to write; it must not exist. What it holds is described in OUT.json, which belongs to it.
        url: The node.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.node.storage.backups import description_of
    from hookline.telemetry import configure_logs

    description = description_of(out)
    if out.is_dir():
        raise InvalidConfig(f"{out} is a directory; name a file in it, such as {out / 'hookline.db'}", field="out")
    for file in (out, description):
        if file.exists():
            raise InvalidConfig(f"{file} exists; choose another name or move it away", field="out")
    if not out.parent.is_dir():
        raise InvalidConfig(f"the directory {out.parent} does not exist", field="out")
    configure_logs(as_json=False, level="error")
    with readable("The backup", out.parent):
        info = _save(url, out, description)
    _show(out, info, as_json=json)


def _save(url: str, out: Path, description: Path) -> "SnapshotInfo":
    from hookline.node.storage.snapshot_fetch import fetch_snapshot

    incoming = out.with_name(f".{out.name}.incoming")  # beside the target, so that the last step is a rename
    try:
        with byte_progress("copying") as moved:
            path, info = asyncio.run(fetch_snapshot([url], incoming, max_age_s=0, progress=moved))
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


def restore(*, source: Annotated[NamedPath, Parameter(name="--from")], data_dir: NamedPath, json: Flag = False) -> None:
    """Check a backup and make it the state of a new node, which must not run yet.

    Args:
        source: The file that "hookline backup" wrote, with its description beside it.
        data_dir: The data directory of the new node; it must not hold state yet.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.node.leadership.local import LocalLeadership
    from hookline.node.storage import backups, restoring, snapshots
    from hookline.telemetry import configure_logs

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
