//! Schedules from the client to the worker, on a clock that jumps.

#![allow(clippy::unwrap_used)] // tests

use crate::testing::TestEnv;
use crate::{Calendar, Overlap, ScheduledEnd, Worker};
use abide_core::flow::{info, sleep};
use abide_core::{Messages, Route, Sel, Slot, WorkflowCall, WorkflowDef};
use jiff::Timestamp;
use std::ops::Deref;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Takes so many hours, and gives its slot in seconds.
struct Report;

impl WorkflowDef for Report {
    const NAME: &'static str = "Report";
    type State = ();
    type Args = (u32,);
    type Returned = i64;
    type Outcome = Sel<i64, false>;

    fn init() {}

    async fn run(_: Slot<()>, (takes,): (u32,)) -> i64 {
        sleep(HOUR * takes).await;
        info().scheduled_at.map_or(0, Timestamp::as_second)
    }
}

struct Methods<W: WorkflowDef, R: Route>(R::Core<W>);

impl<W: WorkflowDef, R: Route<Core<W>: Clone>> Clone for Methods<W, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: WorkflowDef, R: Route> Deref for Methods<W, R> {
    type Target = R::Core<W>;

    fn deref(&self) -> &R::Core<W> {
        &self.0
    }
}

impl<R: Route> Messages<R> for Report {
    type Methods = Methods<Self, R>;

    fn methods(core: R::Core<Self>) -> Self::Methods {
        Methods(core)
    }
}

fn report(takes: u32) -> WorkflowCall<Report> {
    WorkflowCall::new(&(takes,))
}

async fn env() -> (TestEnv, Worker) {
    let start = "2026-01-01T00:30:00Z".parse().unwrap();
    let env = TestEnv::builder().start_at(start).start().await.unwrap();
    let worker = env.worker("q").workflow(report).start().await.unwrap();
    (env, worker)
}

#[tokio::test]
async fn a_year_of_nights() {
    let (env, worker) = env().await;
    let nightly = env.client().schedule("n", report(0)).cron("0 3 * * *").zone("Europe/Berlin");
    let nightly = nightly.await.unwrap();
    env.sleep(DAY * 365).await;
    let described = nightly.describe().await.unwrap();
    assert_eq!((described.counts.started, described.recent[9].end), (365, Some(ScheduledEnd::Completed)));
    for slot in ["2026-01-01T02:00:00Z", "2026-07-01T01:00:00Z"] {
        let run = env.client().handle::<Report>(format!("n-{slot}"));
        assert_eq!(run.result().await.unwrap(), slot.parse::<Timestamp>().unwrap().as_second());
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_open_run_is_told_to_end_or_holds_up() {
    for (overlap, ends) in [
        (Overlap::CancelOther, [Some(ScheduledEnd::Cancelled), None]),
        (Overlap::TerminateOther, [Some(ScheduledEnd::Terminated), None]),
        (Overlap::BufferOne, [Some(ScheduledEnd::Completed), None]),
    ] {
        let (env, worker) = env().await;
        let daily = env.client().schedule("d", report(36)).every(DAY).overlap(overlap).await.unwrap();
        // The first begins on the second day, at midnight; 36 hours later it is noon of the third.
        env.sleep(HOUR * 62).await;
        let described = daily.describe().await.unwrap();
        let told: Vec<_> = described.recent.iter().map(|run| run.end).collect();
        assert_eq!((told.as_slice(), described.running.len()), (ends.as_slice(), 1), "{overlap:?}");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_handle_does() {
    let (env, worker) = env().await;
    let daily = env.client().schedule("d", report(0)).every(DAY).paused("not yet").await.unwrap();
    env.sleep(DAY * 2).await;
    let run = daily.trigger().await.unwrap();
    assert!(run.id().starts_with("d-2026-01-03T00:30:00Z-"), "{}", run.id());
    assert_eq!(run.result().await.unwrap(), env.now().as_second());
    let past = "2026-01-02T00:00:00Z".parse().unwrap()..=env.now();
    daily.backfill(past, Overlap::AllowAll).await.unwrap();
    assert_eq!(daily.describe().await.unwrap().counts.started, 3);
    daily.resume("now").await.unwrap();
    env.sleep(DAY).await;
    daily.pause("enough").await.unwrap();
    env.sleep(DAY).await;
    let described = daily.describe().await.unwrap();
    assert_eq!((described.counts.started, described.note.as_deref()), (4, Some("enough")));
    assert!(described.paused && described.next.is_empty());
    daily
        .update(|daily| daily.cron("0 5 * * *").exclude(Calendar::whole_day().day_of_month(6)))
        .await
        .unwrap();
    daily.resume("again").await.unwrap();
    env.sleep(DAY * 2).await;
    let described = daily.describe().await.unwrap();
    assert_eq!((described.counts.started, described.crons), (5, vec!["0 5 * * *".to_owned()]));
    assert_eq!(described.recent.last().unwrap().workflow_id, "d-2026-01-05T05:00:00Z");
    daily.delete().await.unwrap();
    assert_eq!(daily.describe().await.unwrap_err().code(), "AB0423");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let (env, worker) = env().await;
    let client = env.client();
    let refused = client.schedule("a", report(0)).cron("0 25 * * *").await.unwrap_err();
    assert!(refused.code() == "AB0425" && refused.to_string().contains("0 25 * * *"), "{refused}");
    assert_eq!(client.schedule("a", report(0)).await.unwrap_err().code(), "AB0425", "it has no times");
    let start = client.start(report(0)).request_id("r");
    let refused = client.schedule("a", start).every(DAY).await.unwrap_err();
    assert!(refused.to_string().contains(".request_id(..)"), "{refused}");
    client.schedule("a", report(0)).every(DAY).await.unwrap();
    assert_eq!(client.schedule("a", report(0)).every(DAY).await.unwrap_err().code(), "AB0424");
    assert_eq!(client.schedule("", report(0)).every(DAY).await.unwrap_err().code(), "AB0412");
    let page = client.schedules().limit(1).await.unwrap();
    assert_eq!((page.schedules[0].id.as_str(), page.next.is_some()), ("a", true));
    worker.shutdown().await.unwrap();
}
