//! Schedules on a clock that jumps: a year of nights, and each policy.

use abide::prelude::*;
use abide::testing::TestEnv;
use abide::{ScheduledEnd, jiff::Timestamp};

/// Notes its slots, and takes as long as it is told.
#[derive(Default)]
struct Report {
    done: bool,
}

#[workflow]
impl Report {
    #[run]
    async fn run(&mut self, takes_hours: u64) -> Option<Timestamp> {
        let _ended = workflow::until!(self.done).timeout(hours(takes_hours)).await;
        workflow::info().scheduled_at
    }

    #[signal]
    fn finish(&mut self) {
        self.done = true;
    }
}

#[workflow]
async fn fails(reason: String) -> Result<(), Failure> {
    Err(Failure::new(reason))
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

async fn env(start: &str) -> (TestEnv, Worker) {
    let env = TestEnv::builder().start_at(at(start)).start().await.unwrap();
    let worker = env.worker("reports").workflow(Report::run).workflow(fails).start().await.unwrap();
    (env, worker)
}

/// The workflow ids of the last starts.
async fn recent<W: abide::__private::WorkflowHandle>(schedule: &Schedule<W>) -> Vec<String> {
    let description = schedule.describe().await.unwrap();
    description.recent.into_iter().map(|run| run.workflow_id).collect()
}

#[tokio::test]
async fn a_year_of_nights_is_one_run_each() {
    let (env, worker) = env("2026-01-01T00:00:00Z").await;
    let nightly = env.client().schedule("nightly", Report::run(0)).cron("0 3 * * *").zone("Europe/Berlin");
    let nightly = nightly.await.unwrap();
    env.sleep(days(365)).await;
    let description = nightly.describe().await.unwrap();
    assert_eq!((description.counts.started, description.counts.skipped), (365, 0));
    // Winter time, summer time.
    let first: Handle<Report> = env.client().handle("nightly-2026-01-01T02:00:00Z");
    assert_eq!(first.result().await.unwrap(), Some(at("2026-01-01T02:00:00Z")));
    let summer: Handle<Report> = env.client().handle("nightly-2026-07-01T01:00:00Z");
    assert_eq!(summer.result().await.unwrap(), Some(at("2026-07-01T01:00:00Z")));
    assert_eq!(description.next[0], at("2027-01-01T02:00:00Z"));
    assert_eq!(description.next.len(), 10);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_slot_is_skipped_while_a_run_is_open() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let hourly = env.client().schedule("h", Report::run(2)).every(hours(1)).await.unwrap();
    env.sleep(hours(6)).await;
    let counts = hourly.describe().await.unwrap().counts;
    // 1:00, 3:00 and 5:00 start: the run that ends at 3:00 does not hold that slot up, or it does.
    assert_eq!(counts.started + counts.skipped, 6, "{counts:?}");
    assert!((2..=3).contains(&counts.started), "{counts:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_slot_waits_or_all_do() {
    for (overlap, started, waiting) in [(Overlap::BufferOne, 2, 1), (Overlap::BufferAll, 2, 3)] {
        let (env, worker) = env("2026-01-01T00:30:00Z").await;
        let hourly =
            env.client().schedule("h", Report::run(2)).every(hours(1)).overlap(overlap).await.unwrap();
        // Begins at 1:00, and the next at 3:00.
        env.sleep(hours(4)).await;
        let description = hourly.describe().await.unwrap();
        assert!(description.counts.started.abs_diff(started) <= 1, "{description:?}");
        assert!(description.waiting >= 1 && description.waiting <= waiting, "{description:?}");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_open_run_is_ended_for_the_next() {
    for (overlap, end) in
        [(Overlap::CancelOther, ScheduledEnd::Cancelled), (Overlap::TerminateOther, ScheduledEnd::Terminated)]
    {
        let (env, worker) = env("2026-01-01T00:30:00Z").await;
        let daily =
            env.client().schedule("d", Report::run(100)).every(days(1)).overlap(overlap).await.unwrap();
        env.sleep(days(3)).await;
        let description = daily.describe().await.unwrap();
        assert_eq!((description.counts.started, description.running.len()), (3, 1), "{description:?}");
        let ends: Vec<_> = description.recent.iter().map(|run| run.end).collect();
        assert_eq!(ends, [Some(end), Some(end), None]);
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn all_run_at_once() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let hourly = env
        .client()
        .schedule("h", Report::run(100))
        .every(hours(1))
        .overlap(Overlap::AllowAll)
        .await
        .unwrap();
    env.sleep(hours(5)).await;
    let description = hourly.describe().await.unwrap();
    assert_eq!((description.counts.started, description.overlapping, description.running.len()), (5, 5, 0));
    env.client().handle::<Report>("h-2026-01-01T01:00:00Z").finish().await.unwrap();
    env.sleep(secs(1)).await;
    assert_eq!(hourly.describe().await.unwrap().overlapping, 4);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn nights_without_a_worker_are_caught_up_within_the_window() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let client = env.client().task_queue("reports");
    let all =
        client.schedule("all", Report::run(0)).cron("0 3 * * *").overlap(Overlap::AllowAll).await.unwrap();
    let some = client.schedule("some", Report::run(0)).cron("0 3 * * *").overlap(Overlap::AllowAll);
    let some = some.catch_up(days(2)).await.unwrap();
    worker.shutdown().await.unwrap();
    env.sleep(days(5)).await;
    assert_eq!(all.describe().await.unwrap().counts.started, 0);
    let worker = env.worker("reports").workflow(Report::run).start().await.unwrap();
    env.sleep(secs(10)).await;
    let (all, some) = (all.describe().await.unwrap().counts, some.describe().await.unwrap().counts);
    assert_eq!((all.started, all.missed), (5, 0));
    assert_eq!((some.started, some.missed), (2, 3));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_failure_pauses_if_it_is_asked_to() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let daily = env.client().schedule("d", fails("no data".into())).every(days(1)).pause_on_failure();
    let daily = daily.await.unwrap();
    env.sleep(days(5)).await;
    let description = daily.describe().await.unwrap();
    assert!(description.paused && description.next.is_empty());
    assert!(description.note.as_ref().unwrap().contains("no data"), "{:?}", description.note);
    assert_eq!(description.counts.started, 1);
    daily.update(|daily| daily.go_on_after_failure()).await.unwrap();
    daily.resume("they are there").await.unwrap();
    env.sleep(days(2)).await;
    let description = daily.describe().await.unwrap();
    assert_eq!((description.counts.started, description.note.as_deref()), (3, Some("they are there")));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn so_many_slots_and_no_more() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let thrice = env.client().schedule("d", Report::run(0)).every(days(1)).remaining(3).await.unwrap();
    env.sleep(days(9)).await;
    let description = thrice.describe().await.unwrap();
    assert_eq!((description.counts.started, description.remaining), (3, Some(0)));
    thrice.trigger().await.unwrap().result().await.unwrap();
    thrice.update(|schedule| schedule.no_limit()).await.unwrap();
    env.sleep(days(2)).await;
    assert_eq!(thrice.describe().await.unwrap().counts.started, 6);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_paused_schedule_starts_nothing_but_what_is_triggered() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let daily = env.client().schedule("d", Report::run(0)).every(days(1)).paused("not yet").await.unwrap();
    env.sleep(days(3)).await;
    let run = daily.trigger().await.unwrap();
    assert_eq!(run.result().await.unwrap(), Some(at("2026-01-04T00:30:00Z")));
    assert!(run.id().starts_with("d-2026-01-04T00:30:00Z-"), "{}", run.id());
    let description = daily.describe().await.unwrap();
    assert_eq!((description.counts.started, description.note.as_deref()), (1, Some("not yet")));
    daily.resume("now").await.unwrap();
    env.sleep(days(2)).await;
    daily.pause("enough").await.unwrap();
    env.sleep(days(2)).await;
    // Nothing of the time in which it was paused is caught up.
    assert_eq!(daily.describe().await.unwrap().counts.started, 3);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_past_is_filled() {
    let (env, worker) = env("2026-01-10T00:30:00Z").await;
    let daily =
        env.client().schedule("d", Report::run(1)).every(days(1)).paused("only the past").await.unwrap();
    let past = at("2026-01-02T00:00:00Z")..=at("2026-01-04T00:00:00Z");
    daily.backfill(past.clone(), Overlap::BufferAll).await.unwrap();
    env.sleep(hours(5)).await;
    let ids = recent(&daily).await;
    let slots: Vec<&str> = ids.iter().map(|id| &id[.."d-2026-01-02T00:00:00Z".len()]).collect();
    assert_eq!(slots, ["d-2026-01-02T00:00:00Z", "d-2026-01-03T00:00:00Z", "d-2026-01-04T00:00:00Z"]);
    let refused = daily
        .backfill(at("2026-02-01T00:00:00Z")..=at("2026-02-02T00:00:00Z"), Overlap::Skip)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "AB0425", "{refused}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_due_follows_the_old_times_and_the_rest_the_new() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let daily = env.client().schedule("d", Report::run(0)).cron("0 3 * * *").await.unwrap();
    env.sleep(hours(3)).await;
    daily.update(|schedule| schedule.cron("0 5 * * *").note("later")).await.unwrap();
    env.sleep(days(1)).await;
    assert_eq!(
        recent(&daily).await,
        ["d-2026-01-01T03:00:00Z", "d-2026-01-01T05:00:00Z"],
        "3:00 on the second day is not a slot any more"
    );
    let description = daily.describe().await.unwrap();
    assert_eq!(
        (description.crons, description.note),
        (vec!["0 5 * * *".to_owned()], Some("later".to_owned()))
    );
    let refused = daily.update(|schedule| schedule.cron("0 25 * * *")).await.unwrap_err();
    assert_eq!(refused.code(), "AB0425", "{refused}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_options_of_the_start_are_those_of_each_run() {
    let (env, worker) = env("2026-01-01T00:30:00Z").await;
    let start = env.client().start(Report::run(100)).id("long").run_timeout(hours(2)).task_queue("reports");
    let daily = env.client().schedule("d", start).every(days(1)).await.unwrap();
    env.sleep(hours(30)).await;
    let description = daily.describe().await.unwrap();
    let [run] = description.recent.as_slice() else { panic!("{description:?}") };
    assert_eq!(
        (run.workflow_id.as_str(), run.end),
        ("long-2026-01-02T00:00:00Z", Some(ScheduledEnd::TimedOut))
    );
    let start = env.client().start(Report::run(1)).request_id("r");
    let refused = env.client().schedule("e", start).every(days(1)).await.unwrap_err();
    assert_eq!(refused.code(), "AB0425");
    assert!(refused.to_string().contains(".request_id(..)"), "{refused}");
    worker.shutdown().await.unwrap();
}
