//! Signal with start and update with start: messages that go with a start, in one atomic step (PROTOCOL 49).

use super::update::StartUpdate;
use super::{Client, Start, check_request_id};
use crate::error::Result;
use crate::store::{MessageKind, NewMessage};
use crate::wire::{SignalBody, UpdateBody, to_json};
use abide_core::{
    ExecutionId, FirstMessage, MAX_PAYLOAD_BYTES, Messages, Payload, PayloadError, Route, SignalRoute,
    UpdateAnswer, UpdateCodec, WorkflowDef,
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

/// A message as the closure has made it.
pub(super) struct Sent {
    name: &'static str,
    input: std::result::Result<Payload, PayloadError>,
    request_id: Option<String>,
}

/// A signal that goes with a start; see [`Start::with`].
#[must_use = "return it from the closure of `.with(..)`: each `.with(..)` takes one message"]
pub struct OpeningSignal<W> {
    message: Sent,
    workflow: PhantomData<fn() -> W>,
}

impl<W> OpeningSignal<W> {
    /// Sets the request id of this signal, under which an execution takes it in once. Default: one that is made of the
    /// request id of the start; if that has none, a fresh UUIDv7.
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
    /// start; if that has none, a fresh UUIDv7.
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

/// The messages of a start: `signals`, then the update. `request_id` is the start's own.
pub(super) fn first_messages(
    client: &Client,
    (workflow_id, request_id): (&str, Option<&str>),
    signals: Vec<Sent>,
    update: Option<Sent>,
) -> Result<Vec<FirstMessage>> {
    let fresh = || client.abide.host().fresh_id();
    let mut all = Vec::with_capacity(signals.len() + 1);
    for (n, Sent { name, input, request_id: own }) in signals.into_iter().enumerate() {
        own.as_deref().map_or(Ok(()), check_request_id)?;
        // The same at each try, so that a signal that is sent again under the start's id is known.
        let made = || request_id.map_or_else(fresh, |id| format!("abide/with/{n}/{id}"));
        let request_id = own.unwrap_or_else(made);
        all.push(FirstMessage::Signal { name: name.to_owned(), input: input?, request_id });
    }
    if let Some(Sent { name, input, request_id: own }) = update {
        own.as_deref().map_or(Ok(()), check_request_id)?;
        let update_id = own.unwrap_or_else(|| request_id.map_or_else(fresh, str::to_owned));
        // The same at each try, so that a rejection answers all of them.
        let ask = request_id.map_or_else(fresh, |id| format!("with/{}/{id}/{workflow_id}", id.len()));
        let asker = Some(client.abide.store().block());
        all.push(FirstMessage::Update { update_id, name: name.to_owned(), input: input?, ask, asker });
    }
    check_bytes(&all)?;
    Ok(all)
}

/// The row of the run has them all, so the limit of one payload is the limit of them together.
fn check_bytes(messages: &[FirstMessage]) -> Result<()> {
    let bytes = messages.iter().map(|message| match message {
        FirstMessage::Signal { input, .. } | FirstMessage::Update { input, .. } => input.as_json().len(),
    });
    match bytes.sum() {
        0..=MAX_PAYLOAD_BYTES => Ok(()),
        bytes => Err(PayloadError::TooLarge { type_name: "start's list of messages", bytes }.into()),
    }
}

/// A message of a start as it goes to a run that is open.
pub(super) fn message_to(execution: ExecutionId, message: &FirstMessage, at_ms: i64) -> NewMessage {
    let (kind, request_id, body) = match message.clone() {
        FirstMessage::Signal { name, input, request_id } => {
            (MessageKind::Signal, request_id, to_json(&SignalBody { name, input }))
        }
        FirstMessage::Update { update_id, name, input, ask, asker } => {
            let body = UpdateBody { update_id, name, input: Some(input), asker };
            (MessageKind::Update, ask, to_json(&body))
        }
    };
    NewMessage { execution, kind, request_id, body, at_ms }
}
