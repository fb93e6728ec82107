//! Everything that a program with workflows, activities, a worker and a client needs: `use abide::prelude::*;`.

pub use crate::activity::ActivityContext;
pub use crate::{
    Abide, ActivityError, CallError, CancellationType, Client, Elapsed, Error, ExecutionStatus, Failure,
    Handle, IdConflictPolicy, IdReusePolicy, ListFilter, QueryError, RetryPolicy, TimeoutKind, Worker,
    WorkflowError,
};
// Each of these two names is an attribute and a module at once.
pub use crate::{activity, workflow};
pub use abide_core::flow::{days, hours, mins, secs};
