//! Reads a stream of a run: what it has published, and what it publishes until it closes.
//!
//! A look reads the items first, and the run's row only if there are none: an item that is committed before the close
//! is then found by one more look. Between looks the reader waits for a notification, with a look from time to time as
//! a net.

use super::execution::TypeCheck;
use super::time::timestamp;
use super::wait::closing_event;
use super::{HandleCore, UntypedHandle};
use crate::error::{Error, Result};
use crate::host::GivenUp;
use crate::hub::CloseWatch;
use crate::offset::StreamOffset;
use crate::store::{ExecutionRow, Find, PublishedNews, StreamRow};
use abide_core::{Event, ExecutionId, Payload, WorkflowDef};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A look is made after this time in any case.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// The longest pause between two looks while others keep committing, but not into this stream.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// An item of a stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamItem<T> {
    /// What was published.
    pub value: T,
    /// Where it is: [`StreamReader::after`] goes on behind it.
    pub offset: StreamOffset,
    /// When it was published, by the database's clock.
    pub at: Timestamp,
    /// The attempt of the activity that published it, from 1: a repeated attempt publishes its items again. `None`: the
    /// workflow published it.
    pub attempt: Option<u32>,
}

/// Reads a stream; see [`HandleCore::stream`].
pub struct StreamReader<T> {
    handle: UntypedHandle,
    check: TypeCheck,
    stream: String,
    after: Option<StreamOffset>,
    place: Option<Place>,
    ready: VecDeque<StreamRow>,
    has_ended: bool,
    item: PhantomData<fn() -> T>,
}

/// Where a reader is.
struct Place {
    run: ExecutionId,
    seq: i64,
    watch: Arc<CloseWatch>,
    published: PublishedNews,
    changes: watch::Receiver<u64>,
    pause: Duration,
}

impl<W: WorkflowDef> HandleCore<W> {
    /// Reads the stream `name` of this run: from its beginning, or [`after`](StreamReader::after) an offset, and live
    /// until the run closes. If the run goes on as a new run, the reader goes on there. Works in any process, also when
    /// the run has closed.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # #[workflow] async fn agent() {}
    /// # async fn watch(agent: Handle<agent>) -> Result<(), Error> {
    /// let mut tokens = agent.stream::<String>("tokens");
    /// while let Some(token) = tokens.next().await {
    ///     print!("{}", token?.value);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<T: DeserializeOwned>(&self, name: impl Into<String>) -> StreamReader<T> {
        StreamReader::new(self.untyped(), super::handle::check_type::<W>, name.into())
    }
}

impl UntypedHandle {
    /// Reads the stream `name` of this run; see [`HandleCore::stream`].
    pub fn stream<T: DeserializeOwned>(&self, name: impl Into<String>) -> StreamReader<T> {
        StreamReader::new(self.clone(), |_| Ok(()), name.into())
    }
}

impl<T> StreamReader<T> {
    fn new(handle: UntypedHandle, check: TypeCheck, stream: String) -> Self {
        let (ready, item) = (VecDeque::new(), PhantomData);
        Self { handle, check, stream, after: None, place: None, ready, has_ended: false, item }
    }

    /// Begins behind this item, and not at the beginning. Has an effect before the first [`next`](Self::next).
    pub fn after(mut self, offset: StreamOffset) -> Self {
        self.after = Some(offset);
        self
    }
}

impl<T: DeserializeOwned> StreamReader<T> {
    /// Waits for the next item. `None`: the run has closed, and all its items were read.
    ///
    /// If the next items are not kept any more (a stream keeps the newest 10,000 items or 16 MiB), it is an error once,
    /// [`Error::StreamBehind`] (`AB0450`), which says from where the stream goes on; the next call goes on there. An
    /// item that is no `T` is an error (`AB0404`), and the next call goes on behind it. The future can be dropped: no
    /// item is lost.
    pub async fn next(&mut self) -> Option<Result<StreamItem<T>>> {
        loop {
            if self.has_ended {
                return None;
            }
            if let (Some(place), Some(first)) = (&mut self.place, self.ready.front()) {
                if first.seq > place.seq + 1 {
                    place.seq = first.seq - 1;
                    let after = StreamOffset { run: place.run, seq: place.seq };
                    return Some(Err(Error::StreamBehind { stream: self.stream.clone(), after }));
                }
                place.seq = first.seq;
                let offset = StreamOffset { run: place.run, seq: place.seq };
                return self.ready.pop_front().map(|row| item(row, offset));
            }
            match self.fill().await {
                Ok(true) => {}
                Ok(false) => self.has_ended = true,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads items, or waits. False: the run has closed, and all its items were read.
    async fn fill(&mut self) -> Result<bool> {
        let abide = self.handle.client.abide.clone();
        abide.outside()?;
        if self.place.is_none() {
            self.place = Some(self.begin().await?);
        }
        // How the run has closed, once that is known.
        let mut close: Option<Arc<Event>> = None;
        while let Some(place) = &mut self.place {
            place.changes.mark_unchanged();
            let seen = place.watch.changes();
            let items = abide.store().stream_items(place.run, self.stream.clone(), place.seq).await?;
            if !items.is_empty() {
                (self.ready, place.pause) = (items.into(), Duration::ZERO);
                return Ok(true);
            }
            if let Some(close) = close.take() {
                let Some(next) = close.next_run() else { return Ok(false) };
                self.place = Some(Place::at(&self.handle, next.execution, 0));
                continue;
            }
            close = place.watch.closed();
            if close.is_none() {
                let row = self.handle.row_by(Find::Execution(place.run)).await?;
                match row.status.is_open() {
                    true => place.wait(&self.handle, seen).await?,
                    false => close = Some(Arc::new(closing_event(&row)?)),
                }
            }
        }
        Ok(false)
    }

    async fn begin(&self) -> Result<Place> {
        let (row, seq) = match self.after {
            Some(offset) => {
                let row = self.handle.row_by(Find::Execution(offset.run)).await?;
                (Some(row).filter(|row| row.workflow_id == self.handle.id()), offset.seq)
            }
            None => (Some(self.handle.row().await?), 0),
        };
        let row: ExecutionRow =
            row.ok_or_else(|| Error::NoSuchExecution { id: self.handle.id().to_owned() })?;
        (self.check)(&row)?;
        Ok(Place::at(&self.handle, row.id, seq))
    }
}

impl Place {
    fn at(handle: &UntypedHandle, run: ExecutionId, seq: i64) -> Self {
        let abide = &handle.client.abide;
        Self {
            run,
            seq,
            watch: Arc::new(abide.hub().watch(run)),
            published: abide.store().published(),
            changes: abide.store().news(),
            pause: Duration::ZERO,
        }
    }

    /// Waits until there may be something new.
    async fn wait(&mut self, handle: &UntypedHandle, seen: u64) -> Result<()> {
        let Self { run, watch, published, changes, pause, .. } = self;
        let abide = &handle.client.abide;
        let news = async {
            tokio::select! {
                biased;
                () = published.of(*run) => true,
                () = watch.changed(seen) => true,
                _ = changes.changed() => false,
                () = tokio::time::sleep(SAFETY_NET) => false,
            }
        };
        match abide.host().wait(news).await {
            Ok(true) => *pause = Duration::ZERO,
            Ok(false) => {
                tokio::time::sleep(*pause).await;
                *pause = (*pause * 2).clamp(Duration::from_millis(5), LONGEST_PAUSE);
            }
            Err(GivenUp::NothingLeft) => return Err(handle.nothing_left().await),
            Err(GivenUp::Endless(endless)) => return Err(endless.into()),
            Err(GivenUp::Standstill(standstill)) => return Err(standstill.into()),
        }
        Ok(())
    }
}

fn item<T: DeserializeOwned>(row: StreamRow, offset: StreamOffset) -> Result<StreamItem<T>> {
    let value = Payload::from_json(row.body)?.decode()?;
    Ok(StreamItem { value, offset, at: timestamp(row.at_ms), attempt: row.attempt })
}

impl<T> fmt::Debug for StreamReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader").field("id", &self.handle.id()).field("stream", &self.stream).finish()
    }
}
