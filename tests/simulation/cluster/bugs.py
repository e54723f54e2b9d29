"""Mistakes that only a cluster can suffer from; the checker must find each."""

from typing import Any

import pytest

from hookline.errors import Fenced
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.client import EtcdUnclear
from hookline.node.state_machine import apply_upkeep
from hookline.node.state_machine.machine import StateMachine
from hookline.protocol.commands import Changed
from tests.simulation import bugs as single
from tests.simulation.bugs import Bug
from tests.simulation.cluster.etcd import SimulatedClient

Patch = pytest.MonkeyPatch


def a_timeout_is_taken_for_a_failure(patch: Patch) -> None:
    txn = SimulatedClient.txn

    async def sure(self: SimulatedClient, request: rpc.TxnRequest, timeout_s: float) -> rpc.TxnResponse:
        is_append = any(b"/log/" in op.request_put.key for op in request.success)
        try:
            return await txn(self, request, timeout_s)
        except EtcdUnclear:
            if not is_append:
                raise
            raise Fenced("it took too long") from None

    patch.setattr(SimulatedClient, "txn", sure)


def a_node_applies_in_its_own_way_and_the_digest_is_not_checked(patch: Patch) -> None:
    finish = StateMachine._finish

    def differently(self: StateMachine, entry: Any, results: Any) -> None:
        own = [Changed(7), *results] if "n2" in str(self.database.path) and entry.index % 5 == 0 else results
        finish(self, entry, own)

    patch.setattr(StateMachine, "_finish", differently)
    patch.setattr(apply_upkeep, "check_digest", lambda _tables, _command: Changed(0))


BUGS: tuple[Bug, ...] = (
    a_timeout_is_taken_for_a_failure,
    a_node_applies_in_its_own_way_and_the_digest_is_not_checked,
    single.applying_looks_at_the_clock,
    single.a_new_term_sends_at_most_once_jobs_again,
    single.requests_leave_before_their_claim_is_in_the_log,
)
