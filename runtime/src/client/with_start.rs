//! Signal with start and update with start: messages that go with a start, in one atomic step (PROTOCOL 49).

use super::first::Sent;
use super::update::StartUpdate;
use super::{Start, WorkflowHandle};
use abide_core::{
    Messages, Payload, PayloadError, Route, SignalRoute, UpdateAnswer, UpdateCodec, WorkflowDef,
};
use std::marker::PhantomData;
use std::ops::Deref;

/// The route of a start: signals and updates that go with it.
pub enum WithStart {}

impl Route for WithStart {
    type Core<W: WorkflowDef> = OpeningCore<W>;
}

impl SignalRoute for WithStart {
    type Signal<W: WorkflowDef> = OpeningSignal<W>;

    fn signal<W: WorkflowDef>(
        _: &OpeningCore<W>,
        name: &'static str,
        input: std::result::Result<Payload, PayloadError>,
    ) -> OpeningSignal<W> {
        OpeningSignal { message: Sent { name, input, request_id: None }, workflow: PhantomData }
    }
}

impl<W: WorkflowHandle> Start<W> {
    /// Sends a message together with the start, in one atomic step: signal with start, update with start. If the start
    /// makes a run, the run takes the message in before its `run` is first polled, and before all messages that are
    /// sent to it. If an open run has the id, the message goes to that run, unless
    /// [`id_conflict_policy`](Self::id_conflict_policy) says otherwise. A start that is refused sends nothing.
    ///
    /// The closure calls one signal or update of the workflow on its argument. With a signal, this returns the start
    /// again: call `with` again for further messages. With an update, it returns a [`StartUpdate`], which gives the
    /// answer of the update; its start takes no more options.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] mod demo {
    /// use abide::prelude::*;
    ///
    /// #[derive(Default)]
    /// struct Cart {
    ///     items: Vec<String>,
    ///     closed: bool,
    /// }
    ///
    /// #[workflow]
    /// impl Cart {
    ///     #[run]
    ///     async fn run(&mut self, customer: u64) {
    ///         workflow::until!(self.closed).await;
    ///     }
    ///
    ///     #[signal]
    ///     fn note(&mut self, text: String) {}
    ///
    ///     #[update]
    ///     fn add(&mut self, item: String) -> u64 {
    ///         self.items.push(item);
    ///         self.items.len() as u64
    ///     }
    /// }
    ///
    /// async fn demo(client: Client) -> Result<(), Failure> {
    ///     let start = || client.start(Cart::run(7)).id("cart-7");
    ///     let cart: Handle<Cart> = start().with(|cart| cart.note("from the shop".into())).await?;
    ///     let items: u64 = start().with(|cart| cart.add("tea".into())).await?;
    ///     let (cart, update) = start().with(|cart| cart.add("milk".into())).accepted().await?;
    ///     let items = update.result().await?;
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// A start that is tried again under its request id delivers its messages once. For a run that was open, that is
    /// remembered for 10 minutes. A message that goes with a delayed start does not end its delay.
    ///
    /// # Errors
    /// Those of the start; `AB0405` if the messages have more than 2 MiB together. `AB0416` if the open run is one of
    /// another workflow, which then gets no message.
    pub fn with<M: WithMessage<W>>(self, message: impl FnOnce(&Opening<W>) -> M) -> M::Start
    where
        W: Messages<WithStart>,
    {
        message(&Opening::new()).go_with(self)
    }
}

/// The argument of the closure of [`Start::with`]: the signals and updates of `W` as methods.
pub struct Opening<W: Messages<WithStart>> {
    methods: <W as Messages<WithStart>>::Methods,
}

impl<W: Messages<WithStart>> Opening<W> {
    pub(super) fn new() -> Self {
        let core = OpeningCore { workflow: PhantomData };
        Self { methods: <W as Messages<WithStart>>::methods(core) }
    }
}

impl<W: Messages<WithStart>> Deref for Opening<W> {
    type Target = <W as Messages<WithStart>>::Methods;

    fn deref(&self) -> &Self::Target {
        &self.methods
    }
}

/// For generated code.
pub struct OpeningCore<W> {
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDef> OpeningCore<W> {
    /// For generated code: an update that goes with the start.
    #[doc(hidden)]
    pub fn update_with<A: UpdateAnswer>(
        &self,
        name: &'static str,
        input: std::result::Result<Payload, PayloadError>,
        codec: &'static UpdateCodec<A>,
    ) -> OpeningUpdate<W, A> {
        let message = Sent { name, input, request_id: None };
        OpeningUpdate { message, codec, workflow: PhantomData }
    }
}

/// A signal that goes with a start; see [`Start::with`].
#[must_use = "return it from the closure of `.with(..)`: each `.with(..)` takes one message"]
pub struct OpeningSignal<W> {
    message: Sent,
    workflow: PhantomData<fn() -> W>,
}

impl<W> OpeningSignal<W> {
    /// Sets the request id of this signal, under which an execution takes it in once. Default: one that is made of the
    /// request id of the start; if that has none, a fresh UUIDv7. `AB0412` at the start for an id that is empty, has
    /// more than 1,000 characters, or begins with `abide/`.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # #[derive(Default)] struct Cart;
    /// # #[workflow] impl Cart {
    /// # #[run] async fn run(&mut self) {}
    /// # #[signal] fn open(&mut self, day: String) {}
    /// # }
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let start = client.start(Cart::run()).id("cart-7");
    /// start.with(|cart| cart.open("today".into()).request_id("r-17")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_id(mut self, request_id: impl AsRef<str>) -> Self {
        self.message.request_id = Some(request_id.as_ref().to_owned());
        self
    }
}

/// An update that goes with a start; see [`Start::with`].
#[must_use = "return it from the closure of `.with(..)`: each `.with(..)` takes one message"]
pub struct OpeningUpdate<W, A: UpdateAnswer> {
    message: Sent,
    codec: &'static UpdateCodec<A>,
    workflow: PhantomData<fn() -> W>,
}

impl<W, A: UpdateAnswer> OpeningUpdate<W, A> {
    /// Sets the request id of this update, under which an execution accepts it once. Default: the request id of the
    /// start; if that has none, a fresh UUIDv7. `AB0412` as for a signal; see [`OpeningSignal::request_id`].
    pub fn request_id(mut self, request_id: impl AsRef<str>) -> Self {
        self.message.request_id = Some(request_id.as_ref().to_owned());
        self
    }
}

/// What the closure of [`Start::with`] may return: a signal or an update of `W`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go with a start of `{W}`",
    label = "no signal or update of this workflow",
    note = "the closure of `.with(..)` calls one signal or update on its argument: \
            `.with(|cart| cart.add(item, 1))`; it goes to the workflow that is started"
)]
pub trait WithMessage<W> {
    /// The start with this message.
    type Start;

    /// Adds the message to the start.
    #[doc(hidden)]
    fn go_with(self, start: Start<W>) -> Self::Start;
}

#[diagnostic::do_not_recommend]
impl<W> WithMessage<W> for OpeningSignal<W> {
    type Start = Start<W>;

    fn go_with(self, mut start: Start<W>) -> Start<W> {
        start.signals.push(self.message);
        start
    }
}

#[diagnostic::do_not_recommend]
impl<W, A: UpdateAnswer> WithMessage<W> for OpeningUpdate<W, A> {
    type Start = StartUpdate<W, A>;

    fn go_with(self, start: Start<W>) -> StartUpdate<W, A> {
        StartUpdate { start, message: self.message, codec: self.codec }
    }
}
