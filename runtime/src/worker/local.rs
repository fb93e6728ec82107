//! The worker as the clients of its process use it, without the detour through the store.

use super::mailbox::{Message, Read};
use super::session::Session;
use super::{inbox, query};
use crate::error::Result;
use crate::future::BoxFuture;
use crate::hub::LocalWorker;
use crate::store::{NewExecution, NewMessage, StartAnswer};
use crate::wire::AwaitPosition;
use crate::wire::QueryAnswer;
use abide_core::{ExecutionId, Payload};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// A session as the hub knows it.
pub(super) struct Local(pub(super) Arc<Session>);

impl LocalWorker for Local {
    fn queue(&self) -> &str {
        &self.0.queue
    }

    fn build(&self) -> (&str, Duration) {
        (&self.0.options.build, self.0.since.elapsed())
    }

    fn serves(&self, workflow_type: &str) -> bool {
        self.0.registry.workflow_type(workflow_type).is_some()
    }

    fn owns(&self, execution: ExecutionId) -> bool {
        self.0.owns(execution)
    }

    fn start(&self, new: NewExecution) -> BoxFuture<'_, Result<Option<StartAnswer>>> {
        Box::pin(async move {
            if self.0.draining.load(Ordering::Acquire) {
                return Ok(None);
            }
            let (reply, answer) = oneshot::channel();
            let thread = self.0.home_of(new.id);
            if thread.send(Message::Start { new: Box::new(new), reply }).is_err() {
                return Ok(None);
            }
            // A thread that ends or is written off drops the reply. No caller was told of a write then, so
            // the caller may ask again.
            tokio::select! {
                biased;
                answer = answer => answer.unwrap_or(Ok(None)),
                () = thread.gone.cancelled() => Ok(None),
            }
        })
    }

    fn message(&self, message: NewMessage) -> BoxFuture<'_, Result<Option<()>>> {
        Box::pin(async move {
            // Messages that the same sender put into the inbox earlier must be taken in first.
            if self.0.inbox_dirty.load(Ordering::Acquire) {
                inbox::drain(&self.0).await?;
            }
            let Some(thread) = self.0.owner_thread(message.execution) else { return Ok(None) };
            let (reply, answer) = oneshot::channel();
            if thread.send(Message::Send { message, reply }).is_err() {
                return Ok(None);
            }
            tokio::select! {
                biased;
                answer = answer => answer.unwrap_or(Ok(None)),
                () = thread.gone.cancelled() => Ok(None),
            }
        })
    }

    fn query<'a>(
        &'a self,
        execution: ExecutionId,
        name: &'a str,
        input: Payload,
    ) -> BoxFuture<'a, Result<Option<QueryAnswer>>> {
        Box::pin(query::query(&self.0, execution, name, input))
    }

    fn awaiting(&self, execution: ExecutionId) -> BoxFuture<'_, Result<Option<Vec<AwaitPosition>>>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let read = Message::Read { execution, read: Read::Awaiting { reply } };
            let Some(thread) = self.0.owner_thread(execution) else {
                return query::awaiting_of_nobody(&self.0, execution).await;
            };
            if thread.send(read).is_err() {
                return Ok(None);
            }
            let sites = tokio::select! {
                biased;
                answer = answer => answer.ok().flatten(),
                () = thread.gone.cancelled() => None,
            };
            Ok(sites.map(|sites| query::positions(&sites)))
        })
    }

    #[cfg(feature = "testing")]
    fn keeps(&self) -> Vec<(&'static str, usize)> {
        self.0.keeps()
    }

    fn wake(&self) {
        self.0.inbox_dirty.store(true, Ordering::Release);
        self.0.look_for_work();
        self.0.inbox_hint.notify_one();
    }
}
