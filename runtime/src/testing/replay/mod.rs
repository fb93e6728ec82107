//! The replayer: can today's code go on with yesterday's histories?
//!
//! After a deploy a worker replays the history of each open run before the run goes on; code that asks for anything
//! else than is recorded suspends it (`AB0201`). The replayer does the same beforehand, in a test or against the
//! database itself, and changes nothing: it needs no worker, runs no activity, writes no row. The idea is Temporal's
//! `Replayer` (`WorkflowReplayer` in its Java SDK), which its guides have run in CI on exported histories.
//!
//! ```
//! use abide::prelude::*;
//! use abide::testing::replay::{History, Replayer};
//!
//! #[activity]
//! async fn charge(order: String) -> Result<String, Failure> {
//!     Ok(format!("receipt of {order}"))
//! }
//!
//! #[workflow(name = "order")]
//! async fn order(id: String) -> Result<String, Failure> {
//!     Ok(charge(id).await?)
//! }
//!
//! # fn main() -> abide::Result<()> {
//! // Most often from a file: `History::read("tests/histories/order-42.json")`, which `History::of(&handle)` exported.
//! let history = History::from_json(
//!     r#"{
//!   "abide_history": 1, "workflow_type": "order", "workflow_id": "order-42", "run_id": "r-1", "task_queue": "orders",
//!   "rows": [
//!     {"seq": 1, "at_ms": 0, "events": [
//!       {"started":{"input":["A-1"],"seed":7}},
//!       {"activity_scheduled":{"name":"charge","input":["A-1"]}}
//!     ]},
//!     {"seq": 3, "at_ms": 20, "events": [
//!       {"activity_completed":{"activity":2,"result":"receipt of A-1"}},
//!       {"completed":{"result":"receipt of A-1"}}
//!     ]}
//!   ]
//! }"#,
//! )?;
//! let report = Replayer::new().workflow(order).replay(&history);
//! report.assert_ok();
//! # Ok(())
//! # }
//! ```
//!
//! Before a deploy, the same against the runs that are open now:
//!
//! ```no_run
//! # use abide::prelude::*;
//! # #[workflow]
//! # async fn order(id: String) -> String { id }
//! # async fn check() -> abide::Result<()> {
//! use abide::testing::replay::Replayer;
//! let abide = Abide::open("sqlite://orders.db").await?;
//! let reports = Replayer::new().workflow(order).open_runs(&abide).await?;
//! reports.assert_ok(); // one summary: the report of each kind of failure
//! # Ok(())
//! # }
//! ```
//!
//! # What it tells
//! A run passes where the code asks for the recorded commands, in their order, with their names and inputs. What it does
//! beyond the end of an open run is free; a closed run must end as recorded, too. Else the [`Report`] has the code that
//! the engine would suspend the run with: `AB0201` (another command, one more, one less, another end), `AB0202` (a
//! panic), `AB0203` (arguments, a result or a signal that today's types do not read), `AB0204` (a foreign await), `AB0206` (a
//! type that was not given), `AB0209` (a damaged journal). It shows the history beside what the code did, with the place
//! of the `.await` that asked for it, marks the first difference, and says what the cause may be and what to do.
//!
//! # What it does not tell
//! The durations of timers, options of activities and task queues may change under a run, so they are not compared.
//! A closure of `workflow::side_effect` is not called where its value is recorded; at the end of a history whose next step
//! it is, it is. Code that never comes to its next await is not broken off: the replay takes as long.
//!
//! Reading order: `history` (the document), `run` (one replay), `verdict` and `cause` (what it means), `words`, `difference` and `table`
//! (how it is shown), `report`, `open` (a database's runs).

mod cause;
mod difference;
mod history;
mod open;
mod report;
mod run;
mod table;
mod verdict;
mod words;

pub use history::History;
pub use report::{Report, Reports};

use crate::abide::Abide;
use crate::error::Result;
use abide_core::WorkflowFn;
use run::Known;
use std::collections::BTreeMap;
use std::fmt;

/// Replays histories on the workflows that it was given; see the [module](self).
#[derive(Clone, Default)]
#[must_use = "a replayer does nothing until it is given a history"]
pub struct Replayer {
    workflows: BTreeMap<&'static str, Known>,
}

impl Replayer {
    /// One without workflows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow: the function itself, `OrderWorkflow::run` or `nightly_report`, as for
    /// [`WorkerBuilder::workflow`](crate::WorkerBuilder::workflow). A history finds it by its name.
    ///
    /// # Panics
    /// Where a workflow of this name was added before.
    pub fn workflow<A, F: WorkflowFn<A>>(mut self, _run: F) -> Self {
        let known = Known::of::<F::Def>();
        let before = self.workflows.insert(known.workflow.name, known);
        assert!(
            before.is_none(),
            "AB0601: workflow `{}` is given to the replayer twice",
            known.workflow.name
        );
        self
    }

    /// Replays one history, on a thread of its own, and waits for it.
    ///
    /// # Panics
    /// Where the operating system gives no thread.
    pub fn replay(&self, history: &History) -> Report {
        match self.known(history.workflow_type()) {
            Some(known) => verdict::of(history, &run::end(run::begin(known, history, ()))),
            None => verdict::unknown_type(history, &self.workflows.keys().copied().collect::<Vec<_>>()),
        }
    }

    /// Replays every run of these workflows that is open in the database, suspended ones too, newest first; runs of other
    /// types are counted. Workers may go on meanwhile: each run is replayed as it is when its turn comes, and one that
    /// is started meanwhile may not be. One history is in memory at a time, and the first 100 failing reports are kept.
    ///
    /// # Errors
    /// `AB05xx` where the database cannot be read. A run whose journal is damaged is a failing run, not an error.
    ///
    /// # Panics
    /// Where the operating system gives no thread.
    pub async fn open_runs(&self, abide: &Abide) -> Result<Reports> {
        open::replay(self, abide).await
    }

    fn known(&self, workflow_type: &str) -> Option<Known> {
        self.workflows.get(workflow_type).copied()
    }
}

impl fmt::Debug for Replayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayer").field("workflows", &self.workflows.keys()).finish()
    }
}
