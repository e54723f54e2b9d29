"""The promises of the design, each a check that names what is wrong with a run; without a word it is kept."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tests.simulation.promises import answers, delivery, reading, state, tenants, ticks
from tests.simulation.promises.facts import Facts

F = TypeVar("F")
Check = Callable[[Facts], Iterator[str]]

PROMISES: tuple[Check, ...] = (
    delivery.acknowledged_jobs_are_there,
    delivery.all_jobs_end,
    delivery.succeeded_jobs_arrived,
    delivery.an_answer_is_recorded_as_it_was,
    delivery.at_most_once_means_once,
    delivery.an_attempt_is_one_request,
    delivery.duplicates_have_a_reason,
    delivery.a_runner_has_a_claim_for_each_slot_and_few_ahead,
    delivery.a_claim_is_given_up_only_when_its_owner_is_lost,
    delivery.nobody_sends_what_another_has_claimed,
    delivery.without_trouble_nothing_is_lost,
    delivery.claims_come_before_requests,
    delivery.nothing_is_early,
    delivery.nothing_is_early_by_the_truth,
    delivery.retry_after_is_kept,
    delivery.a_calm_destination_is_served,
    answers.one_key_is_one_job,
    answers.a_refused_job_is_not_there,
    answers.a_cancel_is_refused_only_for_what_has_ended,
    answers.a_cancelled_job_stays_quiet,
    answers.the_newest_payload_is_sent,
    answers.a_paused_destination_is_left_alone,
    reading.what_was_acknowledged_can_be_read,
    reading.a_list_misses_nothing_without_a_word,
    reading.a_list_has_nothing_twice,
    tenants.what_a_caller_meets_is_its_tenants,
    tenants.a_key_that_one_tenant_uses_does_not_bind_another,
    tenants.a_job_is_cancelled_by_its_tenant,
    ticks.every_tick_makes_one_job,
    state.every_state_is_that_of_the_log,
    state.counters_count_the_rows,
)


OF_WORK_AND_CALLS = frozenset({delivery.all_jobs_end, answers.a_refused_job_is_not_there})
"""Of clients that this cluster's history tells of, and of work that ends."""


def broken(facts: F, promises: Iterable[Callable[[F], Iterator[str]]]) -> Iterator[str]:
    """Say in words all that breaks a promise."""
    for promise in promises:
        for text in promise(facts):
            yield f"{promise.__name__.replace('_', ' ')}: {text}"
