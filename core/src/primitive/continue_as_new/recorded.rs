//! What a run hands on that has ended without its code: its journal alone says it (PROTOCOL 40).

use super::carry;
use crate::carried::{Carried, CarriedKind};
use crate::event::{Event, JournalRow};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::primitive::cancel::table::Cancellation;
use crate::primitive::signal::table::{Signals, Unhandled};
use crate::start_context::{NextAttempt, StartContext};

/// What a run began with, and what it was told since: as much as the next attempt of its workflow needs.
pub struct Recorded {
    input: Payload,
    context: StartContext,
    signals: Signals,
    cancellation: Cancellation,
}

impl Recorded {
    /// Of a run that has not begun.
    pub fn unbegun(input: Payload, context: StartContext) -> Self {
        Self { input, context, signals: Signals::default(), cancellation: Cancellation::default() }
    }

    /// Of a run with this journal. `None`: it does not begin with a start.
    pub fn of(rows: &[JournalRow]) -> Option<Self> {
        let mut events = rows.iter().flat_map(|row| row.events.iter().map(|event| (row.at_ms, event)));
        let (_, Event::Started { input, context, .. }) = events.next()? else { return None };
        let mut recorded = Self::unbegun(input.clone(), StartContext::clone(context));
        let Carried { known, .. } = std::mem::take(&mut recorded.context.carried);
        for id in known.into_iter().rev() {
            match id.kind {
                CarriedKind::Signal => recorded.signals.known.note(id.id, id.at_ms),
                CarriedKind::Cancel => recorded.cancellation.known.note(id.id, id.at_ms),
            }
        }
        for (number, (at_ms, event)) in (2..).zip(events) {
            recorded.note(number, at_ms, event);
        }
        Some(recorded)
    }

    fn note(&mut self, number: u64, at_ms: i64, event: &Event) {
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
            _ => {}
        }
    }

    /// What it hands on. A run that has not begun hands on what it was handed.
    pub(crate) fn carried(&self, now_ms: i64) -> Carried {
        let Carried { known, updates, .. } = self.context.carried.clone();
        let mut carried = carry::collect(&self.signals, &self.cancellation, now_ms);
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
