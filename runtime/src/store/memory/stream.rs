//! Streams (see `store/stream.rs`). The statements of `postgres/stream.rs`.

use super::locks::{Key, Mode};
use super::session::Failure;
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::tables::{Stream, StreamItem, StreamName};
use super::write::Write;
use crate::store::decide::Notify;
use crate::store::stream::{MOST_BYTES, MOST_ITEMS, Publication, StreamPart};
use crate::store::{
    Append, NewItem, PublishedNews, READ_BYTES, READ_ITEMS, StoreError, StoreFuture, StreamRow, Streams,
};
use abide_core::{ExecutionId, Incarnation};

/// Publishes the items of those appends that are in.
pub(super) fn publish_all(
    st: &mut Statement<'_>,
    appends: &[&Append],
    is_in: impl Fn(&Append) -> bool,
) -> Looked<()> {
    let mut publication = Publication::default();
    appends.iter().filter(|append| is_in(append)).for_each(|append| append.publish_to(&mut publication));
    write(st, &publication)
}

fn write(st: &mut Statement<'_>, publication: &Publication<'_>) -> Looked<()> {
    for ((execution, name), part) in &publication.streams {
        write_part(st, (*execution, (*name).to_owned()), part)?;
    }
    Ok(())
}

fn write_part(st: &mut Statement<'_>, of: StreamName, part: &StreamPart<'_>) -> Looked<()> {
    st.lock(Key::Stream(of.0, of.1.clone()), Mode::Update)?;
    let before = st.tables.streams.get(&of).copied().unwrap_or(Stream { next_seq: 1, bytes: 0 });
    let after = Stream { next_seq: before.next_seq + part.count(), bytes: before.bytes + part.bytes };
    st.write(Write::Stream(of.clone(), after));
    for placed in part.placed() {
        let NewItem { at_ms, attempt, body, .. } = placed.item;
        let row = StreamRow {
            seq: after.next_seq - placed.back,
            at_ms: *at_ms,
            attempt: *attempt,
            body: body.clone(),
        };
        let begins = after.bytes - placed.bytes;
        st.write(Write::StreamItem(of.clone(), Box::new(StreamItem { row, begins })));
    }
    // As the statement, which does not see what it inserts itself.
    let tables = st.tables;
    let old = || tables.items_of(&of, 0);
    let kept = old().find(|item| item.begins >= after.bytes - MOST_BYTES);
    let first = kept.map_or(after.next_seq, |item| item.row.seq).max(after.next_seq - MOST_ITEMS);
    for item in old().take_while(|item| item.row.seq < first) {
        st.write(Write::StreamItemGone(of.clone(), item.row.seq));
    }
    Ok(())
}

/// `None`: the lease is gone. False: the run has closed.
pub(super) fn publish(
    st: &mut Statement<'_>,
    owner: Incarnation,
    execution: ExecutionId,
    items: &[NewItem],
) -> Looked<Option<bool>> {
    if !st.fence(owner)? {
        return Ok(None);
    }
    if st.tables.open(execution).is_none() {
        return Ok(Some(false));
    }
    let mut publication = Publication::default();
    publication.add(execution, owner, false, items);
    write(st, &publication).map(|()| Some(true))
}

impl Streams for MemoryStore {
    fn publish(
        &self,
        owner: Incarnation,
        execution: ExecutionId,
        items: Vec<NewItem>,
    ) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let published = self.once("publish", move |session| {
                Box::pin(async move {
                    let published = session.run(|st| publish(st, owner, execution, &items)).await?;
                    published.ok_or(Failure::Refused(StoreError::Fenced))
                })
            });
            if published.await? {
                self.shared.notify_readers(execution);
            }
            Ok(())
        })
    }

    fn stream_items(
        &self,
        execution: ExecutionId,
        stream: String,
        after: i64,
    ) -> StoreFuture<'_, Vec<StreamRow>> {
        Box::pin(self.seen("stream_items", move |st| {
            let of = (execution, stream.clone());
            let first = st.tables.items_of(&of, after).next().map_or(0, |item| item.begins);
            let items = st.tables.items_of(&of, after).take_while(|item| item.begins < first + READ_BYTES);
            items.take(READ_ITEMS as usize).map(|item| item.row.clone()).collect::<Vec<_>>()
        }))
    }

    fn published(&self) -> PublishedNews {
        self.shared.readers.listen()
    }
}
