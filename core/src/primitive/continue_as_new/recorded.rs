//! What a run hands on that has ended without its code: its journal alone says it (PROTOCOL 40).

use super::carry;
use crate::carried::{Carried, CarriedKind, CarriedUpdate};
use crate::event::{Event, JournalRow};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::primitive::cancel::table::Cancellation;
use crate::primitive::signal::table::{Signals, Unhandled};
use crate::start_context::{FirstMessage, NextAttempt, StartContext};

/// What a run began with, and what it was told since: as much as the next attempt of its workflow needs.
pub struct Recorded {
    input: Payload,
    context: StartContext,
    signals: Signals,
    cancellation: Cancellation,
    /// Those that the chain has accepted, in that order.
    updates: Vec<CarriedUpdate>,
}

impl Recorded {
    /// Of a run that has not begun.
    pub fn unbegun(input: Payload, context: StartContext) -> Self {
        let (signals, cancellation) = (Signals::default(), Cancellation::default());
        Self { input, context, signals, cancellation, updates: Vec::new() }
    }

    /// Of the run with this run id and journal. `None`: it does not begin with a start.
    pub fn of(run_id: &str, rows: &[JournalRow]) -> Option<Self> {
        let mut events = rows.iter().flat_map(|row| row.events.iter().map(|event| (row.at_ms, event)));
        let (_, Event::Started { input, context, .. }) = events.next()? else { return None };
        let mut recorded = Self::unbegun(input.clone(), StartContext::clone(context));
        let Carried { known, updates, .. } = std::mem::take(&mut recorded.context.carried);
        recorded.updates = updates.into_iter().rev().collect();
        for id in known.into_iter().rev() {
            match id.kind {
                CarriedKind::Signal => recorded.signals.known.note(id.id, id.at_ms),
                CarriedKind::Cancel => recorded.cancellation.known.note(id.id, id.at_ms),
            }
        }
        for (number, (at_ms, event)) in (2..).zip(events) {
            recorded.note(run_id, number, at_ms, event);
        }
        Some(recorded)
    }

    /// The messages that came with its start, as its row still has them: those that it has not taken in go with the
    /// start of the next attempt.
    pub fn with_first(mut self, first: Vec<FirstMessage>) -> Self {
        let is_taken_in = |message: &FirstMessage| match message {
            FirstMessage::Signal { request_id, .. } => self.signals.knows(request_id),
            FirstMessage::Update { update_id, .. } => {
                self.updates.iter().any(|known| known.update_id == *update_id)
            }
        };
        let first = first.into_iter().filter(|message| !is_taken_in(message)).collect();
        self.context.first = first;
        self
    }

    fn note(&mut self, run_id: &str, number: u64, at_ms: i64, event: &Event) {
        match event {
            Event::Signaled { name, input, request_id, handled } => {
                self.signals.known.note(request_id.clone(), at_ms);
                if !handled {
                    let (name, input, request_id) = (name.clone(), input.clone(), request_id.clone());
                    self.signals.unhandled.insert(EventId(number), Unhandled { name, input, request_id });
                }
            }
            Event::SignalRedelivered { signal } => drop(self.signals.unhandled.remove(signal)),
            Event::CancelRequested { request_id, reason } => {
                self.cancellation.request(request_id.clone(), reason.clone(), at_ms);
            }
            Event::UpdateAccepted { update_id, .. } => {
                let (update_id, run_id) = (update_id.clone(), run_id.to_owned());
                self.updates.push(CarriedUpdate { update_id, run_id, at_ms });
            }
            _ => {}
        }
    }

    /// What it hands on. A run that has not begun hands on what it was handed.
    pub(crate) fn carried(&self, now_ms: i64) -> Carried {
        let Carried { known, updates, .. } = self.context.carried.clone();
        let mut carried = carry::collect(&self.signals, &self.cancellation, self.updates.clone(), now_ms);
        carried.signals.extend(self.context.carried.signals.iter().cloned());
        carried.cancel = carried.cancel.or_else(|| self.context.carried.cancel.clone());
        carried.known.extend(known);
        carried.updates.extend(updates);
        carried.limited(now_ms)
    }

    /// The next attempt of its workflow, as its time is up now. `None`: none follows.
    pub fn next_attempt(self, now_ms: i64, chain_by_ms: Option<i64>) -> Option<NextAttempt> {
        let due_ms = self.context.next_attempt_ms(None, now_ms, chain_by_ms)?;
        let carried = self.carried(now_ms);
        let stays = self.cancellation.is_requested() || !carried.fits();
        (!stays).then(|| self.context.next_attempt(self.input, carried, due_ms))
    }
}
