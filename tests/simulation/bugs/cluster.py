"""Mistakes of a cluster, and some that it shares with a node alone; the checker must find each."""

import math
from typing import Any

import pytest

from hookline.errors import Fenced
from hookline.node.api.context import Api
from hookline.node.attempts.runner import Runner
from hookline.node.clocks.guard import ClockGuard
from hookline.node.clocks.watch import ClockWatch
from hookline.node.dispatch.http_exchange import HttpExchange
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.client import EtcdUnclear
from hookline.node.etcd.fence import Fence
from hookline.node.history.cluster import ClusterHistory
from hookline.node.leadership.etcd import EtcdLeadership
from hookline.node.state_machine import apply_jobs
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.machine import StateMachine
from hookline.node.state_machine.rows import OpenClaim
from hookline.node.state_machine.tables import Tables
from hookline.protocol import commands as c
from tests.simulation.bugs.node import believe_after
from tests.simulation.cluster.etcd import SimulatedClient

Patch = pytest.MonkeyPatch


# --- the log ---------------------------------------------------------------------------------------------------------


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


def what_a_read_does_not_show_is_taken_for_not_written(patch: Patch) -> None:
    txn = SimulatedClient.txn

    async def look_after(self: SimulatedClient, request: rpc.TxnRequest, timeout_s: float) -> rpc.TxnResponse:
        slots = [op.request_put.key for op in request.success if b"/log/" in op.request_put.key]
        try:
            return await txn(self, request, timeout_s)
        except EtcdUnclear:
            if slots and not (await self.range(rpc.RangeRequest(key=slots[0]), timeout_s)).kvs:
                raise Fenced("it is not there") from None
            raise

    patch.setattr(SimulatedClient, "txn", look_after)


def an_append_is_not_fenced(patch: Patch) -> None:
    append = transactions.append

    def append_for_anybody(*arguments: Any, **options: Any) -> rpc.TxnRequest:
        request = append(*arguments, **options)
        del request.compare[0]
        return request

    patch.setattr(transactions, "append", append_for_anybody)


# --- leading ---------------------------------------------------------------------------------------------------------


def the_lead_is_valid_until_another_one_is_heard_of(patch: Patch) -> None:
    patch.setattr(Fence, "valid_until_ms", lambda self: 0.0 if self.revision is None else math.inf)


def nobody_asks_before_a_request_whether_the_lead_is_valid(patch: Patch) -> None:
    patch.setattr(Runner, "_may_send", lambda _self, _term: True)


def the_lead_is_valid_from_the_answer_on(patch: Patch) -> None:
    confirmed = Fence.confirmed
    patch.setattr(Fence, "confirmed", lambda self, _asked_ms: confirmed(self, self._clock.boot_ms()))


def a_candidate_compares_nothing(patch: Patch) -> None:
    campaign = transactions.campaign

    def campaign_against_anybody(*arguments: Any) -> rpc.TxnRequest:
        request = campaign(*arguments)
        del request.compare[:]
        return request

    patch.setattr(transactions, "campaign", campaign_against_anybody)


# --- clocks ----------------------------------------------------------------------------------------------------------


def a_wall_clock_is_the_time_whatever_the_others_say(patch: Patch) -> None:
    patch.setattr(ClockGuard, "read", lambda _self, now: now.wall_ms)


def nobody_asks_the_others_for_their_time(patch: Patch) -> None:
    patch.setattr(ClockGuard, "hear", lambda _self, _now, _others: None)


def a_jump_is_believed_when_it_stays(patch: Patch) -> None:
    believe_after(patch, 300)


def a_leader_that_is_off_goes_on(patch: Patch) -> None:
    patch.setattr(ClockWatch, "_should_hand_over", lambda _self: False)


# --- taking over -----------------------------------------------------------------------------------------------------


def a_claim_is_sent_again_though_its_owner_lives(patch: Patch) -> None:
    patch.setattr(apply_jobs, "_is_dead", lambda _owner, _begin: True)


def claims_of_owners_that_live_are_taken_to_be_lost(patch: Patch) -> None:
    begin_term = apply_jobs.begin_term

    def begin(tables: Tables, effects: Effects, time_ms: int, command: c.BeginTerm) -> c.Result:
        result = begin_term(tables, effects, time_ms, command)
        for claim in tables.all(OpenClaim, "open_claims"):
            query = "SELECT claim_deadline_ms FROM jobs WHERE seq = ?"
            ends: list[tuple[Any, ...]] = tables._writer.execute(query, (claim.seq,)).fetchall()
            apply_jobs._lose(tables, effects, max(time_ms, ends[0][0]), claim)  # due again at their deadline
        return result

    patch.setattr(apply_jobs, "begin_term", begin)


def a_process_that_leads_again_forgets_what_it_still_sends(patch: Patch) -> None:
    is_dead = apply_jobs._is_dead
    patch.setattr(apply_jobs, "_is_dead", lambda owner, begin: owner == begin.owner or is_dead(owner, begin))


def a_silent_leader_is_taken_to_be_dead(patch: Patch) -> None:
    campaign = EtcdLeadership._campaign

    async def campaign_after(self: EtcdLeadership, *revisions: int) -> int | None:
        if self.leader is not None and self.leader.url:
            self._dead_owners = (self.leader.owner,)
        return await campaign(self, *revisions)

    patch.setattr(EtcdLeadership, "_campaign", campaign_after)


def with_a_leader_all_before_it_are_taken_to_be_dead(patch: Patch) -> None:
    is_dead = apply_jobs._is_dead
    patch.setattr(apply_jobs, "_is_dead", lambda owner, begin: bool(begin.dead) or is_dead(owner, begin))


def a_node_that_hands_over_keeps_its_outcomes_to_itself(patch: Patch) -> None:
    patch.setattr(HttpExchange, "report", lambda _self, _report: None)


# --- the state, and what clients are told ----------------------------------------------------------------------------


def a_node_applies_in_its_own_way_and_the_digest_is_not_checked(patch: Patch) -> None:
    finish = StateMachine._finish

    def differently(self: StateMachine, entry: Any, results: Any) -> None:
        own = [c.Changed(7), *results] if "n2" in str(self.database.path) and entry.index % 5 == 0 else results
        finish(self, entry, own)

    patch.setattr(StateMachine, "_finish", differently)
    apply = StateMachine.apply
    patch.setattr(StateMachine, "apply", lambda self, entry, **_: apply(self, entry, is_overruled=True))
    patch.setattr(ClusterHistory, "settle", _agree)


async def _agree(_self: ClusterHistory, _entry: Any) -> bool:
    return True


def cancels_do_not_get_into_the_log(patch: Patch) -> None:
    propose = Api.propose

    async def ignore(self: Api, *commands: Any) -> Any:
        return (
            [c.Changed(1)] if all(isinstance(it, c.CancelJobs) for it in commands) else await propose(self, *commands)
        )

    patch.setattr(Api, "propose", ignore)
