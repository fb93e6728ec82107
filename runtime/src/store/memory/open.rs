//! A process connects.

use super::options::ConnectOptions;
use super::server::Server;
use super::shared::Shared;
use super::store::MemoryStore;
use super::writer::Writer;
use crate::store::clock::Clock;
use std::sync::Arc;

impl Server {
    /// One more process. Its writer is a task of the runtime that this is called from.
    pub(crate) fn connect(self: &Arc<Self>, options: ConnectOptions) -> Arc<MemoryStore> {
        let ConnectOptions { lease, fault, machine, own_clock } = options;
        let clock = own_clock.then(|| Clock::new(self.now_ms()));
        let shared = Arc::new(Shared::new(self, lease, fault, machine, clock));
        self.connected(&shared);
        tokio::spawn(Writer::new(&shared).run());
        Arc::new(MemoryStore { shared })
    }
}
