//! All names that a program with workflows, activities, a worker and a client needs:
//! `use abide::prelude::*;`.

pub use crate::activity::ActivityContext;
pub use crate::{
    Abide, ActivityError, Bytes, Calendar, CallError, CancellationType, ChildError, Client, Elapsed, Error,
    ExecutionStatus, Failure, Handle, IdConflictPolicy, IdReusePolicy, ListFilter, MessageError, Overlap,
    ParentClosePolicy, Priority, QueryError, RetryPolicy, Schedule, TimeoutKind, UpdateError, Worker,
    WorkerBuilder, WorkflowError,
};
// `activity` and `workflow` are each an attribute and a module.
pub use crate::{activity, init, query, run, signal, update, workflow};
pub use abide_core::flow::{days, hours, millis, mins, secs};
