//! The messages that go with a start: their ids, their limit, and how each way of delivery has them (PROTOCOL 42, 49).

use super::{Client, check_request_id};
use crate::error::Result;
use crate::store::{MessageKind, NewMessage};
use crate::wire::{SignalBody, UpdateBody, to_json};
use abide_core::{ExecutionId, FirstMessage, MAX_PAYLOAD_BYTES, Payload, PayloadError};

/// A message that goes with a start, before it has its ids.
pub(super) struct Sent {
    pub(super) name: &'static str,
    pub(super) input: std::result::Result<Payload, PayloadError>,
    pub(super) request_id: Option<String>,
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
