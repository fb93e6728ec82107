//! What an attempt publishes into streams of its run: buffered, and written by few statements.
//!
//! Items are written 100 ms after the first of them, or once they are 64 KiB. Each write is a task of its own, so that
//! a body that is dropped while it publishes cannot leave a write half known. The end of the attempt waits for them.

use crate::store::{NewItem, Store, StoreError};
use abide_core::{ExecutionId, Incarnation, Payload, PublishError, encode_item};
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an item waits for others.
const EVERY: Duration = Duration::from_millis(100);

/// So many bytes wait for no others.
const FULL: usize = 64 * 1024;

/// How long a write pauses before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Where the items of an attempt go.
#[derive(Clone)]
pub(crate) struct Outlet {
    pub(crate) store: Arc<dyn Store>,
    /// The worker that runs the attempt.
    pub(crate) owner: Incarnation,
    /// The run that called the activity.
    pub(crate) execution: ExecutionId,
}

/// What becomes of the items that an attempt publishes.
#[derive(Clone, Debug)]
pub(super) enum Publishes {
    /// There is no attempt: items are dropped.
    Nowhere,
    /// The attempt is transactional.
    Never,
    To(Arc<Publisher>),
}

impl Publishes {
    /// Of an attempt.
    pub(super) fn of(outlet: Option<Outlet>, attempt: u32, is_transactional: bool) -> Self {
        match outlet {
            _ if is_transactional => Self::Never,
            Some(outlet) => Self::To(Publisher::new(outlet, attempt)),
            None => Self::Nowhere,
        }
    }

    pub(super) async fn publish<T: Serialize + Sync + ?Sized>(
        &self,
        stream: &str,
        item: &T,
    ) -> Result<(), PublishError> {
        let body = encode_item(stream, item)?;
        match self {
            Self::To(publisher) => publisher.publish(stream, body).await,
            Self::Nowhere => Ok(()),
            Self::Never => Err(PublishError::Refused {
                message: "a transactional activity cannot publish: its transaction holds the database's lock. Publish \
                          from the workflow once it has ended",
            }),
        }
    }

    /// The attempt publishes nothing more, and what it has published is written.
    pub(super) async fn close(&self) {
        if let Self::To(publisher) = self {
            publisher.close().await;
        }
    }

    /// The same, but it does not wait for a database that is not there.
    pub(super) async fn close_soon(&self) {
        drop(tokio::time::timeout(LAST_ITEMS, self.close()).await);
    }
}

/// How long an attempt whose limit has run out waits for the write of its last items.
const LAST_ITEMS: Duration = Duration::from_secs(1);

/// The publisher of one attempt.
pub(super) struct Publisher {
    outlet: Outlet,
    attempt: u32,
    buffer: Mutex<Buffer>,
    /// Held during a write, so that items keep their order.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Buffer {
    items: Vec<NewItem>,
    bytes: usize,
    /// A task will write what is here.
    planned: bool,
    /// The attempt has ended.
    is_closed: bool,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    fn new(outlet: Outlet, attempt: u32) -> Arc<Self> {
        Arc::new(Self { outlet, attempt, buffer: Mutex::default(), writing: tokio::sync::Mutex::default() })
    }

    /// Buffers an item. Waits for a write if the buffer is full.
    async fn publish(self: &Arc<Self>, stream: &str, body: Payload) -> Result<(), PublishError> {
        let body = body.as_json().to_owned();
        let at_ms = self.outlet.store.now_ms();
        let item = NewItem { stream: stream.to_owned(), at_ms, attempt: Some(self.attempt), body };
        let (is_full, plans) = self.with(|buffer| {
            if buffer.is_closed {
                return Err(PublishError::Refused { message: "the attempt has ended" });
            }
            buffer.bytes += item.bytes();
            buffer.items.push(item);
            let is_full = buffer.bytes >= FULL;
            Ok((is_full, !is_full && !std::mem::replace(&mut buffer.planned, true)))
        })?;
        if is_full {
            self.flush().await;
        } else if plans {
            let publisher = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(EVERY).await;
                publisher.write().await;
            });
        }
        Ok(())
    }

    /// Writes what is buffered.
    async fn flush(self: &Arc<Self>) {
        let publisher = Arc::clone(self);
        // An error says that the runtime shuts down, and the attempt with it.
        drop(tokio::spawn(async move { publisher.write().await }).await);
    }

    /// The attempt has ended: writes what is buffered, and takes nothing more.
    async fn close(self: &Arc<Self>) {
        let is_idle = self.with(|buffer| {
            buffer.is_closed = true;
            if mutant!(LoseLastOfAttempt) {
                buffer.items.clear();
            }
            buffer.items.is_empty()
        });
        // A write may be under way with what was there.
        if !is_idle || self.writing.try_lock().is_err() {
            self.flush().await;
        }
    }

    async fn write(&self) {
        let _order = self.writing.lock().await;
        let items = self.with(|buffer| {
            (buffer.bytes, buffer.planned) = (0, false);
            std::mem::take(&mut buffer.items)
        });
        if items.is_empty() {
            return;
        }
        let Outlet { store, owner, execution } = &self.outlet;
        loop {
            match store.publish(*owner, *execution, items.clone()).await {
                Ok(()) => return,
                // The attempt is another worker's by now, or ends with the process: it publishes again.
                Err(StoreError::Fenced | StoreError::Closed) => return,
                Err(error @ StoreError::BadRow { .. }) => {
                    return tracing::warn!(%error, "the database refuses the items of a stream: they are lost");
                }
                // Items may be written twice: readers get them at least once.
                Err(error) => {
                    tracing::warn!(%error, "items of a stream are not written yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Buffer) -> T) -> T {
        change(&mut self.buffer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
