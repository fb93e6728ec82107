//! Updates: messages that have an answer.

mod asking;
mod error;
mod start;

pub use error::UpdateError;
pub use start::StartUpdate;

use super::execution::TypeCheck;
use super::handle::{HandleCore, check_type};
use super::request::{LOOKS, always_gone, gone_on};
use super::{UntypedHandle, check_request_id};
use crate::error::Result;
use crate::future::BoxFuture;
use crate::wire::UpdateBody;
use abide_core::{
    ExecutionId, Messages, Payload, PayloadError, Route, UpdateAnswer, UpdateCodec, WorkflowDef,
};
use asking::{Asking, Settled, answer};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An update on its way: a future that is ready when the handler has returned. Nothing is sent before its
/// first poll.
///
/// ```
/// # #[cfg(feature = "sqlite")] mod demo {
/// use abide::prelude::*;
///
/// #[derive(Default)]
/// struct Cart {
///     items: Vec<String>,
/// }
///
/// #[workflow]
/// impl Cart {
///     #[run]
///     async fn run(&mut self) {
///         workflow::until!(self.items.len() >= 3).await;
///     }
///
///     #[update(validate = Self::may_add)]
///     fn add(&mut self, item: String) -> Result<u64, Failure> {
///         self.items.push(item);
///         Ok(self.items.len() as u64)
///     }
///
///     fn may_add(&self, item: &str) -> Result<(), Failure> {
///         if item.is_empty() { Err(Failure::new("an item has a name")) } else { Ok(()) }
///     }
/// }
///
/// async fn demo(cart: Handle<Cart>) -> Result<(), Failure> {
///     let items: u64 = cart.add("tea".into()).await?; // its handler has run
///     let update = cart.add("milk".into()).request_id("r-17").accepted().await?; // durable, perhaps not done
///     let items = update.result().await?;
///     let again = cart.updates().add("r-17").result().await?; // any process, later: the same answer
///     Ok(())
/// }
/// # }
/// ```
#[must_use = "nothing is sent until it is awaited"]
pub struct Update<A: UpdateAnswer> {
    /// `None` after the first poll.
    parts: Option<Box<Parts<A>>>,
    sending: BoxFuture<'static, std::result::Result<A::Ok, UpdateError<A::Err>>>,
}

struct Parts<A: UpdateAnswer> {
    to: UntypedHandle,
    check: TypeCheck,
    name: &'static str,
    input: std::result::Result<Payload, PayloadError>,
    request_id: Option<String>,
    codec: &'static UpdateCodec<A>,
}

impl<A: UpdateAnswer> Update<A> {
    /// Sets the request id of this update. An execution accepts an id once: an update that is sent again
    /// under the same id runs nothing and has the answer of the first. Default: a fresh UUIDv7.
    pub fn request_id(mut self, request_id: impl AsRef<str>) -> Self {
        if let Some(parts) = &mut self.parts {
            parts.request_id = Some(request_id.as_ref().to_owned());
        }
        self
    }

    /// Waits until the update is accepted and durable, and not for its handler. Its handler then runs, through
    /// crashes and restarts. [`UpdateHandle::result`] waits for the answer.
    #[allow(clippy::manual_async_fn)] // It says that it is `Send`, whatever the update gives.
    pub fn accepted(
        self,
    ) -> impl Future<Output = std::result::Result<UpdateHandle<A>, UpdateError<A::Err>>> + Send + use<A> {
        async move {
            // The first poll takes the parts, and this was never polled: `accepted` takes it by value.
            let Some(parts) = self.parts else { return Err(UpdateError::Closed) };
            let codec = parts.codec;
            let (handle, settled) = parts.send(false).await?;
            match settled {
                Settled::Accepted | Settled::Ended(_) => Ok(handle),
                other => answer(codec, other).and_then(|_| Err(UpdateError::Closed)),
            }
        }
    }
}

impl<A: UpdateAnswer> Future for Update<A> {
    type Output = std::result::Result<A::Ok, UpdateError<A::Err>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(parts) = self.parts.take() {
            let codec = parts.codec;
            self.sending = Box::pin(async move {
                let settled = parts.send(true).await.map(|(_, settled)| settled);
                settled.map_err(UpdateError::Client).and_then(|settled| answer(codec, settled))
            });
        }
        self.sending.as_mut().poll(cx)
    }
}

impl<A: UpdateAnswer> Parts<A> {
    async fn send(self: Box<Self>, to_the_end: bool) -> Result<(UpdateHandle<A>, Settled)> {
        let Self { to, check, name, input, request_id, codec } = *self;
        let update_id = request_id.unwrap_or_else(|| to.client.abide.host().fresh_id());
        check_request_id(&update_id)?;
        to.client.abide.outside()?;
        let run = to.locate_as(check).await?;
        let body = UpdateBody { update_id, name: name.to_owned(), input: Some(input?), asker: None };
        Asked { to, check, name, codec }.settle(run, body, None, to_the_end).await
    }
}

/// An update that waits for its answer.
struct Asked<A: UpdateAnswer> {
    to: UntypedHandle,
    check: TypeCheck,
    name: &'static str,
    codec: &'static UpdateCodec<A>,
}

impl<A: UpdateAnswer> Asked<A> {
    /// Asks until it is settled. `ask`: the id of the ask that went with the start of the run.
    async fn settle(
        self,
        mut run: ExecutionId,
        body: UpdateBody,
        ask: Option<Arc<str>>,
        to_the_end: bool,
    ) -> Result<(UpdateHandle<A>, Settled)> {
        let Self { to, check, name, codec } = self;
        let mut asking = Asking::of(&to, run, body.clone(), ask);
        // What a run has not taken in when it goes on is in the inbox of the next one, and is asked for there.
        for _ in 0..LOOKS {
            let settled = asking.settle(to_the_end).await?;
            match (&settled, gone_on(&to, run).await) {
                (Settled::Closed, Ok(Some(next))) => run = next,
                _ => {
                    let (run, update_id) = (Some(run), body.update_id);
                    return Ok((UpdateHandle { to, check, name, run, update_id, ask: None, codec }, settled));
                }
            }
            asking = Asking::of(&to, run, body.clone(), None);
        }
        Err(always_gone(&to))
    }
}

/// An update that was sent: it waits for the answer, in any process.
pub struct UpdateHandle<A: UpdateAnswer> {
    to: UntypedHandle,
    check: TypeCheck,
    name: &'static str,
    /// The run that accepted it, if that is known.
    run: Option<ExecutionId>,
    update_id: String,
    /// The id of the ask that went with the start of the run, if what became of it is not known.
    ask: Option<Arc<str>>,
    codec: &'static UpdateCodec<A>,
}

impl<A: UpdateAnswer> UpdateHandle<A> {
    /// The request id of the update.
    pub fn request_id(&self) -> &str {
        &self.update_id
    }

    /// Waits until the handler has returned. [`UpdateError::Unknown`] if the run has accepted no update of
    /// this id.
    pub fn result(
        &self,
    ) -> impl Future<Output = std::result::Result<A::Ok, UpdateError<A::Err>>> + Send + use<A> {
        let (to, check, run, codec) = (self.to.clone(), self.check, self.run, self.codec);
        let (update_id, name, ask) = (self.update_id.clone(), self.name.to_owned(), self.ask.clone());
        async move {
            let asked = async {
                check_request_id(&update_id)?;
                to.client.abide.outside()?;
                let run = match run {
                    Some(run) => run,
                    None => to.locate_as(check).await?,
                };
                let body = UpdateBody { update_id, name, input: None, asker: None };
                Asking::of(&to, run, body, ask).settle(true).await
            };
            let settled = asked.await.map_err(UpdateError::Client);
            settled.and_then(|settled| answer(codec, settled))
        }
    }
}

impl<A: UpdateAnswer> Clone for UpdateHandle<A> {
    fn clone(&self) -> Self {
        let Self { to, check, name, run, update_id, ask, codec } = self;
        let (to, update_id, ask) = (to.clone(), update_id.clone(), ask.clone());
        Self { to, check: *check, name, run: *run, update_id, ask, codec }
    }
}

impl<A: UpdateAnswer> fmt::Debug for UpdateHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateHandle")
            .field("of", &self.to.id())
            .field("request_id", &self.update_id)
            .finish()
    }
}

/// The route to updates that were sent before, by their request ids.
pub enum ById {}

impl Route for ById {
    type Core<W: WorkflowDef> = UpdatesCore<W>;
}

/// The updates of a workflow as methods that take a request id; see [`HandleCore::updates`].
pub struct Updates<W: Messages<ById>> {
    methods: <W as Messages<ById>>::Methods,
}

impl<W: Messages<ById>> Deref for Updates<W> {
    type Target = <W as Messages<ById>>::Methods;

    fn deref(&self) -> &Self::Target {
        &self.methods
    }
}

/// For generated code.
pub struct UpdatesCore<W> {
    to: UntypedHandle,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDef> UpdatesCore<W> {
    /// For generated code: the update of this request id.
    #[doc(hidden)]
    pub fn by_id<A: UpdateAnswer>(
        &self,
        request_id: impl AsRef<str>,
        codec: &'static UpdateCodec<A>,
    ) -> UpdateHandle<A> {
        let update_id = request_id.as_ref().to_owned();
        let (to, check) = (self.to.clone(), check_type::<W>);
        UpdateHandle { to, check, name: "", run: None, update_id, ask: None, codec }
    }
}

impl<W: WorkflowDef> HandleCore<W> {
    /// The updates that were sent before, as methods that take the request id:
    /// `handle.updates().add("r-17").result().await?`. It works in any process, also after a restart.
    pub fn updates(&self) -> Updates<W>
    where
        W: Messages<ById>,
    {
        let core = UpdatesCore { to: self.untyped.clone(), workflow: PhantomData };
        Updates { methods: <W as Messages<ById>>::methods(core) }
    }

    /// For generated code: sends an update.
    #[doc(hidden)]
    pub fn update_with<A: UpdateAnswer>(
        &self,
        name: &'static str,
        input: std::result::Result<Payload, PayloadError>,
        codec: &'static UpdateCodec<A>,
    ) -> Update<A> {
        let (to, check) = (self.untyped.clone(), check_type::<W> as TypeCheck);
        let parts = Parts { to, check, name, input, request_id: None, codec };
        Update { parts: Some(Box::new(parts)), sending: Box::pin(std::future::pending()) }
    }
}
