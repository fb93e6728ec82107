//! Schedules over a real database: created, listed, triggered, changed, deleted; by any process; caught up.

use super::support::{Db, eventually};
use abide::jiff::Timestamp;
use abide::prelude::*;

#[workflow]
async fn tick(n: u32) -> Option<Timestamp> {
    let _ = n;
    workflow::info().scheduled_at
}

#[derive(Default)]
struct Open {
    closed: bool,
}

#[workflow]
impl Open {
    #[run]
    async fn run(&mut self) {
        workflow::until!(self.closed).await;
    }

    #[signal]
    fn close(&mut self) {
        self.closed = true;
    }
}

async fn started<W: abide::__private::WorkflowHandle>(schedule: &Schedule<W>) -> u64 {
    schedule.describe().await.unwrap().counts.started
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_starts_a_run_of_a_worker() {
    let db = Db::new().await;
    let worker = db.abide.worker("ticks").workflow(tick).start().await.unwrap();
    let ticks = db.client().schedule("ticks", tick(7)).every(secs(1)).await.unwrap();
    eventually("three runs", async || started(&ticks).await >= 3).await;
    let description = ticks.describe().await.unwrap();
    let first = &description.recent[0];
    let run: Handle<tick> = db.client().handle(&first.workflow_id);
    assert_eq!(run.result().await.unwrap(), Some(first.slot));
    assert_eq!(first.workflow_id, format!("ticks-{}", first.slot));
    eventually("its end", async || ticks.describe().await.unwrap().recent[0].end.is_some()).await;
    worker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_gives_a_handle_of_its_run() {
    let db = Db::new().await;
    let worker = db.abide.worker("ticks").workflow(tick).start().await.unwrap();
    let yearly = db.client().schedule("yearly", tick(1)).cron("0 0 1 1 *").await.unwrap();
    let (a, b) = (yearly.trigger().await.unwrap(), yearly.trigger().await.unwrap());
    assert_ne!(a.id(), b.id());
    assert!(a.result().await.unwrap().is_some() && b.result().await.unwrap().is_some());
    let other = db.client().schedule_handle::<Open>("yearly");
    assert_eq!(other.trigger().await.unwrap_err().code(), "AB0416");
    worker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_run_holds_up_and_its_end_lets_go() {
    let db = Db::new().await;
    let worker = db.abide.worker("ticks").workflow(Open::run).start().await.unwrap();
    let ticks = db.client().schedule("open", Open::run()).every(secs(1)).overlap(Overlap::BufferOne);
    let ticks = ticks.await.unwrap();
    eventually("a slot waits", async || ticks.describe().await.unwrap().waiting == 1).await;
    let description = ticks.describe().await.unwrap();
    assert_eq!((description.counts.started, description.running.len()), (1, 1));
    let run: Handle<Open> = db.client().handle(&description.running[0].0);
    run.close().await.unwrap();
    eventually("the next run", async || started(&ticks).await == 2).await;
    // An end from outside is told as well.
    let second = ticks.describe().await.unwrap().running[0].0.clone();
    db.client().execution(&second).terminate("enough").await.unwrap();
    eventually("the third run", async || started(&ticks).await >= 3).await;
    worker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_listed_and_deleted() {
    let db = Db::new().await;
    let client = db.client().task_queue("ticks");
    for id in ["a", "b", "c"] {
        client.schedule(id, tick(1)).every(days(1)).note(format!("note of {id}")).await.unwrap();
    }
    let exists = client.schedule("b", tick(1)).every(days(1)).await.unwrap_err();
    assert_eq!(exists.code(), "AB0424", "{exists}");
    let page = client.schedules().limit(2).await.unwrap();
    let ids: Vec<&str> = page.schedules.iter().map(|schedule| schedule.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(page.schedules[0].next_at.is_some());
    let page = client.schedules().limit(2).after(page.next.unwrap()).await.unwrap();
    assert_eq!((page.schedules[0].id.as_str(), page.schedules.len(), page.next), ("c", 1, None));
    let b = client.schedule_handle::<tick>("b");
    b.delete().await.unwrap();
    for error in [b.delete().await.err(), b.describe().await.err(), b.pause("x").await.err()] {
        assert_eq!(error.unwrap().code(), "AB0423");
    }
    assert_eq!(client.schedules().await.unwrap().schedules.len(), 2);
    // Its id is free.
    client.schedule("b", tick(1)).every(days(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let db = Db::new().await;
    let client = db.client().task_queue("ticks");
    let refused = client.schedule("a", tick(1)).cron("0 25 * * *").await.unwrap_err();
    assert_eq!(refused.code(), "AB0425", "{refused}");
    assert!(refused.to_string().contains("0 25 * * *"), "{refused}");
    let never = client.schedule("a", tick(1)).await.unwrap_err();
    assert_eq!(never.code(), "AB0425", "{never}");
    assert_eq!(client.schedule("", tick(1)).every(days(1)).await.unwrap_err().code(), "AB0412");
    let nowhere = db.client().schedule("a", tick(1)).every(days(1)).await.unwrap_err();
    assert_eq!(nowhere.code(), "AB0411", "no worker is here, and no queue is named");
}

/// Another process, which has no worker, changes it; this one's worker follows.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_asks_is_done_here() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let worker = here.worker("ticks").workflow(tick).start().await.unwrap();
    let client = there.client().task_queue("ticks");
    let ticks = client.schedule("ticks", tick(1)).every(days(1)).await.unwrap();
    ticks.trigger().await.unwrap().result().await.unwrap();
    ticks.update(|schedule| schedule.every(secs(1))).await.unwrap();
    eventually("a slot", async || started(&ticks).await >= 2).await;
    worker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_without_a_worker_are_caught_up() {
    let db = Db::new().await;
    let client = db.client().task_queue("ticks");
    let ticks = client.schedule("ticks", tick(1)).every(secs(1)).overlap(Overlap::AllowAll).await.unwrap();
    tokio::time::sleep(secs(3)).await;
    assert_eq!(started(&ticks).await, 0);
    let worker = db.abide.worker("ticks").workflow(tick).start().await.unwrap();
    eventually("all of them", async || started(&ticks).await >= 3).await;
    let description = ticks.describe().await.unwrap();
    let slots: Vec<i64> = description.recent.iter().map(|run| run.slot.as_second()).collect();
    assert!(slots.windows(2).all(|pair| pair[1] == pair[0] + 1), "{slots:?}");
    worker.shutdown().await.unwrap();
}

/// Two at once: the version is compared, and the loser's closure is called again.
#[tokio::test(flavor = "multi_thread")]
async fn updates_at_once_all_happen() {
    let db = Db::new().await;
    let client = db.client().task_queue("ticks");
    let daily = client.schedule("daily", tick(1)).every(days(1)).remaining(0).await.unwrap();
    let add = async || daily.update(|schedule| schedule.exclude(Calendar::default().hour(1))).await.unwrap();
    let jitter = async || daily.update(|schedule| schedule.jitter(mins(1))).await.unwrap();
    tokio::join!(add(), jitter());
    let description = daily.describe().await.unwrap();
    assert_eq!((description.exclude.len(), description.jitter), (1, mins(1)));
}
