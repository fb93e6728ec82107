//! What an execution that leaves memory drops: user code, which must not go on, and must not panic further.

use super::{Execution, WorkflowType, context};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Drop for Execution {
    /// Dropping the live state emits nothing: the execution was evicted, not cancelled (PROTOCOL 17).
    fn drop(&mut self) {
        self.ctx.evicting.set(true);
        let _muted = self.ctx.tracing.begin(true);
        for id in self.tasks.ids(|_| true) {
            self.tasks.drop_task(id, &self.ctx);
        }
        let compensations = self.ctx.tables.compensations.borrow_mut().take_all();
        let spawned = (self.ctx.spawned.take(), self.early.take());
        let state = (self.ctx.take_slot(), std::mem::replace(&mut self.program, WorkflowType::stateless()));
        let _entered = context::enter(&self.ctx);
        // This drops user code. A panic in a drop must not end the thread, and no caller is left to report it
        // to.
        let _ = catch_unwind(AssertUnwindSafe(|| drop((compensations, spawned))));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
    }
}
