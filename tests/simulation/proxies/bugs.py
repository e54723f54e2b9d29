"""Mistakes in proxies, and in what nodes do for them; the checker must find each."""

from dataclasses import replace
from typing import Any

import pytest

from hookline.errors import ClusterUnavailable
from hookline.http_api.exchange import PROBLEM_JSON
from hookline.http_api.hops import FALLBACK
from hookline.node.api.ownership import Ownership
from hookline.proxy import merging
from hookline.proxy.api import batches, creating, finding, lists
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.creating import Name
from hookline.proxy.forwarder import Forwarder, StaleRoute
from hookline.proxy.merging import Positions
from hookline.proxy.sender import Answer, Call
from hookline.proxy.tries import Tries
from tests.simulation.bugs import Bug

Patch = pytest.MonkeyPatch

_NOT_FOUND = Answer(404, b'{"code":"job_not_found"}', PROBLEM_JSON)


# --- what an unclear failure means ---------------------------------------------------------------------------------


def an_unclear_failure_is_taken_for_a_refusal(patch: Patch) -> None:
    patch.setattr(Tries, "unclear", Tries.not_accepted)


def a_refusal_after_an_unclear_try_is_taken_for_the_whole_truth(patch: Patch) -> None:
    not_accepted = Tries.not_accepted

    def forget(self: Tries) -> None:
        not_accepted(self)
        self.was_unclear = False

    patch.setattr(Tries, "not_accepted", forget)


def a_full_queue_after_an_unclear_try_sends_on(patch: Patch) -> None:
    judged = Forwarder._judged

    async def at_once(self: Forwarder, asking: Any, url: str, answer: Answer, code: str, sent_ms: float) -> Any:
        return answer if code == "queue_full" else await judged(self, asking, url, answer, code, sent_ms)

    patch.setattr(Forwarder, "_judged", at_once)


def a_newer_topology_after_an_unclear_try_sends_elsewhere(patch: Patch) -> None:
    def route_again(self: Forwarder, asking: Any, answer: Answer) -> Answer | None:
        self.giver.learn_from(answer)
        if self._known.epoch > asking.epoch:
            raise StaleRoute
        return answer

    patch.setattr(Forwarder, "_misdirected", route_again)


def a_newer_topology_after_an_unclear_try_is_followed_on_the_same_cluster(patch: Patch) -> None:
    """As it was once."""

    def ask_again(self: Forwarder, asking: Any, answer: Answer) -> Answer | None:
        self.giver.learn_from(answer)
        is_newer = self._known.epoch > asking.epoch
        if not asking.tries.was_unclear:
            if is_newer:
                raise StaleRoute
            return answer
        asking.epoch = self._known.epoch
        return None

    patch.setattr(Forwarder, "_misdirected", ask_again)


def a_minted_id_is_minted_anew_for_a_repetition(patch: Patch) -> None:
    trying = Forwarder._try

    async def with_another_id(self: Forwarder, asking: Any, step: Any) -> Any:
        if asking.tries.was_unclear and asking.call.body.startswith(b'{"id":"0'):
            asking.call = replace(asking.call, body=asking.call.body.replace(b'"id":"01', b'"id":"02', 1))
        return await trying(self, asking, step)

    patch.setattr(Forwarder, "_try", with_another_id)


# --- who is the home ------------------------------------------------------------------------------------------------


def a_node_takes_calls_of_any_epoch(patch: Patch) -> None:
    patch.setattr(Ownership, "check_epoch", lambda _self, _request: None)


def the_previous_home_is_not_asked(patch: Patch) -> None:
    patch.setattr(Name, "former_home", lambda _self, _router: None)


def a_previous_home_that_cannot_be_reached_counts_as_empty(patch: Patch) -> None:
    create = creating._create_moving

    async def go_on(api: ProxyApi, call: Call, name: Name, deadline_ms: float) -> Answer:
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

    async def anywhere(api: ProxyApi, call: Call, name: Name, deadline_ms: float, *, may_fall_back: bool) -> Answer:
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
        return answer if isinstance(answer, Answer) else _NOT_FOUND

    patch.setattr(finding, "_ask", none_there)


def a_cancel_stops_at_the_first_cluster(patch: Patch) -> None:
    find = finding._find

    async def first_only(api: ProxyApi, call: Call, wanted: str, deadline_ms: float) -> Answer:
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

    def reversed_take(self: Any, positions: list[int], side: Answer, *, is_minted: bool) -> None:
        take(self, positions[::-1], side, is_minted=is_minted)

    patch.setattr(batches._Batch, "_take", reversed_take)


_ALL = frozenset(f"c{shard}" for shard in range(5))

BUGS: tuple[Bug, ...] = (
    an_unclear_failure_is_taken_for_a_refusal,
    a_refusal_after_an_unclear_try_is_taken_for_the_whole_truth,
    a_full_queue_after_an_unclear_try_sends_on,
    a_newer_topology_after_an_unclear_try_sends_elsewhere,
    a_newer_topology_after_an_unclear_try_is_followed_on_the_same_cluster,
    a_minted_id_is_minted_anew_for_a_repetition,
    a_node_takes_calls_of_any_epoch,
    the_previous_home_is_not_asked,
    a_previous_home_that_cannot_be_reached_counts_as_empty,
    an_old_proxy_and_a_node_do_not_tell_the_home_of_an_id,
    a_clients_own_id_falls_back_unasked,
    the_new_home_is_believed_during_a_change,
    a_cluster_that_cannot_be_reached_has_no_such_job,
    a_cancel_stops_at_the_first_cluster,
    a_list_does_not_say_what_is_missing,
    the_place_of_a_cluster_that_was_down_is_forgotten,
    a_page_goes_on_after_items_it_did_not_give,
    the_results_of_a_batch_come_in_the_order_of_the_answers,
)
