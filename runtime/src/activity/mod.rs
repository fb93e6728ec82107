//! Activities, seen from inside: what a running one can ask about itself.
//!
//! An activity is an ordinary `async fn` that does I/O. It runs in the worker that runs its workflow, or where it names a task queue
//! in one that serves it; at least once, and its result is recorded before anybody sees it. [`context()`] tells it its attempt, its idempotency key and its deadline, and when
//! it should stop.
//!
//! ```
//! use abide::activity;
//!
//! async fn charge(cents: u64) -> String {
//!     let key = activity::context().idempotency_key();
//!     format!("POST /charges {cents} Idempotency-Key: {key}")
//! }
//! ```
//!
//! Here too, out of sight: the registry's entry (`entry`) and the runner (`runner`), which give a worker exactly one
//! outcome for each attempt. Neither writes to the store, and waits between attempts are the worker's.

pub(crate) mod context;
pub(crate) mod entry;
pub(crate) mod runner;

pub use context::{ActivityContext, context};
pub use tokio_util::sync::CancellationToken;
