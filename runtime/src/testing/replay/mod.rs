//! The replayer: checks whether the current code can continue recorded histories.
//!
//! After a deployment, a worker replays the history of each open run before the run continues. If the code
//! issues anything that differs from the history, the run is suspended (`AB0201`). The replayer makes the
//! same check before the deployment, in a test or against the database itself. It changes nothing: it needs
//! no worker, runs no activity and writes no row. The idea is Temporal's `Replayer` (`WorkflowReplayer` in
//! its Java SDK), which its guides recommend to run in CI on exported histories.
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
//! Before a deployment, the same for the runs that are open now:
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
//! # What it reports
//! A run passes if the code issues the recorded commands in their order, with their names and inputs. After
//! the end of an open run's history the code may issue anything; a closed run must also end as recorded.
//! Otherwise the [`Report`] has the code with which the engine would suspend the run: `AB0201` (another
//! command, one more, one less, another end), `AB0202` (a panic), `AB0203` (arguments, a result or a signal
//! that the current types cannot read), `AB0204` (a foreign await), `AB0206` (a type that the replayer was
//! not given), `AB0209` (a damaged journal). The report shows the history beside what the code did, with the
//! position of the `.await` that issued each command. It marks the first difference, and says what the cause
//! may be and what to do.
//!
//! # What it does not report
//! The durations of timers, options of activities and task queues may change during a run, so they are not
//! compared. A closure of `workflow::side_effect` is not called if its value is recorded; it is called if the
//! side effect is the next step after the end of the history. Code that never reaches its next await is not
//! interrupted: the replay then does not end either.
//!
//! Reading order: `history` (the document), `run` (one replay), `verdict` and `cause` (what it means),
//! `words`, `difference` and `table` (how it is shown), `report`, `open` (a database's runs).

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
use abide_core::{Code, WorkflowFn};
use run::Known;
use std::collections::BTreeMap;
use std::fmt;

/// Replays histories with the workflows that it was given; see the [module](self).
#[derive(Clone, Default)]
#[must_use = "a replayer does nothing until it is given a history"]
pub struct Replayer {
    workflows: BTreeMap<&'static str, Known>,
}

impl Replayer {
    /// A replayer without workflows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow, given as the function itself: `OrderWorkflow::run` or `nightly_report`, as for
    /// [`WorkerBuilder::workflow`](crate::WorkerBuilder::workflow). A history is matched to it by its name.
    ///
    /// # Panics
    /// If a workflow with this name was added before.
    pub fn workflow<A, F: WorkflowFn<A>>(mut self, _run: F) -> Self {
        let known = Known::of::<F::Def>();
        let before = self.workflows.insert(known.workflow.name, known);
        assert!(
            before.is_none(),
            "{}: workflow `{}` is given to the replayer twice",
            Code::Registration,
            known.workflow.name
        );
        self
    }

    /// Replays one history on its own thread, and waits for the result.
    ///
    /// # Panics
    /// If the operating system cannot start a thread.
    pub fn replay(&self, history: &History) -> Report {
        match self.known(history.workflow_type()) {
            Some(known) => verdict::of(history, &run::end(run::begin(known, history, ()))),
            None => verdict::unknown_type(history, &self.workflows.keys().copied().collect::<Vec<_>>()),
        }
    }

    /// Replays every open run of these workflows in the database, newest first, including suspended ones.
    /// Runs of other types are counted. Workers may continue meanwhile: each run is replayed as it is at that
    /// moment, and runs that start meanwhile may be missed. One history is in memory at a time, and the first
    /// 100 reports of failing runs are kept.
    ///
    /// # Errors
    /// `AB05xx` if the database cannot be read. A run with a damaged journal is a failing run, not an error.
    ///
    /// # Panics
    /// If the operating system cannot start a thread.
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
