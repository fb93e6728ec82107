//! Semaphore, mutex and channel for the tasks and handlers of one execution. They record nothing: the order of tasks
//! is the same on replay. Their futures and guards share what they need, so that they may live in the state.

mod gate;
mod queue;
mod semaphore;
pub(crate) mod table;

pub use queue::{Receiver, Recv, SendError, Sender, Sending, channel};
pub use semaphore::{Acquire, Lock, Mutex, MutexGuard, Permit, Semaphore};
