//! What a schedule starts: a call of a workflow, or a start that is not awaited.

use crate::client::{Client, Start, WorkflowHandle};
use abide_core::WorkflowCall;

/// What a schedule can start: a call of a workflow, or a start that is not awaited, whose options are then those of
/// each run.
#[diagnostic::on_unimplemented(
    message = "a schedule cannot start `{Self}`",
    label = "neither a call of a workflow nor a start",
    note = "a workflow is called: `client.schedule(\"nightly\", nightly_report())`; with options of its runs: \
            `client.schedule(\"nightly\", client.start(nightly_report()).task_queue(\"reports\"))`",
    note = "an activity is called by a workflow, which the schedule starts"
)]
pub trait IntoStart<W: WorkflowHandle> {
    /// The start.
    #[doc(hidden)]
    fn into_start(self, client: &Client) -> Start<W>;
}

#[diagnostic::do_not_recommend]
impl<W: WorkflowHandle> IntoStart<W> for WorkflowCall<W> {
    fn into_start(self, client: &Client) -> Start<W> {
        client.start(self)
    }
}

#[diagnostic::do_not_recommend]
impl<W: WorkflowHandle> IntoStart<W> for Start<W> {
    fn into_start(self, _: &Client) -> Self {
        self
    }
}
