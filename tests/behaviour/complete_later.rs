//! Activities that are completed later: by the holder of a token, in any process.

use super::ends::{reason, refused};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Gives its tokens away.
#[derive(Clone, Default)]
struct Desk {
    tokens: Arc<Mutex<Vec<String>>>,
    log: Log,
    /// Lets `holds` go on.
    go: Arc<Notify>,
}

impl Desk {
    fn gives(&self, what: &str) {
        let context = activity::context();
        let before = context.last_heartbeat::<u32>().map(|told| format!(" after {told}")).unwrap_or_default();
        self.log.add(format!("{what} {}{before}", context.attempt()));
        self.tokens.lock().unwrap().push(context.completion_token());
    }

    /// The token of the attempt of this number, from 0.
    async fn token(&self, number: usize) -> String {
        eventually("its token is there", async || self.tokens.lock().unwrap().len() > number).await;
        self.tokens.lock().unwrap()[number].clone()
    }
}

#[activity]
impl Desk {
    #[activity(complete_later, retry(initial_interval = "5ms", max_attempts = 3))]
    async fn ask(&self, n: u32) -> Result<u32, Failure> {
        self.gives(&format!("ask {n}"));
        activity::complete_later().await
    }

    /// Says it only when it is let go.
    #[activity(complete_later)]
    async fn holds(&self) -> u32 {
        self.gives("holds");
        self.go.notified().await;
        self.log.add("goes on");
        activity::complete_later().await
    }

    #[activity(complete_later, start_to_close = "400ms", retry(initial_interval = "5ms", max_attempts = 2))]
    async fn slow(&self) -> u32 {
        self.gives("slow");
        activity::complete_later().await
    }

    #[activity(complete_later, schedule_to_close = "300ms")]
    async fn in_all(&self) -> u32 {
        self.gives("in all");
        activity::complete_later().await
    }

    #[activity(
        complete_later,
        heartbeat_timeout = "500ms",
        retry(initial_interval = "5ms", max_attempts = 3)
    )]
    async fn silent(&self) -> Result<u32, Failure> {
        self.gives("silent");
        activity::context().heartbeat(&1)?;
        activity::complete_later().await
    }

    #[activity(complete_later, cancellation = "wait")]
    async fn tidy(&self) -> Result<u32, Failure> {
        self.gives("tidy");
        activity::complete_later().await
    }

    /// Its attribute has not the word, and the call is not seen by it.
    #[activity(retry(max_attempts = 1))]
    async fn wordless(&self) -> u32 {
        out_of_sight().await
    }
}

async fn out_of_sight() -> u32 {
    activity::complete_later().await
}

#[workflow]
async fn asks(n: u32) -> Result<u32, ActivityError<Failure>> {
    Desk::ask(n).await
}

#[workflow]
async fn holds() -> Result<u32, CallError> {
    Desk::holds().await
}

#[workflow]
async fn slow() -> Result<u32, CallError> {
    Desk::slow().await
}

#[workflow]
async fn in_all() -> Result<u32, CallError> {
    Desk::in_all().await
}

#[workflow]
async fn silent() -> Result<u32, ActivityError<Failure>> {
    Desk::silent().await
}

#[workflow]
async fn tidies() -> Result<u32, ActivityError<Failure>> {
    Desk::tidy().await
}

#[workflow]
async fn wordless() -> Result<u32, CallError> {
    Desk::wordless().await
}

#[workflow]
async fn gives_up() -> Result<u32, Failure> {
    match workflow::timeout(millis(200), Desk::ask(1)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Ok(Steps::note(7).await?),
    }
}

#[derive(Default)]
struct Stuck;

#[workflow]
impl Stuck {
    #[run]
    async fn run(&mut self) -> Result<u32, ActivityError<Failure>> {
        Desk::ask(1).await
    }

    #[signal]
    fn trip(&mut self) {
        panic!("a mistake");
    }
}

fn worker(abide: &Abide, desk: &Desk) -> abide::WorkerBuilder {
    let worker = abide.worker("desk").workflow(asks).workflow(holds).workflow(slow).workflow(in_all);
    let worker =
        worker.workflow(silent).workflow(tidies).workflow(wordless).workflow(gives_up).workflow(Stuck::run);
    worker.activities(desk.clone()).activities(Steps(Log::default()))
}

#[tokio::test]
async fn another_process_completes_it_and_its_slot_is_free_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let desk = Desk::default();
    let worker = worker(&here, &desk).max_concurrent_activities(1).start().await.unwrap();
    let (one, two) =
        (here.client().start(asks(1)).await.unwrap(), here.client().start(asks(2)).await.unwrap());
    let (first, second) = (desk.token(0).await, desk.token(1).await);
    let pending = one.describe().await.unwrap().pending_activities;
    assert_eq!((pending.len(), pending[0].task_queue.as_deref()), (1, Some("desk")), "it is a task");
    let webhook = there.client();
    webhook.activity(Desk::ask, second).complete(Ok(20)).await.unwrap();
    webhook.activity(Desk::ask, first.clone()).complete(Ok(10)).await.unwrap();
    let again = webhook.activity(Desk::ask, first).complete(Ok(11)).await;
    assert_eq!(refused(again), "AB0429", "once");
    let mut results = [one.result().await.unwrap(), two.result().await.unwrap()];
    results.sort_unstable();
    assert_eq!(results, [10, 20]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_may_be_completed_before_its_body_is_done() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(holds()).await.unwrap();
    let token = desk.token(0).await;
    db.client().activity(Desk::holds, token.clone()).complete(5).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 5, "the body is not waited for");
    desk.go.notify_one();
    assert_eq!(refused(db.client().activity(Desk::holds, token).complete(6).await), "AB0429");
    worker.shutdown().await.unwrap();
    assert!(desk.log.lines().len() <= 2, "no other attempt: {:?}", desk.log.lines());
}

#[tokio::test]
async fn an_error_is_a_failed_attempt_and_the_next_one_has_another_token() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(asks(1)).await.unwrap();
    let client = db.client();
    let first = desk.token(0).await;
    client.activity(Desk::ask, first.clone()).complete(Err(Failure::new("not now"))).await.unwrap();
    let second = desk.token(1).await;
    assert_ne!(first, second);
    assert_eq!(refused(client.activity(Desk::ask, first).complete(Ok(1)).await), "AB0429");
    client.activity(Desk::ask, second).complete(Ok(2)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(desk.log.lines(), ["ask 1 1", "ask 1 2"]);
    let run = db.client().start(asks(2)).await.unwrap();
    let never = Failure::new("never").non_retryable();
    client.activity(Desk::ask, desk.token(2).await).complete(Err(never)).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(failure))) = run.result().await else { panic!("no") };
    assert_eq!(failure.to_string(), "never");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn its_limits_hold_after_its_body_has_ended() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let kind = |ended| match ended {
        Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) => kind,
        other => panic!("not timed out, but {other:?}"),
    };
    let run = db.client().start(slow()).await.unwrap();
    assert_eq!(kind(run.result().await), TimeoutKind::StartToClose);
    assert_eq!(desk.log.lines(), ["slow 1", "slow 2"], "that of an attempt is worth another");
    for number in 0..2 {
        let late = db.client().activity(Desk::slow, desk.token(number).await).complete(1);
        assert_eq!(refused(late.await), "AB0429");
    }
    let run = db.client().start(in_all()).await.unwrap();
    assert_eq!(kind(run.result().await), TimeoutKind::ScheduleToClose);
    assert_eq!(desk.log.lines()[2..], ["in all 1"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn heartbeats_by_token_keep_it_alive_and_the_next_attempt_has_their_details() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(silent()).await.unwrap();
    let first = desk.token(0).await;
    let second = desk.token(1).await;
    assert_eq!(refused(db.client().activity(Desk::silent, first).heartbeat(&9).await), "AB0429");
    let activity = db.client().activity(Desk::silent, second);
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1_200) {
        if activity.heartbeat(&2).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let third = db.client().activity(Desk::silent, desk.token(2).await);
    assert_eq!(desk.log.lines()[..2], ["silent 1", "silent 2 after 1"], "what the body told");
    assert!(desk.log.lines()[2].starts_with("silent 3 after "), "{:?}", desk.log.lines());
    let large = third.heartbeat(&"x".repeat(300 * 1024)).await;
    assert_eq!(refused(large), "AB0620");
    third.complete(Ok(3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_error_takes_the_details_of_the_last_heartbeat_along() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(asks(1)).await.unwrap();
    let first = db.client().activity(Desk::ask, desk.token(0).await);
    first.heartbeat(&41).await.unwrap();
    first.heartbeat(&42).await.unwrap();
    first.complete(Err(Failure::new("not now"))).await.unwrap();
    db.client().activity(Desk::ask, desk.token(1).await).complete(Ok(2)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(desk.log.lines(), ["ask 1 1", "ask 1 2 after 42"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_workflow_that_gives_it_up_does_not_wait_and_its_token_is_void() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(gives_up()).await.unwrap();
    let token = desk.token(0).await;
    assert_eq!(run.result().await.unwrap(), 7);
    let activity = db.client().activity(Desk::ask, token);
    assert_eq!(refused(activity.heartbeat(&1).await), "AB0429");
    assert_eq!(refused(activity.complete(Ok(1)).await), "AB0429");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_whose_end_is_waited_for_is_told_by_its_next_heartbeat() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(tidies()).await.unwrap();
    let activity = db.client().activity(Desk::tidy, desk.token(0).await);
    activity.heartbeat(&1).await.unwrap();
    run.cancel("enough").await.unwrap();
    eventually("it is told", async || activity.heartbeat(&2).await.is_err()).await;
    let told = activity.heartbeat(&3).await.unwrap_err();
    assert!(matches!(told, abide::Error::ActivityToken(abide::TokenError::Cancelled { .. })), "{told}");
    assert!(run.describe().await.unwrap().status.is_open(), "its end is waited for");
    activity.complete(Err(Failure::new("stopped"))).await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(desk.log.lines(), ["tidy 1"], "no other attempt");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_token_of_a_closed_workflow_is_void() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(asks(1)).await.unwrap();
    let token = desk.token(0).await;
    run.terminate("enough").await.unwrap();
    let error = db.client().activity(Desk::ask, token).complete(Ok(1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("AB0429", abide::ErrorKind::Conflict));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_suspended_workflow_has_the_answer_when_it_is_resumed() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(Stuck::run()).await.unwrap();
    let token = desk.token(0).await;
    run.trip().await.unwrap();
    assert!(!reason(run.result().await).code().is_empty());
    db.client().activity(Desk::ask, token).complete(Ok(4)).await.unwrap();
    run.terminate("its signal stays a mistake").await.unwrap();
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_outlives_its_worker_once_its_body_has_ended() {
    let (db, desk) = (Db::new().await, Desk::default());
    let first = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(asks(1)).await.unwrap();
    let token = desk.token(0).await;
    first.shutdown().await.unwrap();
    db.client().activity(Desk::ask, token).complete(Ok(6)).await.unwrap();
    let second = worker(&db.abide, &desk).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(desk.log.lines(), ["ask 1 1"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_no_token_of_the_activity_is_refused_with_what_to_do() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(asks(1)).await.unwrap();
    let token = desk.token(0).await;
    let client = db.client();
    for bad in ["", "nonsense", &token[..token.len() - 1], &token.to_uppercase()] {
        let error = client.activity(Desk::ask, bad).complete(Ok(1)).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("AB0429", abide::ErrorKind::Refused), "{bad}");
        assert!(error.to_string().contains("completion_token()"), "{error}");
    }
    let error = client.activity(Desk::tidy, token.as_str()).complete(Ok(1)).await.unwrap_err();
    assert!(error.to_string().contains("another activity than `Desk.tidy`"), "{error}");
    client.activity(Desk::ask, token).complete(Ok(1)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn without_the_word_an_attempt_fails_and_says_so() {
    let (db, desk) = (Db::new().await, Desk::default());
    let worker = worker(&db.abide, &desk).start().await.unwrap();
    let run = db.client().start(wordless()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else { panic!("no") };
    assert!(text.starts_with("AB0429") && text.contains("#[activity(complete_later)]"), "{text}");
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn for_a_week() -> Result<u32, ActivityError<Failure>> {
    Desk::ask(1).schedule_to_close(days(7)).await
}

#[tokio::test]
async fn in_a_test_environment_a_token_completes_it_and_limits_pass_at_once() {
    let env = abide::testing::TestEnv::start().await.unwrap();
    let desk = Desk::default();
    let worker = env.worker("desk").workflow(for_a_week).activities(desk.clone()).start().await.unwrap();
    let client = env.client();
    let run = client.start(for_a_week()).await.unwrap();
    client.activity(Desk::ask, desk.token(0).await).complete(Ok(3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    let begun = env.now();
    let run = client.start(for_a_week()).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::TimedOut { kind, .. })) = run.result().await else {
        panic!("no")
    };
    assert_eq!(kind, TimeoutKind::ScheduleToClose);
    assert!(env.now().duration_since(begun).as_hours() >= 7 * 24);
    assert_eq!(refused(client.activity(Desk::ask, desk.token(1).await).complete(Ok(1)).await), "AB0429");
    worker.shutdown().await.unwrap();
}
