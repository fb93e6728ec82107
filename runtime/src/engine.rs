//! The engine's own thread: what keeps a worker alive runs here, whatever the user's runtime is busy with.
//!
//! One thread for each open database, begun with the first worker: it renews leases, and looks for threads that block.
//! Nothing here may wait for anything that only the user's runtime can do. The one code of the user's that runs here is the `tracing`
//! subscriber, which is told of leases and threads in trouble.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// See the module's head. The thread ends when the last clone is dropped.
#[derive(Clone, Default)]
pub(crate) struct EngineThread(Arc<Mutex<Option<Running>>>);

struct Running {
    handle: Handle,
    /// Dropped, it ends the thread, and with it all that still runs there.
    _end: oneshot::Sender<Infallible>,
}

impl EngineThread {
    /// A handle to spawn on it.
    ///
    /// # Errors
    /// The operating system's, where it gives no thread.
    pub(crate) fn handle(&self) -> std::io::Result<Handle> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref() {
            return Ok(running.handle.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<Infallible>();
        // An error means that the sender is gone: that is the end.
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
