//! The workflow API: the futures and functions that workflow code uses. The runtime re-exports it as
//! `abide::workflow`.
//!
//! Names and use follow tokio's: `sleep`, `timeout`, `spawn`, `join!`, `select!`.

pub mod allow;
pub mod foreign;
mod handlers;
mod info;
pub mod join;
pub mod select;
mod spawn;
pub mod until;

pub use crate::exec::info::Info;
pub use crate::guard::WorkflowFuture;
pub use crate::primitive::cancel::{Cancelled, Shielded, cancelled, shielded};
pub use crate::primitive::child::{
    ChildCall, ChildCore, ChildHandle, ChildResult, ChildSeen, ChildStart, ToChild,
};
pub use crate::primitive::continue_as_new::{ContinueAsNew, continue_as_new};
pub use crate::primitive::external::{Delivery, ExternalCore, ExternalHandle, ToOther, handle};
pub use crate::primitive::random::{Random, random, random_range, uuid};
pub use crate::primitive::saga::{Compensated, CompensationError, Saga, saga};
pub use crate::primitive::side_effect::{SideEffect, side_effect};
pub use crate::primitive::stream::{MAX_STREAM_NAME_CHARS, PublishError, publish};
pub use crate::primitive::sync::{
    Acquire, Lock, Mutex, MutexGuard, Permit, Receiver, Recv, Semaphore, SendError, Sender, Sending, channel,
};
pub use crate::primitive::timer::{Sleep, Timeout, sleep, sleep_until, timeout, timeout_at};
pub use foreign::{AssumeDeterministic, WorkflowStream, assume_deterministic};
pub use handlers::{HandlersFinished, handlers_finished};
pub use info::{info, now};
pub use spawn::{JoinError, JoinHandle, spawn};
pub use until::{Until, until};

use std::time::Duration;

/// Returns a duration of `n` milliseconds.
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Returns a duration of `n` seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns a duration of `n` minutes.
pub const fn mins(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Returns a duration of `n` hours.
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3_600)
}

/// Returns a duration of `n` days of 24 hours.
pub const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}
