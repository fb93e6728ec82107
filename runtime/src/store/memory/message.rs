//! The inbox and replies: messages in, answers out.

use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::write::Write;
use crate::status::ExecutionStatus;
use crate::store::decide::{self, Notify, Receiver};
use crate::store::{
    Inbox, InboxRow, MessageKind, NewMessage, Reply, SendAnswer, StoreError, StoreFuture, request_text,
};
use abide_core::Incarnation;

/// Puts a message into an open execution's inbox, and locks its row lightly: it does not close meanwhile
/// (PROTOCOL 16). A closed one still answers queries. `None`: there is no such receiver; the flag: whether it
/// was not there yet.
fn put(st: &mut Statement<'_>, message: &NewMessage) -> Looked<Option<(Receiver, bool)>> {
    let Some(receiver) = st.tables.executions.get(&message.execution) else { return Ok(None) };
    if !receiver.row.status.is_open() && !message.kind.reaches_closed() {
        return Ok(None);
    }
    st.lock(Key::Execution(message.execution), Mode::KeyShare)?;
    let now = st.now_ms;
    let sent = st.put(message.execution, message.kind, &message.request_id, message.body.clone(), now)?;
    Ok(Some((Receiver { owner: receiver.row.owner, queue: receiver.row.queue.clone() }, sent)))
}

pub(super) async fn send(
    session: &mut Session,
    message: &NewMessage,
) -> Result<(SendAnswer, Option<Receiver>), Failure> {
    match session.run(|st| put(st, message)).await? {
        Some((receiver, true)) => Ok((SendAnswer::Sent, Some(receiver))),
        Some((_, false)) => Ok((SendAnswer::Known, None)),
        None => Ok((session.run(|st| Ok(not_open(st, message))).await?, None)),
    }
}

/// A closed one may have taken this request in: an event of its journal knows.
fn not_open(st: &Statement<'_>, message: &NewMessage) -> SendAnswer {
    let bodies = st.tables.turns(message.execution).map(|turn| turn.body.as_str());
    let exists = st.tables.executions.contains_key(&message.execution);
    if mutant!(GrepKnown) && exists {
        let text = request_text(&message.request_id);
        return if bodies.into_iter().any(|body| body.contains(&text)) {
            SendAnswer::Known
        } else {
            SendAnswer::Closed
        };
    }
    decide::not_open(exists.then_some(bodies), message)
}

/// Keeps an answer; what is there of the same or a later stage stays. Forgets some of those that have expired.
pub(super) fn keep(st: &mut Statement<'_>, reply: &Reply, now_ms: i64) -> Looked<()> {
    let key = Key::Reply(reply.request_id.clone());
    st.wait(&key, Mode::Update)?;
    let old = st.tables.replies.values().filter(|old| old.expires_at_ms < now_ms).take(100);
    for old in old {
        if old.request_id != reply.request_id && st.try_lock(Key::Reply(old.request_id.clone()), Mode::Update)
        {
            st.write(Write::ReplyGone(old.request_id.clone()));
        }
    }
    if st.tables.replies.get(&reply.request_id).is_none_or(|kept| kept.stage < reply.stage) {
        st.lock(key, Mode::Update)?;
        st.write(Write::Reply(reply.clone()));
    }
    Ok(())
}

fn pop(st: &mut Statement<'_>, request_id: &str) -> Looked<Option<String>> {
    let Some(reply) = st.tables.replies.get(request_id) else { return Ok(None) };
    st.lock(Key::Reply(request_id.to_owned()), Mode::Update)?;
    st.write(Write::ReplyGone(request_id.to_owned()));
    Ok(Some(reply.body.clone()))
}

impl MemoryStore {
    /// Those rows of all inboxes that are not parked.
    async fn rows(
        &self,
        name: &'static str,
        which: impl Fn(&Statement<'_>, &InboxRow) -> bool + Clone + Send + Sync + 'static,
    ) -> Result<Vec<InboxRow>, StoreError> {
        self.seen(name, move |st| st.tables.unparked().filter(|row| which(st, row)).cloned().collect()).await
    }
}

impl Inbox for MemoryStore {
    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer> {
        Box::pin(async move {
            let sent =
                self.once("send", move |session| Box::pin(async move { send(session, &message).await }));
            let (answer, receiver) = sent.await?;
            receiver.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
            Ok(answer)
        })
    }

    fn inbox(&self, owner: Incarnation) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(async move {
            self.rows("inbox", move |st, row| {
                st.tables.executions.get(&row.execution).is_some_and(|to| to.row.owner == Some(owner))
            })
            .await
        })
    }

    fn open_queries(&self, queues: Vec<String>, types: Vec<String>) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(async move {
            let rows = self.rows("open_queries", move |st, row| {
                let to = st.tables.executions.get(&row.execution).map(|to| &to.row);
                let may_answer = to.is_some_and(|to| {
                    to.owner.is_none()
                        && to.status != ExecutionStatus::Running
                        && queues.contains(&to.queue)
                        && types.contains(&to.workflow_type)
                });
                row.kind == MessageKind::Query && may_answer
            });
            let mut rows = rows.await?;
            rows.truncate(100);
            Ok(rows)
        })
    }

    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()> {
        let (now, asker) = (self.shared.now_ms(), reply.asker);
        Box::pin(async move {
            self.once("put_reply", move |session| {
                Box::pin(async move { session.run(|st| keep(st, &reply, now)).await })
            })
            .await?;
            self.shared.notify_asker(asker);
            Ok(())
        })
    }

    fn read_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        Box::pin(async move {
            let read =
                move |st: &Statement<'_>| st.tables.replies.get(&request_id).map(|kept| kept.body.clone());
            self.seen("read_reply", read).await
        })
    }

    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        Box::pin(async move {
            let id = request_id.clone();
            if !self.seen("has_reply", move |st| st.tables.replies.contains_key(&id)).await? {
                return Ok(None);
            }
            self.once("take_reply", move |session| {
                Box::pin(async move { session.run(|st| pop(st, &request_id)).await })
            })
            .await
        })
    }

    fn drop_messages(&self, ids: Vec<i64>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.once("drop_messages", move |session| {
                Box::pin(async move {
                    let delete = |st: &mut Statement<'_>| {
                        let tables = st.tables;
                        ids.iter().filter_map(|id| tables.inbox.get(id)).try_for_each(|row| st.take_out(row))
                    };
                    session.run(delete).await
                })
            })
            .await
        })
    }
}
