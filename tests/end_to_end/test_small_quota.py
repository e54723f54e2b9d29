"""Three nodes on an etcd with a tiny quota: large payloads fill it; once they are delivered, it empties by itself."""

import base64
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.end_to_end.processes import journal_receiver, until

pytestmark = pytest.mark.timeout(180)

QUOTA_BYTES = 8 * 2**20
_BODY = base64.b64encode(bytes(190_000)).decode()


def test_new_jobs_are_taken_again_though_nothing_else_happens(tmp_path: Path) -> None:
    with Cluster(tmp_path, etcd_quota_bytes=QUOTA_BYTES) as cluster, journal_receiver() as (port, journal):
        cluster.wait_until_serving()
        job = {"url": f"http://127.0.0.1:{port}/", "body_base64": _BODY}
        node = cluster.nodes[0]
        for _ in range(3):
            taken: list[str] = []
            while (answer := node.call("POST", "/jobs", job, timeout_s=20))[0] != 429:
                assert answer[0] in (201, 503, 504), answer  # on a busy machine etcd may lose its leader
                taken += [answer[1]["id"]] if answer[0] == 201 else []
            assert (answer[1]["code"], answer[1]["limit_name"]) == ("queue_full", "log_storage")
            assert len(taken) > 5
            until(lambda taken=taken: all(journal.count(name) for name in taken), "the jobs are delivered")
            until(lambda: node.call("POST", "/jobs", job, timeout_s=20)[0] == 201, "new jobs are taken again", 30)
