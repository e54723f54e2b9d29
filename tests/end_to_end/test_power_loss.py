"""A power cut loses no acknowledged job: only what was fsynced survives, and that is enough.

The data directory is on an ext4 image whose file system writes back by itself only every ten minutes. The node is
killed and the image copied while it is mounted: the copy has what was fsynced, as a disk would after the plug is
pulled. Then the node starts on the copy.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.clients import LoadingClient
from tests.end_to_end.processes import journal_receiver, running_node, until

CUTS = 3


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[None]:
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,commit=600", str(image), str(where)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def _loop_mounts_work(tmp_path: Path) -> bool:
    """Needs root and loop devices; containers often have neither."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return False
    image = tmp_path / "probe.img"
    image.write_bytes(b"")
    os.truncate(image, 16 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    where = tmp_path / "probe"
    where.mkdir()
    works = subprocess.run(["mount", "-o", "loop", str(image), str(where)], check=False, capture_output=True)
    if works.returncode:
        return False
    subprocess.run(["umount", str(where)], check=True)
    return True


def test_acknowledged_jobs_survive_a_power_cut(tmp_path: Path) -> None:
    if not _loop_mounts_work(tmp_path):
        pytest.skip("needs root and loop devices to cut the power of a disk")
    image = tmp_path / "disk0.img"
    image.write_bytes(b"")
    os.truncate(image, 256 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    acknowledged: set[str] = set()
    with journal_receiver() as (port, journal):
        for cut in range(CUTS):
            disk, copy = tmp_path / f"mnt{cut}", tmp_path / f"disk{cut + 1}.img"
            with mounted(image, disk), running_node(disk / "data") as node:
                for job_id in acknowledged:
                    status, _ = node.call("GET", f"/jobs/{job_id}")
                    assert status == 200, f"{job_id} was acknowledged before power cut {cut} and is gone"
                seen = len(journal.requests)
                client = LoadingClient(node, f"http://127.0.0.1:{port}/", seed=cut)
                client.start()
                until(lambda seen=seen: len(journal.requests) > seen + 200, "the node delivers")
                known = client.ledger.at_least_once | client.ledger.at_most_once  # acknowledged before the cut
                node.kill()  # or the copy below would mix moments
                shutil.copyfile(image, copy)
                client.stop()
            acknowledged |= known
            image = copy
        with mounted(image, tmp_path / "last"), running_node(tmp_path / "last" / "data") as node:
            gone = [job_id for job_id in acknowledged if node.call("GET", f"/jobs/{job_id}")[0] != 200]
    assert len(acknowledged) > 100
    assert not gone
