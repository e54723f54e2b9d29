"""Mistakes that mix-ups would turn into losses: without each cure the checker must find what it is there for."""

from typing import Any

import pytest

from hookline.errors import StateDiffers
from hookline.node import identity
from hookline.node.etcd import transactions
from hookline.node.etcd.statuses import NodeStatus
from hookline.node.history import recovery
from hookline.node.history.cluster import ClusterHistory, new_charter
from hookline.node.identity import Charter, Own, Verdict
from hookline.node.storage import snapshots
from hookline.protocol.codec import Entry
from tests.simulation.cluster import node
from tests.simulation.mixed import person
from tests.simulation.mixed.person import Person

Patch = pytest.MonkeyPatch


def whose_a_state_is_is_not_compared(patch: Patch) -> None:
    patch.setattr(identity, "_foreign", lambda _own, _charter: None)
    patch.setattr(identity, "_started_as_another", lambda _own: None)


def a_node_ahead_of_the_log_follows_all_the_same(patch: Patch) -> None:
    in_cluster = identity._in_cluster

    def follow(own: Own, charter: Charter, log: Any, peers: Any) -> Verdict:
        verdict = in_cluster(own, charter, log, peers)
        return identity.GO_ON if verdict.kind == "halt" and "ends at entry" in verdict.why else verdict

    patch.setattr(identity, "_in_cluster", follow)


def nobody_asks_what_the_others_have(patch: Patch) -> None:
    patch.setattr(identity, "_peer_ahead", lambda *_: None)

    async def nothing(_self: ClusterHistory) -> None:
        """It does not look."""

    patch.setattr(ClusterHistory, "contradiction", nothing)


def an_empty_node_begins_a_log(patch: Patch) -> None:
    judge_asking = ClusterHistory.judge_asking

    async def begin(self: ClusterHistory) -> Verdict:
        if self._machine.applied == 0:
            await self._charters.begin(new_charter(self._config, self._machine, self._clock))
        return await judge_asking(self)

    patch.setattr(ClusterHistory, "judge_asking", begin)


def the_digests_of_entries_are_not_compared(patch: Patch) -> None:
    async def agree(_self: ClusterHistory, _entry: Entry) -> bool:
        return True

    patch.setattr(ClusterHistory, "settle", agree)


def the_leader_is_right_by_definition(patch: Patch) -> None:
    async def yield_to_it(_self: ClusterHistory, _entry: Entry) -> bool:
        raise StateDiffers("it is not the leader's")

    patch.setattr(ClusterHistory, "settle", yield_to_it)


def the_old_state_is_deleted_when_another_is_installed(patch: Patch) -> None:
    install = snapshots.install
    patch.setattr(snapshots, "install", lambda data_dir, path, *, keeps: install(data_dir, path, keeps=False))


def the_rows_are_not_checked_at_the_start(patch: Patch) -> None:
    patch.setattr(node, "check_contents", lambda _connection: None)


def a_renewal_does_not_look_for_the_newest_entry(patch: Patch) -> None:
    renew = transactions.renew
    patch.setattr(
        transactions, "renew", lambda keys, revision, term, beat, _newest=0: renew(keys, revision, term, beat)
    )


def the_operator_may_choose_an_older_state(patch: Patch) -> None:
    plan_recovery = recovery.plan_recovery

    def plan(chosen: Any, others: Any, charter: Any, log: Any, *, force: bool) -> Charter:
        return plan_recovery(chosen, others, charter, log, force=True)

    def oldest(_self: Person, waiting: list[NodeStatus]) -> NodeStatus:
        return min(waiting, key=lambda it: it.applied or 2**62)

    patch.setattr(person, "plan_recovery", plan)  # where it is looked up
    patch.setattr(Person, "choose", oldest)
