"""Mistakes in proxies, and in what nodes do for them; the checker must find each."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from hookline.errors import ClusterUnavailable, EpochUnknown
from hookline.http_api.forwarded_headers import EPOCH, FALLBACK
from hookline.http_api.messages import PROBLEM_JSON
from hookline.node.api.ownership import Ownership
from hookline.node.moving.handover import Handover
from hookline.node.moving.mover import Mover
from hookline.node.moving.targets import Targets
from hookline.node.state_machine import apply_moves, apply_upkeep
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.move_reads import MoveReads
from hookline.node.state_machine.tables import STATEMENTS
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.commands import ActivateBatch
from hookline.protocol.moves import decode_batch
from hookline.protocol.topology import Topology
from hookline.proxy import leveling, merging, pusher
from hookline.proxy.api import batches, creating, finding, lists
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.creating import Name
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.merging import Positions
from hookline.proxy.rerouting import StaleRoute
from hookline.proxy.retry_plan import RetryPlan

Patch = pytest.MonkeyPatch

_NOT_FOUND = NodeAnswer(404, b'{"code":"job_not_found"}', PROBLEM_JSON)


# --- what an unclear failure means ---------------------------------------------------------------------------------


def an_unclear_failure_is_taken_for_a_refusal(patch: Patch) -> None:
    patch.setattr(RetryPlan, "ambiguous", RetryPlan.not_accepted)


def a_refusal_after_an_unclear_try_is_taken_for_the_whole_truth(patch: Patch) -> None:
    not_accepted = RetryPlan.not_accepted

    def forget(self: RetryPlan) -> None:
        not_accepted(self)
        self.is_ambiguous = False

    patch.setattr(RetryPlan, "not_accepted", forget)


def a_full_queue_after_an_unclear_try_sends_on(patch: Patch) -> None:
    judged = Forwarder._judged

    async def at_once(self: Forwarder, asking: Any, url: str, answer: NodeAnswer, code: str, sent_ms: float) -> Any:
        return answer if code == "queue_full" else await judged(self, asking, url, answer, code, sent_ms)

    patch.setattr(Forwarder, "_judged", at_once)


def a_newer_topology_after_an_unclear_try_sends_elsewhere(patch: Patch) -> None:
    def route_again(self: Forwarder, asking: Any, answer: NodeAnswer) -> NodeAnswer | None:
        self.pusher.learn_from(answer)
        if self._known.version != asking.version:
            raise StaleRoute
        return answer

    patch.setattr(Forwarder, "_misdirected", route_again)


def a_newer_topology_after_an_unclear_try_is_followed_on_the_same_cluster(patch: Patch) -> None:
    """As it was once."""

    def ask_again(self: Forwarder, asking: Any, answer: NodeAnswer) -> NodeAnswer | None:
        self.pusher.learn_from(answer)
        is_newer = self._known.version != asking.version
        if not asking.plan.is_ambiguous:
            if is_newer:
                raise StaleRoute
            return answer
        asking.version = self._known.version
        return None

    patch.setattr(Forwarder, "_misdirected", ask_again)


def a_minted_id_is_minted_anew_for_a_repetition(patch: Patch) -> None:
    trying = Forwarder._try

    async def with_another_id(self: Forwarder, asking: Any, step: Any) -> Any:
        if asking.plan.is_ambiguous and asking.call.body.startswith(b'{"id":"0'):
            body = asking.call.body.replace(b'"id":"01', b'"id":"02', 1)
            asking.call = msgspec.structs.replace(asking.call, body=body)
        return await trying(self, asking, step)

    patch.setattr(Forwarder, "_try", with_another_id)


# --- who is the home ------------------------------------------------------------------------------------------------


def a_node_takes_calls_of_any_epoch(patch: Patch) -> None:
    patch.setattr(Ownership, "check_epoch", lambda _self, _request: None)


def the_previous_home_is_not_asked(patch: Patch) -> None:
    patch.setattr(Name, "former_home", lambda _self, _router: None)


def a_previous_home_that_cannot_be_reached_counts_as_empty(patch: Patch) -> None:
    create = creating._create_moving

    async def go_on(api: ProxyApi, call: NodeCall, name: Name, deadline_ms: float) -> NodeAnswer:
        try:
            return await create(api, call, name, deadline_ms)
        except ClusterUnavailable:
            return await api.forwarder.to_cluster(name.new_home(api.known.router), call, deadline_ms)

    patch.setattr(creating, "_create_moving", go_on)


def an_old_proxy_and_a_node_do_not_tell_the_home_of_an_id(patch: Patch) -> None:
    patch.setattr(Ownership, "check_epoch", lambda _self, _request: None)
    patch.setattr(Ownership, "stray", lambda _self, _job_id, _key=None: None)


def a_clients_own_id_falls_back_unasked(patch: Patch) -> None:
    create = creating._create_unmoved

    async def anywhere(
        api: ProxyApi, call: NodeCall, name: Name, deadline_ms: float, *, may_fall_back: bool
    ) -> NodeAnswer:
        allowed = call.with_headers((FALLBACK, b"allow"))
        return await create(api, allowed, name, deadline_ms, may_fall_back=True)

    patch.setattr(creating, "_create_unmoved", anywhere)


# --- reading --------------------------------------------------------------------------------------------------------


def the_new_home_is_believed_during_a_change(patch: Patch) -> None:
    patch.setattr(finding, "places", lambda router, wanted: (router.home(wanted).cluster, [], []))


def a_cluster_that_cannot_be_reached_has_no_such_job(patch: Patch) -> None:
    ask = finding._ask

    async def none_there(*arguments: Any) -> Any:
        answer = await ask(*arguments)
        return answer if isinstance(answer, NodeAnswer) else _NOT_FOUND

    patch.setattr(finding, "_ask", none_there)


def a_cancel_stops_at_the_first_cluster(patch: Patch) -> None:
    find = finding._find

    async def first_only(api: ProxyApi, call: NodeCall, wanted: str, deadline_ms: float) -> NodeAnswer:
        if call.method == "GET":
            return await find(api, call, wanted, deadline_ms)
        return await api.forwarder.to_cluster(api.known.router.home(wanted).cluster, call, deadline_ms)

    patch.setattr(finding, "_find", first_only)


# --- lists ----------------------------------------------------------------------------------------------------------


def a_list_does_not_say_what_is_missing(patch: Patch) -> None:
    patch.setattr(lists, "with_incomplete", lambda body, _incomplete: body)


def the_place_of_a_cluster_that_was_down_is_forgotten(patch: Patch) -> None:
    merge = merging.merge

    def merged(pages: Any, limit: int, **options: Any) -> Any:
        page = merge(pages, limit, **options)
        ended: Positions = dict.fromkeys(_ALL.difference(pages))
        return replace(page, positions=ended | page.positions)

    patch.setattr(merging, "merge", merged)


def a_page_goes_on_after_items_it_did_not_give(patch: Patch) -> None:
    patch.setattr(merging, "_position", lambda page, _taken: page.next_cursor)


def the_results_of_a_batch_come_in_the_order_of_the_answers(patch: Patch) -> None:
    take = batches._Batch._take

    def reversed_take(self: Any, positions: list[int], side: NodeAnswer, *, is_minted: bool) -> None:
        take(self, positions[::-1], side, is_minted=is_minted)

    patch.setattr(batches._Batch, "_take", reversed_take)


# --- one document per epoch -----------------------------------------------------------------------------------------


def nodes_compare_the_epoch_only(patch: Patch) -> None:
    """As it was once, with proxies whose file is in force at once."""

    def by_epoch(self: Ownership, request: Any) -> None:
        asked = request.caller.epoch
        if asked is not None and asked > self.epoch:
            raise EpochUnknown("newer", epoch=self.epoch)
        if asked is not None and asked < self.epoch:
            raise self.outdated()

    patch.setattr(Ownership, "check_epoch", by_epoch)
    a_file_is_in_force_at_once(patch)
    patch.setattr(KnownTopology, "conflict", lambda _self: None)


def a_file_is_in_force_at_once(patch: Patch) -> None:
    """And given to whoever has an older one: the decision is gone round."""
    start = KnownTopology.__init__

    def in_force(self: KnownTopology, topology: Topology, **_given: Any) -> None:
        start(self, topology)

    patch.setattr(KnownTopology, "__init__", in_force)


def every_cluster_decides(patch: Patch) -> None:
    patch.setattr(Ownership, "decides", lambda _self, _topology: True)
    patch.setattr(leveling, "decider_of", lambda clusters: clusters[-1])


# --- settings of destinations -----------------------------------------------------------------------------------------


def a_new_cluster_takes_a_topology_without_the_settings(patch: Patch) -> None:
    patch.setattr(Ownership, "may_lack_settings", lambda _self, _topology: False)


def the_settings_are_read_before_the_topology_is_there(patch: Patch) -> None:
    """From a cluster that still takes settings under the topology before."""
    patch.setattr(pusher, "_version_headers", lambda version: ((EPOCH, b"%d" % (version.epoch - 1)),))


def a_page_of_settings_is_lost(patch: Patch) -> None:
    apply = apply_upkeep.import_destinations

    def without(tables: Any, effects: Any, command: Any) -> Any:
        return apply(tables, effects, msgspec.structs.replace(command, settings=()))

    patch.setattr(apply_upkeep, "import_destinations", without)


_ALL = frozenset(f"c{shard}" for shard in range(5))


# --- moving -----------------------------------------------------------------------------------------------------------


def what_arrives_counts_before_it_is_given_up(patch: Patch) -> None:
    take = apply_moves.take_batch

    def at_once(tables: Any, command: Any) -> Any:
        result = take(tables, command)
        batch = decode_batch(command.batch)
        everything = (tuple(range(len(batch.jobs))), tuple(range(len(batch.schedules))))
        apply_moves.activate_batch(tables, Effects(), ActivateBatch(command.source, command.number, *everything))
        return result

    patch.setattr(apply_moves, "take_batch", at_once)


def nobody_says_where_it_went(patch: Patch) -> None:
    patch.setattr(apply_moves, "_note", lambda _tables, _there, *, moved: None)


def a_schedule_stays_where_it_was_as_well(patch: Patch) -> None:
    statement = STATEMENTS["drop_schedule"]
    patch.setitem(STATEMENTS, "drop_schedule", f"{statement} AND 0")


def keys_stay_behind(patch: Patch) -> None:
    """Of jobs that move, and those whose jobs stay."""

    async def nothing(_self: Mover, _targets: Any) -> None:
        return

    patch.setattr(Mover, "_point", nothing)
    read = MoveReads.record

    def without_keys(self: MoveReads, seq: int) -> Any:
        record = read(self, seq)
        return None if record is None else msgspec.structs.replace(record, keys=())

    patch.setattr(MoveReads, "record", without_keys)


def what_was_given_up_is_not_told_again(patch: Patch) -> None:
    """A leader that begins does not look whether the one before it came to an end."""
    patch.setattr(Handover, "resume", lambda _self, _tasks: None)


def a_cluster_that_leaves_takes_new_jobs(patch: Patch) -> None:
    """And says that it can be switched off, whatever is there by then."""
    patch.setattr(
        Targets, "moves", lambda _self, job, _now_ms: (job.state, job.attempts, job.kept_until_ms) == (0, 0, 0)
    )


def a_list_does_not_say_that_jobs_move(patch: Patch) -> None:
    patch.setattr(lists, "_moving", lambda _api, _since: [])
