//! Signal, cancel, terminate: messages that are durable when their await returns. Each has its own request
//! id.

use super::execution::TypeCheck;
use super::{UntypedHandle, check_request_id, user_connection};
use crate::activity::TransactionConnection;
use crate::error::{Error, Result};
use crate::future::BoxFuture;
use crate::store::{MessageKind, NewMessage, SendAnswer, StoreError};
use crate::wire::{CancelBody, SignalBody, to_json};
use abide_core::{Event, ExecutionId, Payload, PayloadError, bounded};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A message to an execution: a future that is ready when the message is durable.
///
/// ```
/// # async fn demo(order: abide::UntypedHandle) -> abide::Result<()> {
/// order.cancel("customer changed their mind").request_id("ticket-17").await?;
/// order.cancel("customer changed their mind").request_id("ticket-17").await?; // does nothing more
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until it is awaited"]
pub struct Request {
    /// `None` after the first poll.
    parts: Option<Box<Parts>>,
    sending: BoxFuture<'static, Result<()>>,
}

impl UntypedHandle {
    /// Asks the execution to stop: the workflow's future is dropped at its await, shielded blocks finish,
    /// compensations run, and it closes as cancelled. The request is durable when the await returns; the
    /// execution may still be open then.
    pub fn cancel(&self, reason: impl Into<String>) -> Request {
        Request::cancel(self.clone(), reason.into())
    }

    /// Ends the execution at once. No workflow code runs, and nothing is compensated.
    pub fn terminate(&self, reason: impl Into<String>) -> Request {
        Request::terminate(self.clone(), reason.into())
    }
}

struct Parts {
    to: UntypedHandle,
    what: What,
    request_id: Option<String>,
}

enum What {
    Signal { name: &'static str, input: std::result::Result<Payload, PayloadError>, check: TypeCheck },
    Cancel { reason: String },
    Terminate { reason: String },
}

impl Request {
    fn new(to: UntypedHandle, what: What) -> Self {
        let parts = Some(Box::new(Parts { to, what, request_id: None }));
        Self { parts, sending: Box::pin(std::future::pending()) }
    }

    pub(super) fn signal(
        to: UntypedHandle,
        name: &'static str,
        input: std::result::Result<Payload, PayloadError>,
        check: TypeCheck,
    ) -> Self {
        Self::new(to, What::Signal { name, input, check })
    }

    fn cancel(to: UntypedHandle, reason: String) -> Self {
        Self::new(to, What::Cancel { reason })
    }

    fn terminate(to: UntypedHandle, reason: String) -> Self {
        Self::new(to, What::Terminate { reason })
    }

    /// Sets the request id of this message. A message that is sent again under the same id has no further
    /// effect. Default: a fresh UUIDv7.
    pub fn request_id(mut self, request_id: impl AsRef<str>) -> Self {
        if let Some(parts) = &mut self.parts {
            parts.request_id = Some(request_id.as_ref().to_owned());
        }
        self
    }

    /// Sends the message inside your own transaction, on abide's database: it is sent exactly if you commit.
    /// For signals and cancellations.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # async fn demo(order: abide::UntypedHandle, pool: sqlx::SqlitePool) -> Result<(), abide::Failure> {
    /// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?; // on Postgres: `pool.begin()`
    /// sqlx::query("UPDATE orders SET refunded = true WHERE id = 42").execute(&mut *tx).await?;
    /// order.cancel("refunded").within(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of sending; `AB0418` for a terminate; `AB0516` if the connection is of another database;
    /// `AB0515` if other transactions were in the way. After an error, your transaction contains nothing of
    /// the message.
    pub fn within<'c, C: TransactionConnection>(
        mut self,
        connection: &'c mut C,
    ) -> BoxFuture<'c, Result<()>> {
        Box::pin(async move {
            // The first poll takes the parts, and this was never polled: `within` takes it by value.
            let Some(parts) = self.parts.take() else { return Ok(()) };
            let (to, message) = parts.message().await?;
            let mut message = message.ok_or(Error::NotWithin)?;
            let (store, request_id) = (to.client.abide.store(), message.request_id.clone());
            let of = |error| Error::of_request(error, &request_id);
            let sent = store.send_within(user_connection(connection)?, message.clone()).await;
            let mut answer = sent.map_err(of)?;
            // A run that your transaction has started is in no other one: only what has closed is looked up.
            if answer == SendAnswer::Closed
                && to.bound().is_some()
                && let Some(next) = gone_on(&to, message.execution).await?
            {
                message.execution = next;
                answer = store.send_within(user_connection(connection)?, message).await.map_err(of)?;
            }
            taken(&to, answer)
        })
    }
}

impl Future for Request {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(parts) = self.parts.take() {
            self.sending = Box::pin(parts.send());
        }
        self.sending.as_mut().poll(cx)
    }
}

impl Parts {
    async fn send(self: Box<Self>) -> Result<()> {
        self.to.client.abide.outside()?;
        if let What::Terminate { reason } = self.what {
            let request_id = self.request_id.unwrap_or_else(|| self.to.client.abide.host().fresh_id());
            check_request_id(&request_id)?;
            return terminate(&self.to, request_id, reason).await;
        }
        match self.message().await? {
            (to, Some(message)) => deliver(&to, message).await,
            (_, None) => Ok(()),
        }
    }

    /// The message for the inbox. A terminate has none.
    async fn message(self: Box<Self>) -> Result<(UntypedHandle, Option<NewMessage>)> {
        let Self { to, what, request_id } = *self;
        let request_id = request_id.unwrap_or_else(|| to.client.abide.host().fresh_id());
        check_request_id(&request_id)?;
        let (execution, kind, body) = match what {
            What::Signal { name, input, check } => {
                let body = to_json(&SignalBody { name: name.to_owned(), input: input? });
                (to.locate_as(check).await?, MessageKind::Signal, body)
            }
            What::Cancel { reason } => {
                let body = to_json(&CancelBody { reason: bounded(reason) });
                (to.sends_to().await?, MessageKind::Cancel, body)
            }
            What::Terminate { .. } => return Ok((to, None)),
        };
        let at_ms = to.client.abide.store().now_ms();
        Ok((to, Some(NewMessage { execution, kind, request_id, body, at_ms })))
    }
}

/// How often a message looks for the open run of a chain whose runs go on one after the other.
pub(super) const LOOKS: u32 = 8;

/// Sends to the open run of a chain: what meets a run that has gone on looks again (PROTOCOL 64).
async fn deliver(to: &UntypedHandle, mut message: NewMessage) -> Result<()> {
    for _ in 0..LOOKS {
        match deliver_once(to, message.clone()).await {
            Err(Error::ExecutionClosed { workflow_id }) => {
                let Some(next) = gone_on(to, message.execution).await? else {
                    return Err(Error::ExecutionClosed { workflow_id });
                };
                message.execution = next;
            }
            sent => return sent,
        }
    }
    Err(always_gone(to))
}

/// The newest run of the chain of this run, if that is another one, or open by now.
pub(super) async fn gone_on(to: &UntypedHandle, execution: ExecutionId) -> Result<Option<ExecutionId>> {
    let row = to.newest().await?;
    Ok((row.id != execution || row.status.is_open()).then_some(row.id))
}

pub(super) fn always_gone(to: &UntypedHandle) -> Error {
    let message = format!("`{}` has gone on as a new run at each of {LOOKS} looks", to.id());
    StoreError::Conflicting { message }.into()
}

/// Delivers through memory to an owner in this process, otherwise to the inbox.
async fn deliver_once(to: &UntypedHandle, message: NewMessage) -> Result<()> {
    let (store, hub) = (to.client.abide.store(), to.client.abide.hub());
    let (execution, request_id) = (message.execution, message.request_id.clone());
    if let Some(owner) = hub.owner_of(execution) {
        match owner.message(message.clone()).await {
            Ok(Some(())) => return Ok(()),
            Ok(None) => {}
            Err(error) if error.is_fenced() => {}
            Err(error) => return Err(error),
        }
    }
    let answer = store.send(message).await.map_err(|error| Error::of_request(error, &request_id))?;
    taken(to, answer)?;
    hub.wake_workers();
    Ok(())
}

/// Ends the open run of a chain.
async fn terminate(to: &UntypedHandle, request_id: String, reason: String) -> Result<()> {
    let event = Event::Terminated { reason: bounded(reason) };
    let mut execution = to.sends_to().await?;
    for _ in 0..LOOKS {
        match terminate_once(to, execution, request_id.clone(), event.clone()).await {
            Err(Error::ExecutionClosed { workflow_id }) => match gone_on(to, execution).await? {
                Some(next) => execution = next,
                None => return Err(Error::ExecutionClosed { workflow_id }),
            },
            ended => return ended,
        }
    }
    Err(always_gone(to))
}

async fn terminate_once(
    to: &UntypedHandle,
    execution: ExecutionId,
    request_id: String,
    event: Event,
) -> Result<()> {
    let (store, hub) = (to.client.abide.store(), to.client.abide.hub());
    let written = store.terminate(execution, request_id.clone(), to_json(&event)).await;
    let answer = written.map_err(|error| Error::of_request(error, &request_id))?;
    taken(to, answer)?;
    if answer == SendAnswer::Sent {
        hub.closed(execution, || Arc::new(event));
        hub.wake_workers();
    }
    Ok(())
}

fn taken(to: &UntypedHandle, answer: SendAnswer) -> Result<()> {
    match answer {
        SendAnswer::Sent | SendAnswer::Known => Ok(()),
        SendAnswer::Closed => Err(Error::ExecutionClosed { workflow_id: to.id().to_owned() }),
        SendAnswer::NoSuchExecution => Err(Error::NoSuchExecution { id: to.id().to_owned() }),
    }
}
