//! An attempt has exactly one outcome, whether it ends by itself, by a limit, by a cancellation or by a
//! shutdown.

use super::super::transaction::AttemptEnd;
use super::*;
use abide_core::FailureKind;
use abide_core::{ActivityDef, ActivityOptions, EventId, Failure, Sel};
use tokio::sync::mpsc;

/// What an attempt's body is to do.
#[derive(serde::Serialize, serde::Deserialize)]
enum Do {
    Return(u32),
    Fail,
    FailForGood,
    Panic,
    Hang,
    UntilCancelled,
    /// Tells so often, each after a second, and then nothing.
    Beat(u32),
    /// Tells where it is once its worker begins to stop.
    UntilShutdown,
}

struct Act;

impl ActivityDef for Act {
    const NAME: &'static str = "act";
    type Host = ();
    type Args = (Do,);
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    async fn call((): &(), (what,): (Do,)) -> Result<u32, Failure> {
        match what {
            Do::Return(n) => Ok(n + crate::activity::context().attempt()),
            Do::Fail => Err(Failure::new("no").retry_after(Duration::from_secs(7))),
            Do::FailForGood => Err(Failure::new("never").non_retryable()),
            Do::Panic => panic!("at the {}", "disco"),
            Do::Hang => std::future::pending().await,
            Do::UntilCancelled => {
                crate::activity::context().cancelled().await;
                Err(Failure::new("stopped"))
            }
            Do::Beat(times) => {
                for n in 1..=times {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    crate::activity::context().heartbeat(&n)?;
                }
                std::future::pending().await
            }
            Do::UntilShutdown => {
                let context = crate::activity::context();
                context.worker_shutting_down().await;
                context.heartbeat(&(context.is_cancelled(), context.is_worker_shutting_down()))?;
                Err(Failure::new("the worker stops"))
            }
        }
    }
}

struct Bench {
    runner: Runner,
    outcomes: (mpsc::UnboundedSender<AttemptOutcome>, mpsc::UnboundedReceiver<AttemptOutcome>),
}

impl Bench {
    fn new(slots: usize) -> Self {
        Self {
            runner: Runner::new(slots, Gates::default(), NEVER_LOST, false),
            outcomes: mpsc::unbounded_channel(),
        }
    }

    fn run(&self, what: Do, options: &ActivityOptions) -> CancellationToken {
        self.run_raw(Payload::encode(&(what,)).unwrap(), options)
    }

    fn run_raw(&self, input: Payload, options: &ActivityOptions) -> CancellationToken {
        let name: Arc<str> = Arc::from("w");
        let info = AttemptInfo {
            workflow_id: Arc::clone(&name),
            run_id: Arc::clone(&name),
            workflow_type: name,
            activity: EventId(2),
            attempt: 3,
        };
        let sender = self.outcomes.0.clone();
        let attempt = Attempt {
            entry: Arc::new(ActivityEntry::new::<Act>(Arc::new(()))),
            info,
            input,
            limits: Limits::new(options, Duration::ZERO, Duration::ZERO),
            transactions: None,
            beats: Beats::new(options.heartbeat_timeout, None, None),
            outlet: None,
            task: None,
            report: told(sender),
        };
        let token = CancellationToken::new();
        self.runner.run(attempt, token.clone());
        token
    }

    async fn outcome(&mut self) -> String {
        describe(&self.outcomes.1.recv().await.unwrap())
    }
}

fn told(to: mpsc::UnboundedSender<AttemptOutcome>) -> ReportFn {
    Box::new(move |end| match end {
        AttemptEnd::Outcome(outcome) => to.send(outcome).unwrap(),
        other => panic!("{other:?}"),
    })
}

fn describe(outcome: &AttemptOutcome) -> String {
    match outcome {
        AttemptOutcome::Completed(value) => format!("completed {}", value.as_json()),
        AttemptOutcome::Cancelled => "cancelled".to_owned(),
        AttemptOutcome::Failed { failure, retryable, retry_after, .. } => {
            let again = if *retryable { "again" } else { "for good" };
            format!("failed {again}, {retry_after:?}: {:?} {}", failure.kind, failure.message)
        }
    }
}

/// No test renews a lease, and tests let much virtual time pass.
const NEVER_LOST: Duration = Duration::from_secs(86_400);

const NO_LIMITS: fn() -> ActivityOptions = ActivityOptions::default;

/// The details that a failure carries to the next attempt.
fn carried(outcome: AttemptOutcome) -> (FailureKind, String) {
    match outcome {
        AttemptOutcome::Failed { failure, retryable: true, details, .. } => {
            (failure.kind, details.map_or_else(String::new, |details| details.as_json().to_owned()))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_silent_for_too_long_is_given_up_with_what_it_told() {
    let mut bench = Bench::new(2);
    let limit = Some(Duration::from_secs(10));
    for (beats, told, after) in [(0, "", 10), (3, "3", 13)] {
        let begun = Instant::now();
        bench.run(Do::Beat(beats), &ActivityOptions { heartbeat_timeout: limit, ..NO_LIMITS() });
        let outcome = carried(bench.outcomes.1.recv().await.unwrap());
        assert_eq!(outcome, (FailureKind::TimedOut(TimeoutKind::Heartbeat), told.to_owned()));
        assert_eq!(begun.elapsed().as_secs(), after);
    }
    // The other limits go on beside it.
    let limits = ActivityOptions {
        start_to_close: Some(Duration::from_millis(5_500)),
        heartbeat_timeout: limit,
        ..NO_LIMITS()
    };
    bench.run(Do::Beat(99), &limits);
    let outcome = carried(bench.outcomes.1.recv().await.unwrap());
    assert_eq!(outcome, (FailureKind::TimedOut(TimeoutKind::StartToClose), "5".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_told_that_its_worker_goes_before_it_is_asked_to_stop() {
    let mut bench = Bench::new(2);
    bench.run(Do::UntilShutdown, &NO_LIMITS());
    bench.run(Do::Beat(1), &NO_LIMITS());
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.runner.shutdown(Duration::from_secs(60), Duration::from_secs(2)).await;
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(carried(bench.outcomes.1.recv().await.unwrap()));
    }
    assert_eq!(outcomes[0], (FailureKind::Application, "[false,true]".to_owned()));
    assert_eq!(outcomes[1], (FailureKind::WorkerShutdown, "1".to_owned()), "dropped, with what it told");
}

#[tokio::test(start_paused = true)]
async fn the_body_decides() {
    let mut bench = Bench::new(1);
    let cases = [
        (Do::Return(39), "completed 42"),
        (Do::Fail, "failed again, Some(7s): Application no"),
        (Do::FailForGood, "failed for good, None: Application never"),
        (Do::Panic, "failed again, None: Panicked at the disco"),
    ];
    for (what, expected) in cases {
        bench.run(what, &NO_LIMITS());
        assert_eq!(bench.outcome().await, expected);
    }
    bench.run_raw(Payload::encode(&("nonsense", 1)).unwrap(), &NO_LIMITS());
    assert!(bench.outcome().await.starts_with("failed for good, None: Invalid AB0604: "));
}

#[tokio::test(start_paused = true)]
async fn each_limit_has_its_name() {
    let limit = Some(Duration::from_secs(5));
    let mut bench = Bench::new(1);
    bench.run(Do::Hang, &ActivityOptions { start_to_close: limit, ..NO_LIMITS() });
    assert_eq!(
        bench.outcome().await,
        "failed again, None: TimedOut(StartToClose) activity `act` timed out (start-to-close)"
    );
    let token = bench.run(Do::UntilCancelled, &ActivityOptions { schedule_to_close: limit, ..NO_LIMITS() });
    assert!(bench.outcome().await.starts_with("failed for good, None: TimedOut(ScheduleToClose)"));
    assert!(token.is_cancelled());
    let holder = bench.run(Do::UntilCancelled, &NO_LIMITS());
    bench.run(Do::Return(1), &ActivityOptions { schedule_to_start: limit, ..NO_LIMITS() });
    assert!(bench.outcome().await.starts_with("failed for good, None: TimedOut(ScheduleToStart)"));
    holder.cancel();
    assert_eq!(bench.outcome().await, "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_told_although_the_body_blocks_its_thread() {
    struct Blocks;
    impl ActivityDef for Blocks {
        const NAME: &'static str = "blocks";
        type Host = ();
        type Args = ();
        type Returned = ();
        type Outcome = Sel<(), false>;

        async fn call((): &(), (): ()) {
            std::thread::sleep(Duration::from_millis(400));
        }
    }
    let name: Arc<str> = Arc::from("w");
    let info = AttemptInfo {
        workflow_id: Arc::clone(&name),
        run_id: Arc::clone(&name),
        workflow_type: name,
        activity: EventId(2),
        attempt: 1,
    };
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let started = Instant::now();
    let options = ActivityOptions { start_to_close: Some(Duration::from_millis(50)), ..NO_LIMITS() };
    let attempt = Attempt {
        entry: Arc::new(ActivityEntry::new::<Blocks>(Arc::new(()))),
        info,
        input: Payload::null(),
        limits: Limits::new(&options, Duration::ZERO, Duration::ZERO),
        transactions: None,
        beats: Beats::unheard(),
        outlet: None,
        task: None,
        report: told(sender),
    };
    Runner::new(1, Gates::default(), NEVER_LOST, false).run(attempt, CancellationToken::new());
    let outcome = outcomes.recv().await.unwrap();
    assert!(describe(&outcome).contains("StartToClose"));
    assert!(started.elapsed() < Duration::from_millis(350));
    assert!(outcomes.recv().await.is_none(), "one outcome, and the report is gone");
}

#[tokio::test(start_paused = true)]
async fn slots_bound_what_runs_and_a_queued_cancel_is_told() {
    let mut bench = Bench::new(2);
    let first = bench.run(Do::UntilCancelled, &NO_LIMITS());
    bench.run(Do::UntilCancelled, &NO_LIMITS());
    let queued = bench.run(Do::Return(0), &NO_LIMITS());
    bench.run(Do::Return(5), &NO_LIMITS());
    tokio::task::yield_now().await;
    assert_eq!(bench.runner.running(), 2);
    queued.cancel();
    assert_eq!(bench.outcome().await, "cancelled");
    first.cancel();
    assert_eq!(bench.outcome().await, "cancelled");
    assert_eq!(bench.outcome().await, "completed 8");
}

#[tokio::test(start_paused = true)]
async fn a_claim_under_way_leaves_slots_to_the_worker_s_own_workflows() {
    let mut bench = Bench::new(4);
    let claiming = bench.runner.reserve(100, true).await;
    assert_eq!(claiming.len(), 2, "the one that it has waited for, and half of the others");
    bench.run(Do::Return(0), &NO_LIMITS());
    assert_eq!(bench.outcome().await, "completed 3", "before the claim is answered");
    drop(claiming);
    assert_eq!(bench.runner.reserve(100, false).await.len(), 4, "where there is nobody else");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_loses_nothing_that_was_only_queued() {
    let mut bench = Bench::new(2);
    bench.run(Do::Hang, &NO_LIMITS());
    bench.run(Do::UntilCancelled, &NO_LIMITS());
    bench.run(Do::Return(1), &NO_LIMITS());
    bench.runner.shutdown(Duration::from_secs(5), Duration::from_secs(1)).await;
    for _ in 0..2 {
        let outcome = bench.outcome().await;
        assert!(outcome.starts_with("failed again, Some(0ns): WorkerShutdown"), "{outcome}");
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bench.outcomes.1.try_recv().is_err());
    assert_eq!(bench.runner.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_ends_in_time() {
    let mut bench = Bench::new(1);
    bench.run(
        Do::UntilCancelled,
        &ActivityOptions { start_to_close: Some(Duration::from_secs(2)), ..NO_LIMITS() },
    );
    bench.runner.shutdown(Duration::from_secs(5), Duration::from_secs(1)).await;
    assert!(bench.outcome().await.contains("StartToClose"));
}

/// The lease may be lost, or the next renewal may succeed. Until then the outcome is still taken in.
#[tokio::test(start_paused = true)]
async fn what_stops_for_a_lost_lease_is_not_cancelled_by_its_workflow() {
    let mut bench = Bench::new(2);
    bench.run(Do::UntilCancelled, &NO_LIMITS());
    bench.runner.cancel_all();
    let outcome = bench.outcome().await;
    assert!(outcome.starts_with("failed again, Some(0ns): WorkerShutdown"), "{outcome}");

    let mut bench = Bench::new(2);
    bench.run(Do::UntilCancelled, &NO_LIMITS()).cancel();
    bench.runner.cancel_all();
    assert_eq!(bench.outcome().await, "cancelled");
}

#[tokio::test(start_paused = true)]
async fn abandoned_attempts_are_not_reported() {
    let mut bench = Bench::new(2);
    bench.run(Do::Hang, &NO_LIMITS());
    let token = bench.run(Do::UntilCancelled, &NO_LIMITS());
    bench.runner.abandon();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(token.is_cancelled());
    assert!(bench.outcomes.1.try_recv().is_err());
    bench.run(Do::Return(1), &NO_LIMITS());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bench.outcomes.1.try_recv().is_err());
}

struct Became;

impl ActivityDef for Became {
    const NAME: &'static str = "became";
    const DATABASE: Option<abide_core::Database> = Some(abide_core::Database::Sqlite);
    type Host = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn call((): &(), (): ()) {
        unreachable!("it has no transaction to run in")
    }
}

#[tokio::test]
async fn a_call_from_before_its_activity_became_transactional_fails_and_may_be_tried_again() {
    let name: Arc<str> = Arc::from("w");
    let (run_id, workflow_type) = (Arc::clone(&name), Arc::clone(&name));
    let info = AttemptInfo { workflow_id: name, run_id, workflow_type, activity: EventId(2), attempt: 1 };
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let entry = Arc::new(ActivityEntry::new::<Became>(Arc::new(())));
    let (input, limits, report) = (Payload::null(), Limits::default(), told(sender));
    Runner::new(1, Gates::default(), NEVER_LOST, false).run(
        Attempt {
            entry,
            info,
            input,
            limits,
            transactions: None,
            beats: Beats::unheard(),
            outlet: None,
            task: None,
            report,
        },
        CancellationToken::new(),
    );
    let outcome = outcomes.recv().await.unwrap();
    let AttemptOutcome::Failed { failure, retryable: true, .. } = outcome else { panic!("{outcome:?}") };
    assert!(failure.message.starts_with("AB0615"), "{failure:?}");
}
