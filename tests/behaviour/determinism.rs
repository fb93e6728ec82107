//! What a workflow reads of the world is the same after a replay.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::collections::HashMap;
use std::sync::Mutex;

/// How often the side effect of each workflow was really read.
static READS: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

fn read(workflow_id: &str) -> u32 {
    let mut reads = READS.lock().unwrap();
    let count = reads.get_or_insert_default().entry(workflow_id.to_owned()).or_default();
    *count += 1;
    *count
}

fn reads(workflow_id: &str) -> u32 {
    READS.lock().unwrap().as_ref().and_then(|reads| reads.get(workflow_id).copied()).unwrap_or(0)
}

#[derive(Default)]
struct Reader {
    values: Vec<String>,
    done: bool,
}

#[workflow]
impl Reader {
    #[run]
    async fn run(&mut self, rounds: u32) -> Result<Vec<String>, Failure> {
        for n in 0..rounds {
            self.values.push(workflow::now().to_string());
            self.values.push(workflow::random::<u64>().to_string());
            self.values.push(workflow::random_range(0..1_000_000).to_string());
            self.values.push(workflow::random::<f64>().to_string());
            self.values.push(workflow::uuid().to_string());
            let id = workflow::info().workflow_id;
            let count = workflow::side_effect(move || read(&id)).await;
            self.values.push(count.to_string());
            Steps::note(n).await?;
            workflow::sleep(std::time::Duration::from_millis(2)).await;
        }
        let info = workflow::info();
        self.values.push(format!("{} {} {}", info.workflow_id, info.run_id, info.workflow_type));
        self.values.push(format!("{} {} {}", info.task_queue, info.started_at_ms, info.history_len));
        workflow::until!(self.done).await;
        self.values.push(workflow::uuid().to_string());
        Ok(self.values.clone())
    }

    #[signal]
    fn done(&mut self) {
        self.done = true;
    }

    #[query]
    fn values(&self) -> Vec<String> {
        self.values.clone()
    }
}

#[tokio::test]
async fn values_are_the_same_after_a_replay() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = || db.abide.worker("det").workflow(Reader::run).activities(Steps(log.clone())).start();
    let first = worker().await.unwrap();
    let run = db.client().start(Reader::run(3)).id("reader").await.unwrap();
    eventually("it waits", async || run.values().await.unwrap().len() == 20).await;
    let live = run.values().await.unwrap();
    assert_eq!(reads("reader"), 3);
    first.shutdown().await.unwrap();

    let second = worker().await.unwrap();
    assert_eq!(run.values().await.unwrap(), live);
    run.done().await.unwrap();
    let end = run.result().await.unwrap();
    assert_eq!(end[..20], live);
    assert_eq!(reads("reader"), 3, "a replay takes the recorded value");
    assert_eq!(run.values().await.unwrap(), end, "also after its close");
    second.shutdown().await.unwrap();

    let info = &live[18];
    assert_eq!(*info, format!("reader {} Reader", run.run_id().unwrap()));
    let drawn: std::collections::HashSet<_> = live[..18].iter().collect();
    assert!(drawn.len() >= 15, "three rounds draw different values: {live:?}");
}

#[tokio::test]
async fn runs_draw_different_numbers_and_log_none() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("det").workflow(Reader::run).activities(Steps(log.clone()));
    let worker = worker.start().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let run = db.client().start(Reader::run(1)).await.unwrap();
        run.done().await.unwrap();
        seen.push(run.result().await.unwrap());
        let history = run.history().await.unwrap();
        let events = history.iter().flat_map(|row| &row.events).filter(|event| !event.is_close());
        let kinds: Vec<String> = events.map(|event| format!("{event:?}")).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.starts_with("SideEffect")).count(), 1);
        assert!(!kinds.iter().any(|kind| kind.contains(&seen[0][4])), "no uuid in {kinds:?}");
    }
    assert_ne!(seen[0][1], seen[1][1]);
    assert_ne!(seen[0][4], seen[1][4]);
    worker.shutdown().await.unwrap();
}
