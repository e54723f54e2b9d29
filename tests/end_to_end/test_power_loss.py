"""A power cut loses no acknowledged job: only what was fsynced survives, and that is enough.

The data directory is on an ext4 image whose file system writes back by itself only every ten minutes. The node is
killed and the image copied while it is mounted: the copy has what was fsynced, as a disk would after the plug is
pulled. Then the node starts on the copy.
"""

from functools import partial
from pathlib import Path

import pytest

from tests.chaos.disks import Disks, loop_mounts_work
from tests.end_to_end.clients import LoadingClient
from tests.end_to_end.processes import NodeProcess, journal_receiver, running_node, until

CUTS = 3


def test_acknowledged_jobs_survive_a_power_cut(tmp_path: Path) -> None:
    if not loop_mounts_work(tmp_path / "probe"):
        pytest.skip("needs root and loop devices to cut the power of a disk")
    acknowledged: set[str] = set()
    with journal_receiver() as (port, journal), Disks(tmp_path, ["disk"], 256 * 2**20) as disks:
        for cut in range(CUTS):
            with running_node(tmp_path / "disk" / "data") as node:
                assert not gone(node, acknowledged), f"acknowledged before power cut {cut}"
                seen = len(journal.requests)
                client = LoadingClient(node, f"http://127.0.0.1:{port}/", seed=cut)
                client.start()
                until(partial(journal.has_more_than, seen + 200), "the node delivers")
                known = client.ledger.at_least_once | client.ledger.at_most_once  # acknowledged before the cut
                node.kill()  # or the copy would mix moments
                client.stop()
            disks.cut_power()
            acknowledged |= known
        with running_node(tmp_path / "disk" / "data") as node:
            assert not gone(node, acknowledged)
    assert len(acknowledged) > 100


def gone(node: NodeProcess, acknowledged: set[str]) -> list[str]:
    """Those the node does not know; one that is too busy to say is asked again."""
    missing = []
    for job_id in acknowledged:
        answers: list[int] = []

        def is_answered(path: str = f"/jobs/{job_id}", answers: list[int] = answers) -> bool:
            answers[:] = [node.call("GET", path)[0]]
            return answers != [503]

        until(is_answered, f"{job_id} can be asked for")
        if answers != [200]:
            missing.append(job_id)
    return missing
