//! A message that is acknowledged while its execution closes is in the history, in the order of its sender
//! (PROTOCOL 15, 16): the close is refused and made again, with the message.

use super::support::{Db, Log, Steps, eventually};
use abide::history::Event;
use abide::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

#[derive(Default)]
struct Letters {
    read: Vec<u32>,
}

#[workflow]
impl Letters {
    #[run]
    async fn run(&mut self) -> Vec<u32> {
        workflow::until!(!self.read.is_empty()).await;
        self.read.clone()
    }

    #[signal]
    fn letter(&mut self, n: u32) {
        self.read.push(n);
    }

    #[query]
    fn count(&self) -> usize {
        self.read.len()
    }
}

/// Stops the writer of one process just before a commit, so that another process can commit first.
struct Gate {
    armed: AtomicBool,
    stopped: mpsc::SyncSender<mpsc::SyncSender<()>>,
}

impl Gate {
    fn pass(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            let (go_on, wait) = mpsc::sync_channel(1);
            if self.stopped.send(go_on).is_ok() {
                let _ = wait.recv_timeout(Duration::from_secs(5));
            }
        }
    }
}

/// One file, opened twice: what might be two processes.
struct Two {
    abide: Abide,
    other: Abide,
    _folder: tempfile::TempDir,
}

/// A worker whose commits can be stopped, and a client beside it.
async fn two_processes() -> (Two, Arc<Gate>, mpsc::Receiver<mpsc::SyncSender<()>>) {
    let folder = tempfile::tempdir().unwrap();
    let (stopped, stops) = mpsc::sync_channel(1);
    let gate = Arc::new(Gate { armed: AtomicBool::new(false), stopped });
    let hook = {
        let gate = Arc::clone(&gate);
        Arc::new(move |stage| {
            if stage == abide::__private::Stage::BeforeCommit {
                gate.pass();
            }
            None
        })
    };
    let abide = Abide::builder(Db::url(&folder)).fault(hook).open().await.unwrap();
    // It gives up a lock that the worker's own transaction holds: then this was not the commit to be raced.
    let other =
        Abide::builder(Db::url(&folder)).busy_timeout(Duration::from_millis(200)).open().await.unwrap();
    (Two { abide, other, _folder: folder }, gate, stops)
}

/// Sends letter 1, and letter 2 just before the close that letter 1 leads to commits. Gives the letters that were
/// acknowledged.
async fn race(
    other: &Abide,
    gate: &Gate,
    stops: mpsc::Receiver<mpsc::SyncSender<()>>,
    id: &str,
) -> (Vec<u32>, mpsc::Receiver<mpsc::SyncSender<()>>) {
    let handle = other.client().handle::<Letters>(id);
    handle.letter(1).await.unwrap();
    gate.armed.store(true, Ordering::SeqCst);
    let mut acknowledged = vec![1];
    let mut stops = stops;
    for _ in 0..10 {
        let next = tokio::task::spawn_blocking(move || (stops.recv_timeout(Duration::from_secs(2)), stops));
        let (stop, back) = next.await.unwrap();
        stops = back;
        let Ok(go_on) = stop else { break };
        let sent = handle.letter(2).request_id(format!("{id}/2")).await;
        if sent.is_err() {
            // The worker held the lock: this was no append. The next one may be.
            gate.armed.store(true, Ordering::SeqCst);
            let _ = go_on.send(());
            continue;
        }
        acknowledged.push(2);
        let _ = go_on.send(());
        break;
    }
    gate.armed.store(false, Ordering::SeqCst);
    (acknowledged, stops)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_just_before_the_close_is_not_lost() {
    let (db, gate, mut stops) = two_processes().await;
    let worker = db.abide.worker("letters").workflow(Letters::run).start().await.unwrap();
    let mut raced = 0;
    for n in 0..8 {
        let id = format!("letters-{n}");
        let run = db.abide.client().start(Letters::run()).id(&*id).await.unwrap();
        let (acknowledged, back) = race(&db.other, &gate, stops, &id).await;
        stops = back;
        let result = run.result().await.unwrap();
        let mut recorded = Vec::new();
        for event in run.history().await.unwrap().into_iter().flat_map(|row| row.events) {
            if let Event::Signaled { input, .. } = event {
                recorded.push(input.decode::<(u32,)>().unwrap().0);
            }
        }
        assert_eq!(recorded, acknowledged, "{id}: what was acknowledged is in the history, in order");
        assert_eq!(result[0], 1);
        raced += usize::from(acknowledged.len() == 2);
    }
    assert!(raced > 0, "no second letter met an open execution");
    assert!(db.abide.metrics().retries > 0, "no close was refused");
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn races() -> Result<u32, Failure> {
    workflow::select! {
        first = Steps::late(1, 20) => Ok(first?),
        second = Steps::late(2, 20) => Ok(second?),
    }
}

/// Queries of another process, asked without a pause, hold up no close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_of_another_process_hold_up_no_close() {
    let (folder, log) = (tempfile::tempdir().unwrap(), Log::default());
    let (abide, other) = (Db::open(&folder).await, Db::open(&folder).await);
    let builder = abide.worker("letters").workflow(Letters::run).workflow(races);
    let worker = builder.activities(Steps(log)).start().await.unwrap();
    for n in 0..5 {
        let id = format!("asked-{n}");
        let run = abide.client().start(Letters::run()).id(&*id).await.unwrap();
        let asked = other.client().handle::<Letters>(&*id);
        let asking = tokio::spawn(async move { while asked.count().await.is_ok_and(|count| count == 0) {} });
        tokio::time::sleep(Duration::from_millis(60)).await;
        run.letter(7).await.unwrap();
        let closed = async || run.describe().await.unwrap().status == ExecutionStatus::Completed;
        eventually("it closes while it is asked", closed).await;
        asking.await.unwrap();
        let first = abide.client().start(races()).await.unwrap();
        assert!([1, 2].contains(&first.result().await.unwrap()));
    }
    worker.shutdown().await.unwrap();
}
