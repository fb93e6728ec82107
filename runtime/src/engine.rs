//! The engine's own thread. It runs the loops that keep a worker alive, even if the user's runtime is busy or
//! blocked.
//!
//! There is one such thread for each open database. It starts with the first worker, renews leases, and
//! checks for threads that block. Code here must not wait for anything that only the user's runtime can do.
//! The only user code that runs here is the `tracing` subscriber, for messages about leases and threads.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// See the module documentation. The thread ends when the last clone is dropped.
#[derive(Clone, Default)]
pub(crate) struct EngineThread(Arc<Mutex<Option<Running>>>);

struct Running {
    handle: Handle,
    /// Dropping this ends the thread and drops all tasks on it.
    _end: oneshot::Sender<Infallible>,
}

impl EngineThread {
    /// Returns a handle to spawn tasks on the thread.
    ///
    /// # Errors
    /// The operating system's error if it cannot start a thread.
    pub(crate) fn handle(&self) -> std::io::Result<Handle> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref() {
            return Ok(running.handle.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<Infallible>();
        // The channel never carries a value: `ended` resolves when the sender is dropped.
        let run = move || drop(runtime.block_on(ended));
        std::thread::Builder::new().name("abide-engine".to_owned()).spawn(run)?;
        *running = Some(Running { handle: handle.clone(), _end: end });
        Ok(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_runs_beside_a_runtime_that_blocks_and_ends_with_its_last_owner() {
        let engine = EngineThread::default();
        let (done, wait) = std::sync::mpsc::channel();
        engine
            .handle()
            .unwrap()
            .spawn(async move { done.send(std::thread::current().name().map(str::to_owned)) });
        // This blocks the only thread of the test's runtime.
        assert_eq!(wait.recv().unwrap().as_deref(), Some("abide-engine"));
        let (dropped, gone) = std::sync::mpsc::channel::<()>();
        engine.clone().handle().unwrap().spawn(async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        });
        drop(engine);
        assert!(gone.recv().is_err(), "the thread has ended, and dropped what it ran");
    }
}
