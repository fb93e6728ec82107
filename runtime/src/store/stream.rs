//! Streams: items that a run publishes for readers outside.
//!
//! The items of a workflow ride in the append of its turn. Those of an activity are written by a statement of their
//! own, fenced by the lease of the worker that runs the attempt. Both take the next numbers of the stream under a lock
//! on its row, held to the commit: numbers have no gap, and a reader never sees an item before one with a lower number.
//!
//! The newest [`MOST_ITEMS`] items or [`MOST_BYTES`] of a stream are kept, whichever is less. Each statement that
//! publishes deletes what is beyond. `begins`, the bytes before an item, says where the cut is without a look at what
//! stays.

use super::error::StoreFuture;
use abide_core::exec::Turn;
use abide_core::{ExecutionId, Incarnation};
use std::collections::BTreeMap;
use tokio::sync::broadcast;

/// How many items of a stream are kept.
#[cfg_attr(not(feature = "testing"), allow(dead_code))] // SQL has it below
pub(crate) const MOST_ITEMS: i64 = 10_000;

/// How many bytes of items of a stream are kept.
#[cfg_attr(not(feature = "testing"), allow(dead_code))] // SQL has it below
pub(crate) const MOST_BYTES: i64 = 16 * 1024 * 1024;

/// The two, as SQL has them.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! most_items {
    () => {
        "10000"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! most_bytes {
    () => {
        "16777216"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use {most_bytes, most_items};

/// How many items one read gives at most, and beyond how many bytes it gives no further one.
pub(crate) const READ_ITEMS: i64 = 256;
pub(crate) const READ_BYTES: i64 = 1024 * 1024;

/// An item to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewItem {
    /// The stream's name.
    pub(crate) stream: String,
    /// When it was published.
    pub(crate) at_ms: i64,
    /// The attempt of the activity that publishes it; `None`: the workflow does.
    pub(crate) attempt: Option<u32>,
    /// JSON.
    pub(crate) body: String,
}

impl NewItem {
    /// How many bytes of text it has.
    pub(crate) fn bytes(&self) -> usize {
        self.stream.len() + self.body.len()
    }

    /// The items of a turn.
    pub(crate) fn of(turn: &Turn) -> Vec<Self> {
        let item = |item: &abide_core::PublishedItem| Self {
            stream: item.stream.clone(),
            at_ms: turn.at_ms,
            attempt: None,
            body: item.body.as_json().to_owned(),
        };
        turn.published.iter().map(item).collect()
    }
}

/// A published item as readers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRow {
    /// Its number in its stream, from 1.
    pub(crate) seq: i64,
    /// [`NewItem::at_ms`].
    pub(crate) at_ms: i64,
    /// [`NewItem::attempt`].
    pub(crate) attempt: Option<u32>,
    /// [`NewItem::body`].
    pub(crate) body: String,
}

/// Streams of runs.
pub(crate) trait Streams: Send + Sync {
    /// Publishes items of an attempt, in order, fenced like an append. Nothing where the run has closed.
    fn publish(&self, owner: Incarnation, execution: ExecutionId, items: Vec<NewItem>)
    -> StoreFuture<'_, ()>;

    /// The items with a number above `after`, oldest first: as many as one read gives.
    fn stream_items(
        &self,
        execution: ExecutionId,
        stream: String,
        after: i64,
    ) -> StoreFuture<'_, Vec<StreamRow>>;

    /// Tells of runs that have published, in this process or another. It may miss some: readers look by themselves
    /// as well.
    fn published(&self) -> PublishedNews;
}

/// Tells the readers of this process of runs that have published.
pub(crate) struct Readers(broadcast::Sender<ExecutionId>);

/// How many runs are remembered for a reader that is slow to listen. Beyond that it looks in any case.
const REMEMBERED: usize = 256;

impl Default for Readers {
    fn default() -> Self {
        Self(broadcast::Sender::new(REMEMBERED))
    }
}

impl Readers {
    /// This run has published.
    pub(crate) fn tell(&self, execution: ExecutionId) {
        // An error says that no reader is there.
        drop(self.0.send(execution));
    }

    /// Each run may have published.
    pub(crate) fn tell_all(&self) {
        self.tell(ANY);
    }

    pub(crate) fn listen(&self) -> PublishedNews {
        PublishedNews(self.0.subscribe())
    }
}

/// Stands for all runs. No run has this id.
const ANY: ExecutionId = ExecutionId(i64::MIN);

/// See [`Streams::published`].
pub(crate) struct PublishedNews(broadcast::Receiver<ExecutionId>);

impl PublishedNews {
    /// Waits until the run may have published.
    pub(crate) async fn of(&mut self, execution: ExecutionId) {
        loop {
            match self.0.recv().await {
                Ok(published) if published == execution || published == ANY => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The store is gone: nothing will be told.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// What one statement publishes, with each item's place counted from the end of its stream's new items: the statement
/// knows the end, by the row that it has locked.
#[derive(Debug, Default)]
pub(crate) struct Publication<'a> {
    /// By execution and name, in the order of the locks.
    pub(crate) streams: BTreeMap<(ExecutionId, &'a str), StreamPart<'a>>,
}

/// The new items of one stream.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code))] // SQLite finds owner and start by itself
pub(crate) struct StreamPart<'a> {
    pub(crate) items: Vec<&'a NewItem>,
    pub(crate) bytes: i64,
    /// The lease that fences them.
    pub(crate) owner: i64,
    /// The append also makes the run: without it, nothing is published.
    pub(crate) starts: bool,
}

/// One item of a [`StreamPart`], with what comes after it there.
pub(crate) struct Placed<'a> {
    pub(crate) item: &'a NewItem,
    /// How many items of the statement come from this one on.
    pub(crate) back: i64,
    /// Their bytes.
    pub(crate) bytes: i64,
}

impl<'a> Publication<'a> {
    /// Adds the items of one run.
    pub(crate) fn add(
        &mut self,
        execution: ExecutionId,
        owner: Incarnation,
        starts: bool,
        items: &'a [NewItem],
    ) {
        for item in items {
            let part = self.streams.entry((execution, &item.stream)).or_default();
            (part.owner, part.starts) = (owner.0, starts);
            part.bytes += length(item);
            part.items.push(item);
        }
    }
}

impl StreamPart<'_> {
    pub(crate) fn count(&self) -> i64 {
        self.items.len() as i64
    }

    pub(crate) fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        let mut left = self.bytes;
        self.items.iter().zip((1..=self.count()).rev()).map(move |(item, back)| {
            let bytes = left;
            left -= length(item);
            Placed { item, back, bytes }
        })
    }
}

fn length(item: &NewItem) -> i64 {
    item.body.len() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::exec::{Execution, Input, WorkflowType};
    use abide_core::flow::{Info, publish, sleep};
    use abide_core::{JournalRow, Payload, Sel, Site, Slot, WorkflowDef, guard};
    use std::rc::Rc;

    #[test]
    fn sql_has_the_limits() {
        assert_eq!((most_items!(), most_bytes!()), (&*MOST_ITEMS.to_string(), &*MOST_BYTES.to_string()));
    }

    #[test]
    fn places_are_counted_from_the_end() {
        let item = |stream: &str, body: &str| NewItem {
            stream: stream.to_owned(),
            at_ms: 1,
            attempt: None,
            body: body.to_owned(),
        };
        let items = [item("b", "1"), item("a", "22"), item("b", "333")];
        let mut publication = Publication::default();
        publication.add(ExecutionId(7), Incarnation(1), false, &items);
        let places: Vec<_> = publication
            .streams
            .iter()
            .flat_map(|((_, name), part)| part.placed().map(move |p| (*name, p.back, p.bytes)))
            .collect();
        assert_eq!(places, [("a", 1, 2), ("b", 2, 4), ("b", 1, 3)]);
    }

    struct Tells;

    static SITE: Site = Site { file: "stream.rs", line: 1, column: 1, text: "a sleep" };

    impl WorkflowDef for Tells {
        const NAME: &'static str = "tells";
        type State = ();
        type Args = ();
        type Returned = u32;
        type Outcome = Sel<u32, false>;

        fn init() {}

        async fn run(_: Slot<()>, (): ()) -> u32 {
            publish("s", "before").unwrap();
            guard(sleep(std::time::Duration::from_secs(1)), &SITE).await;
            publish("s", "after").unwrap();
            7
        }
    }

    fn bodies(turn: &Turn) -> Vec<String> {
        NewItem::of(turn).into_iter().map(|item| item.body).collect()
    }

    #[test]
    fn a_replay_publishes_nothing_again() {
        #[cfg(all(feature = "mutants", feature = "postgres"))]
        crate::store::postgres::permutations::mutants::let_live_by_environment();
        let fresh = || {
            let info = Info::new("w".to_owned(), "r".to_owned(), "tells".to_owned(), "q".to_owned());
            Execution::new(&WorkflowType::of::<Tells>(), info, Rc::new(|_: &str| true))
        };
        let start = Input::Start { input: Payload::null(), seed: 1, context: Box::default() };
        let first = fresh().turn(vec![start], 1_000);
        assert_eq!(bodies(&first), ["\"before\""]);
        let mut again = fresh();
        again.replay(vec![JournalRow { seq: first.seq, at_ms: first.at_ms, events: first.events }]);
        assert_eq!(bodies(&again.turn(Vec::new(), 3_000)), ["\"after\""]);
    }

    #[tokio::test]
    async fn a_reader_hears_of_its_run_and_looks_if_it_was_slow() {
        let readers = Readers::default();
        let mut news = readers.listen();
        readers.tell(ExecutionId(1));
        readers.tell(ExecutionId(2));
        news.of(ExecutionId(2)).await;
        readers.tell_all();
        news.of(ExecutionId(3)).await;
        (0..1_000).for_each(|id| readers.tell(ExecutionId(id)));
        news.of(ExecutionId(-5)).await;
    }
}
