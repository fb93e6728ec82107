//! Several workers and a sender on one database: what goes on while something goes wrong, and what must come of it.

use crate::evidence::Evidence;
use crate::expected::{all_right, trips_were_undone};
use crate::journal::{Execution, number, number_if_there};
use crate::scene::{Scene, Victim, eventually};
use std::collections::BTreeMap;

/// Enough of them have all the kinds that the sender knows, twice.
const SOME: i64 = 12;

const CLOSED: &str = "SELECT count(*) FROM execution WHERE status >= 10";

/// The processes at work. None of them may end by itself, whatever happens to the database.
pub(crate) struct Load<'s> {
    scene: &'s Scene,
    evidence: Evidence,
    pub(crate) workers: Vec<Victim>,
    sender: Victim,
}

impl<'s> Load<'s> {
    /// Starts them, and waits until they get on.
    pub(crate) async fn begin(scene: &'s Scene, workers: usize) -> Self {
        let workers = (0..workers).map(|_| scene.worker()).collect();
        let sender = scene.ready("send", &[("VICTIM_PAUSE_MS", "20")]);
        let mut load = Self { scene, evidence: Evidence::default(), workers, sender };
        load.goes_on().await;
        load
    }

    /// Waits until more have closed than now.
    pub(crate) async fn goes_on(&mut self) {
        let database = self.scene.database();
        let mut before = None;
        eventually("more of them close", async || {
            self.all_are_there();
            let Some(closed) = number_if_there(database, CLOSED).await else { return false };
            closed >= *before.get_or_insert(closed) + SOME
        })
        .await;
    }

    fn all_are_there(&mut self) {
        for worker in &mut self.workers {
            assert!(!worker.has_ended(), "a worker ended by itself");
        }
        assert!(!self.sender.has_ended(), "the sender gave up");
    }

    /// Holds the ledger against the database.
    pub(crate) async fn look(&mut self) -> BTreeMap<i64, Execution> {
        self.all_are_there();
        let executions = self.evidence.check(self.scene).await;
        // A kill from outside makes no run a suspect (PROTOCOL 19), and a database's trouble is no outcome (8).
        let suspended = executions.values().find(|execution| execution.status == 1);
        assert!(suspended.is_none(), "{:?}", suspended.map(|e| (&e.workflow_id, &e.suspension)));
        executions
    }

    /// Lets the sender end what it began, and everything complete.
    pub(crate) async fn finish(mut self) {
        self.look().await;
        std::fs::write(self.scene.path("stop"), "").expect("it can be written");
        assert!(self.sender.wait().success(), "the sender ends cleanly");
        let open = "SELECT count(*) FROM execution WHERE status < 10";
        eventually("everything completes", async || number(self.scene.database(), open).await == 0).await;
        for worker in self.workers {
            worker.stop();
        }
        let executions = self.evidence.check(self.scene).await;
        all_right(executions.values());
        trips_were_undone(executions.values());
        eprintln!("{} executions", executions.len());
    }
}
