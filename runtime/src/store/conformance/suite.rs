//! The suite itself: each test on each store.

/// Each test once a store; the last file's, which need SQL, on those that have it. A test that is not named
/// here is dead code, which clippy refuses.
macro_rules! suite {
    ($($file:ident { $($test:ident,)+ })+ => $sql:ident { $($sql_test:ident,)+ }) => {
        suite! { @on on_sqlite sqlite $($file { $($test,)+ })+ $sql { $($sql_test,)+ } }
        suite! { @on on_postgres postgres $($file { $($test,)+ })+ $sql { $($sql_test,)+ } }
        #[cfg(feature = "testing")]
        suite! { @on on_memory memory $($file { $($test,)+ })+ }
        #[cfg(feature = "testing")]
        suite! { @on on_slow_memory slow $($file { $($test,)+ })+ }
    };
    (@on $store:ident $lab:ident $($file:ident { $($test:ident,)+ })+) => {
        mod $store { $(mod $file { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::store::conformance::$file::$test(crate::store::conformance::Lab::$lab()).await;
            }
        )+ })+ }
    };
}

suite! {
    appends {
        concurrent_appends_share_commits,
        the_journal_is_what_was_appended,
        an_append_repeated_is_in_once,
        a_gap_is_told_when_read,
        a_message_stops_a_close_until_it_is_taken_in,
        one_refused_row_is_found_and_the_others_are_in,
        rows_change_as_asked_and_only_so,
        a_suspension_is_kept_and_resumed,
    }
    attempts {
        the_last_failed_attempt_of_each_activity_is_kept,
        a_close_and_a_terminate_leave_no_failed_attempt,
        a_worker_that_was_taken_over_keeps_none,
        they_come_with_all_else_that_an_append_does,
    }
    beats {
        a_heartbeat_is_kept_in_its_row,
        a_copy_that_is_late_changes_nothing,
        whoever_holds_no_lease_beats_nothing,
        an_attempt_without_a_row_is_told,
        the_next_attempt_keeps_what_it_brings_nothing_for,
        the_end_of_an_attempt_carries_its_details,
        a_thousand_heartbeats_are_one_commit,
    }
    chains {
        a_run_is_handed_on_in_one_commit,
        unread_messages_move_in_their_order,
        outcomes_and_what_was_taken_in_do_not_move,
        a_start_may_hand_on_at_once,
        a_start_that_is_refused_hands_on_nothing,
        an_answer_that_is_lost_hands_on_once,
        what_belongs_to_the_chain_is_inherited,
        a_successor_without_an_owner_is_claimed_when_it_is_due,
        an_attempt_follows_a_run_that_has_ended,
        what_a_run_sends_to_itself_goes_to_the_next_run,
        a_lost_owner_hands_on_nothing,
        a_run_is_handed_on_under_the_lock_of_its_name,
    }
    closes {
        a_discarded_close_passes_what_is_unread,
        every_close_leaves_nothing_but_queries,
        a_drained_close_waits_for_inputs_alone,
    }
    dispatches {
        each_message_to_a_workflow_is_answered,
        a_run_may_send_to_itself_and_then_not_close,
        a_first_turn_may_send_to_others_and_to_itself,
        a_send_and_its_receivers_close_share_no_batch,
        two_that_close_and_send_to_each_other_come_to_an_end,
        a_message_to_a_suspended_run_is_parked_and_its_answer_is_not,
    }
    ends {
        a_claim_for_an_end_changes_nothing_but_the_owner,
        an_end_is_claimed_by_one_whatever_its_queue_type_and_status,
        an_owner_keeps_what_is_to_end,
        terms_of_a_start_are_kept,
        a_worker_that_was_taken_over_claims_no_end,
        a_message_to_terminate_is_never_parked,
    }
    faults {
        a_call_that_breaks_off_is_read_back,
        locks_and_full_disks_are_waited_out,
        a_client_is_told_that_it_is_unknown_and_asks_again,
        a_closed_store_says_so,
    }
    handed {
        what_is_handed_out_is_ended_by_its_token_and_once,
        it_costs_a_claim_a_hand_out_and_an_end,
        a_token_is_valid_before_its_worker_hands_it_out,
        what_is_handed_out_outlives_its_worker_and_what_is_not_does_not,
        time_ends_what_is_handed_out_and_a_heartbeat_puts_it_off,
        a_cancel_is_told_to_the_holder_of_the_token,
        a_token_of_a_closed_run_is_void_and_one_of_a_suspended_run_is_not,
    }
    list_fuzz {
        any_filter_gives_what_a_plain_model_gives,
        a_text_with_a_nul_matches_what_has_it,
    }
    messages {
        messages_keep_their_order_and_come_once,
        messages_of_one_append_reach_open_executions_once,
        messages_of_one_append_keep_their_order,
        closed_and_unknown_executions_say_so,
        a_closed_run_knows_a_request_by_its_events,
        terminate_is_immediate_and_once,
        replies_are_taken_once,
        replies_go_forward,
        replies_go_with_a_turn,
        who_has_to_look_is_told,
        a_close_never_passes_a_message_of_its_own_batch,
        what_a_run_sends_to_itself_as_it_closes_is_dropped,
        a_query_that_waits_outlives_every_end,
    }
    newer {
        a_message_of_an_unknown_kind_stays_and_wakes_nobody,
        a_run_of_an_unknown_open_status_is_open_and_nobodys,
        a_run_of_an_unknown_closed_status_is_closed,
    }
    orphans {
        each_child_is_told_by_its_policy_and_once,
        close_policies_are_sent_to_open_children_in_slices,
        an_end_from_outside_tells_children_and_the_parent,
        a_child_that_is_born_owned_is_claimed_by_nobody,
        a_message_to_a_child_finds_its_open_run,
    }
    ownership {
        an_unowned_start_is_claimed_by_one,
        claims_keep_to_queue_type_and_time,
        a_limit_leaves_the_rest_due,
        the_dead_are_taken_over,
        the_late_are_fenced_out,
        a_fenced_worker_does_not_hurt_its_neighbours_batch,
        suspects_come_one_at_a_time,
        each_other_build_tries_once,
        what_a_build_cannot_take_is_offered_to_others,
        what_another_worker_has_is_no_unknown_type,
    }
    parked {
        what_is_sent_to_a_suspended_run_waits_until_it_is_resumed,
        an_offer_gives_parked_messages_back,
        an_outcome_for_a_suspended_run_is_parked_and_a_query_is_not,
        what_is_sent_to_a_paused_run_is_parked_too,
        the_sweep_parks_what_came_before_the_suspension,
    }
    revisions {
        a_release_sent_twice_frees_nothing_that_was_claimed_since,
        a_suspension_sent_twice_does_not_stop_what_was_resumed_since,
        a_late_change_of_the_same_owner_changes_nothing,
        claims_take_overs_and_resumes_make_new_revisions_and_ends_from_outside_do_not,
        the_row_tells_what_became_of_a_release_whose_answer_was_lost,
        a_task_given_back_twice_stays_with_whoever_has_claimed_it_since,
        one_id_may_name_a_message_of_each_kind,
        a_run_is_read_whole,
        a_run_is_read_as_of_one_moment,
    }
    schedules {
        a_slot_is_started_once_whoever_passes,
        nothing_due_writes_nothing,
        a_pass_is_one_commit_for_a_hundred_schedules,
        the_end_of_a_chain_is_reported_once,
        a_run_that_goes_on_is_not_at_its_end,
        a_taken_id_is_a_failed_start,
        an_open_run_is_told_to_end,
        a_request_is_done_once,
        a_change_is_of_one_version,
        a_deleted_schedule_leaves_its_runs_and_no_report,
        schedules_are_listed_by_their_names,
        an_answer_that_is_lost_starts_one_run,
    }
    starts {
        an_open_run_decides_by_the_conflict_policy,
        a_closed_run_decides_by_the_reuse_policy,
        a_known_request_answers_with_its_run,
        a_start_that_is_in_unowned_is_not_taken_for_an_owned_one,
        a_start_that_an_earlier_try_has_put_there_is_not_this_one,
        terminate_existing_tells_the_owner_and_refuses_its_appends,
        an_owner_is_notified_that_a_start_has_replaced_its_run,
        an_empty_workflow_is_one_commit,
        a_start_that_closes_at_once_respects_an_open_run,
        one_taken_id_does_not_hurt_its_batch,
        names_of_any_text_come_back_as_they_were,
        lists_come_in_pages_newest_first,
        lists_are_newest_first_across_processes,
        a_start_can_send_a_message_to_itself,
    }
    streams {
        items_are_numbered_whoever_publishes_them,
        an_append_that_is_not_in_publishes_nothing,
        a_start_publishes_with_its_first_turn_or_not_at_all,
        whoever_holds_no_lease_publishes_nothing,
        the_newest_items_are_kept,
        the_newest_bytes_are_kept,
        a_read_gives_a_part_of_much,
        publishers_at_once_leave_no_gap,
        readers_of_every_process_are_told,
    }
    limits {
        no_more_run_than_the_limit_says,
        what_a_dead_worker_ran_makes_room,
        what_is_given_back_makes_room,
        a_rate_is_kept_by_the_clock_of_the_database,
        each_key_has_the_limit_for_itself,
        the_last_started_worker_sets_the_limits,
        a_higher_priority_is_claimed_first,
        a_flood_of_one_key_does_not_hold_up_the_others,
        later_tasks_say_when_they_are_due,
        a_claim_under_a_limit_is_one_commit,
        what_is_in_use_is_not_forgotten,
    }
    tasks {
        a_task_is_claimed_by_one_and_ended_once,
        claims_keep_to_queue_name_time_and_limit,
        what_was_never_begun_is_given_back,
        a_retry_comes_in_the_place_of_an_attempt_that_is_there,
        an_outcome_that_was_first_wins_against_the_owner_and_its_neighbours_go_on,
        what_nobody_wants_any_more_goes_begun_or_not,
        a_cancel_asks_whoever_runs_it_and_ends_what_nobody_has_begun,
        the_attempts_of_the_dead_are_lost_and_wake_their_executions,
        the_attempts_of_one_that_leaves_are_lost_and_those_of_the_owner_are_not,
        time_ends_what_nobody_took_and_what_nobody_ended,
        a_close_and_a_terminate_leave_no_task,
        a_close_deletes_tasks_whatever_else_it_changes_of_them,
        an_outcome_holds_up_a_close,
        whoever_holds_no_lease_takes_and_ends_nothing,
        a_start_that_is_refused_leaves_no_task,
        workers_of_the_process_are_told,
    }
    wakes {
        only_those_whom_a_write_concerns_are_woken,
        what_concerns_another_process_wakes_no_worker_here,
    }
    with_start {
        a_new_run_begins_with_the_messages,
        messages_go_to_the_open_run_in_their_order,
        a_start_that_is_tried_again_delivers_once,
        a_start_that_is_refused_sends_nothing,
        a_start_that_replaces_a_run_sends_it_nothing,
        messages_to_a_suspended_run_are_parked,
        a_close_at_the_same_time_loses_no_message,
        an_answer_that_is_lost_is_asked_for_again,
        senders_at_once_make_one_run,
    }
    => transactions {
        rows_and_outcome_are_one,
        without_an_end_nothing_is_in_and_the_writer_goes_on,
        whoever_takes_the_token_first_has_decided,
        a_worker_that_was_taken_over_commits_nothing,
        a_constraint_that_is_checked_at_the_end_refuses_the_commit,
        whatever_fails_on_the_way_is_all_or_nothing,
        what_a_client_writes_within_happens_if_the_user_commits,
        messages_of_a_start_go_with_the_users_commit,
        a_body_that_ends_the_transaction_is_found_out,
        a_connection_of_another_database_is_refused,
    }
}
