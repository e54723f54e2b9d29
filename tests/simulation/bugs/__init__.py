"""Every planted bug: a mistake that someone could make, and the run that shows it. The promises must find each."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.simulation.bugs import cluster, elsewhere, fleet, mixed, node, tenants

Bug = Callable[[pytest.MonkeyPatch], None]
OUTDATED = "outdated_seed"  # property of a test that had to look for another seed


class Planted(NamedTuple):
    """A bug, and where it shows: the preset, and the seed to try first. ``tests.simulation.hunt`` finds it."""

    bug: Bug
    preset: str
    seed: int = 0

    @property
    def name(self) -> str:
        """As in the ids of tests."""
        return f"{self.preset}-{self.bug.__name__}"


PLANTED: tuple[Planted, ...] = (
    Planted(node.requests_leave_before_their_claim_is_in_the_log, "single", 1),
    Planted(node.calls_are_answered_before_the_log_has_them, "single", 25),
    Planted(node.outcomes_are_lost_at_a_restart, "single", 23),
    Planted(node.a_new_term_sends_at_most_once_jobs_again, "single", 3),
    Planted(node.an_at_most_once_job_is_tried_again_after_a_timeout, "single", 1),
    Planted(node.applying_looks_at_the_clock, "single", 0),
    Planted(node.a_tick_is_made_twice, "single", 1),
    Planted(node.missed_ticks_are_forgotten, "single", 27),
    Planted(node.overlapping_jobs_are_made_although_they_are_not_wanted, "single", 27),
    Planted(node.cancelled_jobs_are_claimed, "single", 2),
    Planted(node.running_attempts_survive_a_cancel, "single", 26),
    Planted(node.keys_are_ignored, "single", 0),
    Planted(node.chosen_ids_take_any_body, "single", 3),
    Planted(node.jobs_are_sent_early, "single", 0),
    Planted(node.a_wall_clock_is_the_time_whatever_it_says, "single", 20),
    Planted(node.a_jump_is_believed_when_it_stays, "single", 80),
    Planted(node.updates_are_ignored, "single", 5),
    Planted(node.paused_destinations_are_called, "single", 3),
    Planted(node.refused_claims_keep_their_slot, "single", 0),
    Planted(node.a_parked_destination_is_forgotten, "single", 1),
    Planted(node.pending_jobs_are_forgotten_at_a_restart, "single", 0),
    Planted(node.a_window_that_was_filled_counts_as_the_whole_lane, "single", 2),
    Planted(node.retry_after_is_ignored, "single", 14),
    Planted(node.failures_count_as_success, "single", 0),
    Planted(cluster.a_wall_clock_is_the_time_whatever_the_others_say, "cluster", 74),
    Planted(cluster.nobody_asks_the_others_for_their_time, "cluster", 41),
    Planted(cluster.a_jump_is_believed_when_it_stays, "cluster", 74),
    Planted(cluster.a_leader_that_is_off_goes_on, "cluster", 189),
    Planted(cluster.a_timeout_is_taken_for_a_failure, "cluster", 7),
    Planted(cluster.what_a_read_does_not_show_is_taken_for_not_written, "cluster", 12),
    Planted(cluster.an_append_is_not_fenced, "cluster", 42),
    Planted(cluster.the_lead_is_valid_until_another_one_is_heard_of, "cluster", 20),
    Planted(cluster.nobody_asks_before_a_request_whether_the_lead_is_valid, "cluster", 4),
    Planted(cluster.the_lead_is_valid_from_the_answer_on, "cluster", 205),
    Planted(cluster.a_candidate_compares_nothing, "cluster", 1),
    Planted(cluster.a_claim_is_sent_again_though_its_owner_lives, "cluster", 3),
    Planted(cluster.claims_of_owners_that_live_are_taken_to_be_lost, "cluster", 3),
    Planted(cluster.a_process_that_leads_again_forgets_what_it_still_sends, "cluster", 3),
    Planted(cluster.a_silent_leader_is_taken_to_be_dead, "cluster", 32),
    Planted(cluster.with_a_leader_all_before_it_are_taken_to_be_dead, "cluster", 83),
    Planted(cluster.a_node_that_hands_over_keeps_its_outcomes_to_itself, "cluster", 24),
    Planted(cluster.a_node_applies_in_its_own_way_and_the_digest_is_not_checked, "cluster", 0),
    Planted(cluster.cancels_do_not_get_into_the_log, "cluster", 2),
    Planted(node.applying_looks_at_the_clock, "cluster", 0),
    Planted(node.a_new_term_sends_at_most_once_jobs_again, "cluster", 1),
    Planted(node.requests_leave_before_their_claim_is_in_the_log, "cluster", 0),
    Planted(node.calls_are_answered_before_the_log_has_them, "cluster", 3),
    Planted(node.cancelled_jobs_are_claimed, "cluster", 17),
    Planted(node.running_attempts_survive_a_cancel, "cluster", 32),
    Planted(elsewhere.a_runner_elsewhere_ignores_its_validity, "cluster", 4),
    Planted(elsewhere.an_attempt_process_ignores_its_validity, "cluster", 21),
    Planted(elsewhere.a_validity_counts_from_the_answer, "cluster", 4),
    Planted(elsewhere.a_silent_workers_claims_are_given_to_another, "cluster", 96),
    Planted(elsewhere.claims_expire_before_their_deadline, "cluster", 4),
    Planted(elsewhere.an_at_most_once_job_is_sent_again_after_its_claim_was_lost, "single", 146),
    Planted(elsewhere.any_number_of_claims_is_ahead, "single", 49),
    Planted(elsewhere.what_a_runner_does_not_hold_was_never_told, "cluster", 26),
    Planted(elsewhere.a_report_counts_as_told_when_it_is_sent, "cluster", 4),
    Planted(elsewhere.a_broken_link_is_taken_for_a_dead_process, "single", 14),
    Planted(elsewhere.the_claims_of_a_dead_process_are_sent_again_as_failures, "single", 42),
    Planted(mixed.whose_a_state_is_is_not_compared, "mixed", 10),
    Planted(mixed.a_node_ahead_of_the_log_follows_all_the_same, "mixed", 24),
    Planted(mixed.nobody_asks_what_the_others_have, "mixed", 110),
    Planted(mixed.an_empty_node_begins_a_log, "mixed", 47),
    Planted(mixed.the_digests_of_entries_are_not_compared, "mixed", 3),
    Planted(mixed.the_leader_is_right_by_definition, "mixed", 3),
    Planted(mixed.the_old_state_is_deleted_when_another_is_installed, "mixed", 3),
    Planted(mixed.the_rows_are_not_checked_at_the_start, "mixed", 2),
    Planted(mixed.a_renewal_does_not_look_for_the_newest_entry, "mixed", 766),
    Planted(mixed.the_operator_may_choose_an_older_state, "mixed", 13),
    Planted(fleet.an_unclear_failure_is_taken_for_a_refusal, "fleet", 3),
    Planted(fleet.a_refusal_after_an_unclear_try_is_taken_for_the_whole_truth, "fleet", 22),
    Planted(fleet.a_full_queue_after_an_unclear_try_sends_on, "fleet", 27),
    Planted(fleet.a_newer_topology_after_an_unclear_try_sends_elsewhere, "fleet", 16),
    Planted(fleet.a_newer_topology_after_an_unclear_try_is_followed_on_the_same_cluster, "fleet", 20),
    Planted(fleet.a_minted_id_is_minted_anew_for_a_repetition, "fleet", 16),
    Planted(fleet.a_node_takes_calls_of_any_epoch, "fleet", 12),
    Planted(fleet.the_previous_home_is_not_asked, "fleet", 3),
    Planted(fleet.a_previous_home_that_cannot_be_reached_counts_as_empty, "fleet", 8),
    Planted(fleet.an_old_proxy_and_a_node_do_not_tell_the_home_of_an_id, "fleet", 20),
    Planted(fleet.a_clients_own_id_falls_back_unasked, "fleet", 1),
    Planted(fleet.the_new_home_is_believed_during_a_change, "fleet", 17),
    Planted(fleet.a_cluster_that_cannot_be_reached_has_no_such_job, "fleet", 3),
    Planted(fleet.a_cancel_stops_at_the_first_cluster, "fleet", 20),
    Planted(fleet.a_list_does_not_say_what_is_missing, "fleet", 18),
    Planted(fleet.the_place_of_a_cluster_that_was_down_is_forgotten, "fleet", 59),
    Planted(fleet.a_page_goes_on_after_items_it_did_not_give, "fleet", 4),
    Planted(fleet.the_results_of_a_batch_come_in_the_order_of_the_answers, "fleet", 1),
    Planted(fleet.nodes_compare_the_epoch_only, "fleet", 12),
    Planted(fleet.a_file_is_in_force_at_once, "fleet", 12),
    Planted(fleet.every_cluster_decides, "fleet", 93),
    Planted(fleet.a_new_cluster_takes_a_topology_without_the_settings, "fleet", 49),
    Planted(fleet.the_settings_are_read_before_the_topology_is_there, "fleet", 4),
    Planted(fleet.a_page_of_settings_is_lost, "fleet", 56),
    Planted(fleet.what_arrives_counts_before_it_is_given_up, "fleet", 0),
    Planted(fleet.nobody_says_where_it_went, "fleet", 9),
    Planted(fleet.a_schedule_stays_where_it_was_as_well, "fleet", 12),
    Planted(fleet.keys_stay_behind, "fleet", 9),
    Planted(fleet.what_was_given_up_is_not_told_again, "fleet", 8),
    Planted(fleet.a_cluster_that_leaves_takes_new_jobs, "fleet", 6),
    Planted(fleet.a_list_does_not_say_that_jobs_move, "fleet", 19),
    Planted(tenants.a_key_is_looked_up_without_its_tenant, "tenants", 24),
    Planted(tenants.a_job_is_read_without_its_tenant, "tenants", 0),
    Planted(tenants.a_filter_forgets_the_tenant, "tenants", 1),
    Planted(tenants.the_header_of_an_operator_is_ignored, "tenants", 0),
)
