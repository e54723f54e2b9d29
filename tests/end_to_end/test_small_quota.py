"""Three nodes on an etcd with a tiny quota: large payloads fill it; once they are delivered, it empties by itself."""

import base64
from functools import partial
from pathlib import Path

from tests.chaos.cluster import Cluster
from tests.end_to_end.processes import journal_receiver, until

QUOTA_BYTES = 8 * 2**20
_BODY = base64.b64encode(bytes(190_000)).decode()


def test_new_jobs_are_taken_again_though_nothing_else_happens(tmp_path: Path) -> None:
    with Cluster(tmp_path, etcd_quota_bytes=QUOTA_BYTES) as cluster, journal_receiver() as (port, journal):
        cluster.wait_until_serving()
        node, taken = cluster.nodes[0], []

        def create() -> int:
            job = {"url": f"http://127.0.0.1:{port}/", "body_base64": _BODY}
            status, answer = node.call("POST", "/jobs", job, timeout_s=60)
            assert status in (201, 429, 503, 504), answer  # on a busy machine etcd may lose its leader
            if status == 201:
                taken.append(answer["id"])
            if status == 429:
                assert (answer["code"], answer["limit_name"]) == ("queue_full", "log_storage")
            return status

        def takes_another(goal: int) -> bool:
            return create() == 201 and len(taken) >= goal

        while create() != 429:
            pass
        filling = len(taken)
        assert filling > 5
        for _ in range(2):  # fill it again with as many, whatever is refused in between
            goal = len(taken) + filling
            until(lambda: all(journal.count(name) for name in taken), "the jobs are delivered")
            until(partial(takes_another, goal), "as many new jobs are taken again", 60)
