//! Mutants: named defects that tests put into the engine on purpose, to check that the tests find them
//! (mutation testing, DeMillo, Lipton, Sayward 1978).
//!
//! `mutant!(Name)` is `false` in every build without the feature `mutants`, and costs nothing there. With the
//! feature, at most one mutant is active in a process.

/// Whether this defect is active.
#[macro_export]
#[doc(hidden)]
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is_alive($crate::mutant::Mutant::$name)
    };
}

/// Without the feature, no defect is active.
#[macro_export]
#[doc(hidden)]
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

#[cfg(feature = "mutants")]
pub use list::{FoundBy, Mutant, is_alive, let_live};

#[cfg(feature = "mutants")]
mod list {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The tests that must find a mutant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum FoundBy {
        /// The simulation, within this many runs that start at this seed.
        #[allow(missing_docs)] // as its line says
        Simulation { from: u64, runs: u64 },
        /// The permutations of Postgres statements.
        Permutations,
        /// This unit test of `abide`.
        Test(&'static str),
    }

    macro_rules! mutants {
        ($($name:ident $text:literal $found:expr, $what:literal;)*) => {
            /// A defect.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Mutant {
                $(#[doc = $what] $name,)*
            }

            impl Mutant {
                /// All mutants.
                pub const ALL: &[Self] = &[$(Self::$name),*];

                /// Its name on the command line.
                pub fn name(self) -> &'static str {
                    match self { $(Self::$name => $text,)* }
                }

                /// What it does wrong.
                pub fn what(self) -> &'static str {
                    match self { $(Self::$name => $what,)* }
                }

                /// The tests that must find it.
                pub fn found_by(self) -> FoundBy {
                    match self { $(Self::$name => $found,)* }
                }
            }
        };
    }

    use FoundBy::{Permutations, Simulation, Test};

    mutants! {
        ActBeforeDurable "act-before-durable" Simulation { from: 1, runs: 50 },
            "Activities are started when a turn is handed in, not when it is durable.";
        AckBeforeCommit "ack-before-commit" Simulation { from: 415, runs: 50 },
            "A message is acknowledged when its turn is handed in.";
        ForgetInboxDelete "forget-inbox-delete" Simulation { from: 1, runs: 50 },
            "What a turn took in stays in the inbox.";
        SwapTwoEvents "swap-two-events" Simulation { from: 1, runs: 50 },
            "The last two events of a turn are written in the other order.";
        ForgetTimerOnTakeOver "forget-timer-on-take-over" Simulation { from: 1, runs: 50 },
            "An execution that is loaded forgets its timers.";
        DropCompletionAtShutdown "drop-completion-at-shutdown" Simulation { from: 1, runs: 50 },
            "Outcomes that come while the worker shuts down are dropped.";
        ReuseIncarnation "reuse-incarnation" Simulation { from: 269, runs: 50 },
            "A worker that lost its lease goes on under its old id.";
        RestoreOldState "restore-old-state" Simulation { from: 136, runs: 50 },
            "A claimed execution goes on from the state that was cached here before.";
        SkipRecovered "skip-recovered" Simulation { from: 7, runs: 50 },
            "A take-over does not count lost attempts.";
        IgnoreConflict "ignore-conflict" Simulation { from: 1, runs: 50 },
            "A refused close is taken for a durable one.";
        IgnoreLost "ignore-lost" Simulation { from: 10060, runs: 50 },
            "A turn of an execution that is another's is taken for durable.";
        IgnoreUnknown "ignore-unknown" Simulation { from: 1, runs: 50 },
            "A turn whose outcome is unknown is taken for durable.";
        ChangeWithoutRev "change-without-rev"
            Test("store::conformance::suite::on_memory::revisions::\
                a_release_sent_twice_frees_nothing_that_was_claimed_since"),
            "The change of a row does not look at its revision (once a bug).";
        AnswerRefusalsOnly "answer-refusals-only"
            Test("store::conformance::suite::on_memory::dispatches::each_message_to_a_workflow_is_answered"),
            "A message to another workflow is answered only where it is refused.";
        OneKeyOfSender "one-key-of-sender" Simulation { from: 1, runs: 50 },
            "All messages of a run to other workflows have one key.";
        OneLookAtNames "one-look-at-names"
            Test("store::postgres::lock_tests::a_receiver_that_is_locked_is_not_taken_for_none"),
            "A receiver that another session has locked is taken for one that is not running.";
        ForgetOrphans "forget-orphans"
            Test("store::conformance::suite::on_memory::orphans::close_policies_are_sent_to_open_children_in_slices"),
            "A close does not note that children are still to be told.";
        ClearOrphansEarly "clear-orphans-early"
            Test("store::conformance::suite::on_memory::orphans::close_policies_are_sent_to_open_children_in_slices"),
            "The note that children are still to be told is taken away before all are.";
        ForgetRequestIds "forget-request-ids" Simulation { from: 15, runs: 50 },
            "A message is taken in again under a request id that history has.";
        LoseWakeUp "lose-wake-up" Simulation { from: 8, runs: 50 },
            "The second of two tasks that one event wakes is not polled.";
        CountWithLock "count-with-lock" Permutations,
            "A claim counts what runs under a limit by the statement that locks the limit.";
        CountRetryTwice "count-retry-twice" Simulation { from: 1, runs: 50 },
            "A failed attempt counts as two.";
        ForgetFailed "forget-failed" Simulation { from: 1, runs: 50 },
            "A load does not bring the failed attempts that are kept.";
        KeepFailed "keep-failed"
            Test("store::conformance::suite::on_memory::attempts::a_close_and_a_terminate_leave_no_failed_attempt"),
            "A close leaves failed attempts behind.";
        UnsuspendByEnd "unsuspend-by-end"
            Test("store::conformance::suite::on_memory::ends::a_claim_for_an_end_changes_nothing_but_the_owner"),
            "A claim that is to end a suspended run lets it run.";
        TerminateDrained "terminate-drained"
            Test("store::conformance::suite::on_memory::closes::a_discarded_close_passes_what_is_unread"),
            "An end without code is refused while a message is unread.";
        CompensateForwards "compensate-forwards" Simulation { from: 18, runs: 50 },
            "Compensations run in the order in which they were registered.";
        RetryBeforeDurable "retry-before-durable" Simulation { from: 100, runs: 50 },
            "A retry is started before the row says that it may have been.";
        RetryUnnoted "retry-unnoted" Test("worker::thread::tests::a_retry_of_a_turn_that_suspends_is_noted_in_the_row"),
            "A retry starts in a turn that suspends, and the row does not say so (once a bug).";
        AssumeCommitted "assume-committed" Simulation { from: 2, runs: 50 },
            "A batch that broke off is taken for committed, without a look.";
        TwoInFlight "two-in-flight" Simulation { from: 1, runs: 50 },
            "A turn does not wait for the one before it to be durable.";
        StartAgain "start-again" Simulation { from: 1, runs: 50 },
            "An attempt that runs here is started again after a load.";
        ForgetWakeAt "forget-wake-at" Simulation { from: 4, runs: 50 },
            "The row of a released execution does not say when it is due.";
        ForgetActive "forget-active" Simulation { from: 86, runs: 50 },
            "The row of an execution does not say that an activity may be running.";
        StartOverLive "start-over-live"
            Test("worker::thread::tests::a_start_of_what_lives_here_already_changes_nothing"),
            "A start that is asked again takes the place of the execution that lives here (once a bug).";
        KnownIsOwned "known-is-owned"
            Test("store::conformance::suite::on_memory::starts::\
                a_start_that_is_in_unowned_is_not_taken_for_an_owned_one"),
            "A start whose row is there counts as this worker's own (once a bug).";
        LeaveDirty "leave-dirty" Test("worker::rounds::tests::what_a_load_makes_is_taken_in_by_the_same_round"),
            "What an execution has to do at once waits till its thread is woken (once a bug).";
        DropOutcome "drop-outcome" Simulation { from: 155, runs: 50 },
            "Outcomes that are not written yet are forgotten when their execution is loaded again.";
        OverlookDifference "overlook-difference" Simulation { from: 217, runs: 50 },
            "A command is taken for the recorded one if it is of its kind.";
        QueryBrokenOff "query-broken-off" Simulation { from: 41, runs: 50 },
            "A query is answered from a replay that broke off (once a bug).";
        TakeAnyTry "take-any-try"
            Test("store::conformance::suite::on_memory::starts::\
                a_start_that_an_earlier_try_has_put_there_is_not_this_one"),
            "A start that an earlier try has put there counts as made by this one (once a bug).";
        AnswerBeyond "answer-beyond" Simulation { from: 182617701548061, runs: 50 },
            "A query is answered from a replay that went on beyond the history (once a bug).";
        NeverDue "never-due" Test("worker::thread::tests::what_was_asked_to_stop_and_runs_nowhere_is_due_at_once"),
            "What an owner asked to stop in its back-off is due for nobody after it (once a bug).";
        LoadTwice "load-twice" Test("worker::thread::tests::an_answer_to_an_earlier_load_is_dropped"),
            "An answer to an earlier load is taken (once a bug).";
        ReviveWithoutRow "revive-without-row" Test("worker::thread::tests::what_the_row_gives_to_another_is_let_go"),
            "After an unknown answer the row is not looked at (once a bug).";
        GrepKnown "grep-known"
            Test("store::conformance::suite::on_memory::messages::a_closed_run_knows_a_request_by_its_events"),
            "Whether a closed run knows a request is decided by a search in text (once a bug).";
        KeysBeforeRows "keys-before-rows" Test("store::postgres::lock_tests::a_turn_has_its_row_before_its_key"),
            "A batch takes keys of the journal before it has its rows (once a bug).";
        CloseWithSend "close-with-send"
            Test("store::conformance::suite::on_memory::messages::a_close_never_passes_a_message_of_its_own_batch"),
            "A batch closes a run that another append of it sends a message to.";
        MoveNothing "move-nothing"
            Test("store::conformance::suite::on_memory::chains::unread_messages_move_in_their_order"),
            "What a run has not taken in is lost when it is handed on.";
        MoveAttempts "move-attempts"
            Test("store::conformance::suite::on_memory::chains::outcomes_and_what_was_taken_in_do_not_move"),
            "The outcome of an attempt moves to the next run of a chain.";
        ForgetJoined "forget-joined"
            Test("store::conformance::suite::on_memory::with_start::a_start_that_is_tried_again_delivers_once"),
            "It is forgotten which run has the messages of a start.";
        SkipNameLock "skip-name-lock"
            Test("store::conformance::suite::on_memory::chains::a_run_is_handed_on_under_the_lock_of_its_name"),
            "A run is handed on without the lock of its workflow id.";
        RetryNonRetryable "retry-non-retryable"
            Test("worker::successor::tests::an_error_that_no_retry_can_fix_ends_the_chain"),
            "A workflow is tried again after an error that no retry can fix.";
        RetryWithoutEnd "retry-without-end" Simulation { from: 10_000, runs: 50 },
            "The attempts of a workflow are not counted.";
        ReportEachAttempt "report-each-attempt"
            Test("worker::successor::tests::a_parent_is_told_of_the_last_attempt_only"),
            "A parent is told of the end of a child that is tried again.";
        CloseStarves "close-starves" Test("store::postgres::lock_tests::a_close_that_is_kept_out_waits_in_line"),
            "A close tries its row for ever and never waits for it (once a bug).";
        SignalsAfterRun "signals-after-run" Simulation { from: 60, runs: 50 },
            "Signals that came before the first turn are delivered after `run` was polled (once a bug).";
        RejectAtOnce "reject-at-once" Test("worker::updates::tests::a_rejection_waits_for_the_append_of_its_turn"),
            "A rejection is told before the append of its turn is durable.";
        RejectByUpdateId "reject-by-update-id" Test("worker::updates::tests::a_rejection_answers_one_ask"),
            "A rejection is kept for all asks of its update.";
        ForgetUpdateIds "forget-update-ids" Test("worker::updates::tests::an_accepted_id_is_not_accepted_again"),
            "An update is accepted again under an id that history has.";
        ForgetCarriedUpdates "forget-carried-updates"
            Test("worker::updates::chain_tests::an_update_is_accepted_once_in_a_chain"),
            "An update is accepted again by the next run of its chain (once a bug).";
        ForgetCarried "forget-carried" Simulation { from: 10_000, runs: 50 },
            "The next run of a chain knows no request id of the runs before it.";
        FirstBehind "first-behind" Simulation { from: 10_010, runs: 50 },
            "A message that came with the start of a run is delivered behind the inbox.";
        ForgetLimit "forget-limit" Simulation { from: 10_080, runs: 50 },
            "A worker that loads a run does not know its time limit.";
        LoseLastOfAttempt "lose-last-of-attempt" Simulation { from: 10_000, runs: 50 },
            "What an activity has published last is not written.";
        RevalidateOnReplay "revalidate-on-replay" Test("worker::updates::tests::a_replay_asks_no_validator"),
            "A replay asks the validators of recorded updates.";
        AnswerOldest "answer-oldest" Simulation { from: 145, runs: 50 },
            "The end of an update's handler is told as the end of the oldest open update.";
        CloseOverChild "close-over-child" Simulation { from: 1_180, runs: 50 },
            "A close does not wait for the end of a child that was asked to cancel.";
        DropLastItems "drop-last-items" Simulation { from: 55, runs: 50 },
            "What a run publishes in its last turn is not written.";
        PublishOnReplay "publish-on-replay" Test("store::stream::tests::a_replay_publishes_nothing_again"),
            "A replay publishes again what the run has published.";
        FireWithoutLastSlot "fire-without-last-slot" Test("schedule_tests::a_slot_is_started_once"),
            "A schedule does not note which slots it has started.";
        KeepDetailsOfNone "keep-details-of-none"
            Test("store::conformance::suite::on_memory::beats::the_next_attempt_keeps_what_it_brings_nothing_for"),
            "An attempt that brings no details of a heartbeat loses those of its row.";
        SkipFence "skip-fence" Permutations,
            "A batch is written without its lease.";
        ClaimTwice "claim-twice" Permutations,
            "A claim takes what another has.";
        CloseWithoutLock "close-without-lock" Permutations,
            "A close locks its execution's row no more than a message does.";
        ResumeWithoutLock "resume-without-lock" Permutations,
            "A resume locks its execution's row no more than a claim does, and passes a sender that has \
             parked its message.";
        MessageWithoutLock "message-without-lock" Permutations,
            "A message does not lock its execution's row.";
        // Not here: a child's birth that does not ask for the lease. Each batch counts its leases at the end and
        // raises, so that such a birth is rolled back.
        BearWithoutPolicy "bear-without-policy" Permutations,
            "The next run of a child does not have the child's close policy.";
        ForgetReport "forget-report" Permutations,
            "A parent is not told of the end of its child.";
    }

    static ALIVE: AtomicUsize = AtomicUsize::new(usize::MAX);

    /// Whether this mutant is active in this process.
    pub fn is_alive(mutant: Mutant) -> bool {
        ALIVE.load(Ordering::Relaxed) == mutant as usize
    }

    /// Activates a mutant; `None` deactivates it.
    pub fn let_live(mutant: Option<Mutant>) {
        ALIVE.store(mutant.map_or(usize::MAX, |mutant| mutant as usize), Ordering::Relaxed);
    }

    impl std::str::FromStr for Mutant {
        type Err = String;

        fn from_str(name: &str) -> Result<Self, String> {
            let found = Self::ALL.iter().find(|mutant| mutant.name() == name);
            found.copied().ok_or_else(|| format!("no mutant is called `{name}`"))
        }
    }
}
