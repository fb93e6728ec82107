//! The position in an execution's history: recorded events during a replay, new events after it.

use super::halt::Mismatch;
use crate::event::{Event, JournalRow};
use crate::guard::Site;
use crate::ids::EventId;
use std::collections::VecDeque;

/// The most events of an execution: 51,200, Temporal's limit. An execution at this limit is suspended.
pub(crate) const MAX_EVENTS: u64 = 51_200;

/// The most bytes of its events: 50 MiB. Payloads and texts are counted, and not the journal's JSON, so that
/// nothing has to be encoded to count.
pub(crate) const MAX_BYTES: usize = 50 * 1024 * 1024;

/// The events allowed in addition once the end has begun. The shielded blocks and compensations of a
/// cancellation need this room even at the limit.
pub(crate) const END_EVENTS: u64 = 10_240;

/// The bytes allowed in addition once the end has begun: 10 MiB.
pub(crate) const END_BYTES: usize = 10 * 1024 * 1024;

/// The commands that the code asked for. They are kept on demand only: a replay that resumes an execution
/// needs none.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The number of each command, and the await that asked for it.
    pub sites: Vec<(EventId, Option<&'static Site>)>,
    /// The last command that the code asked for: one that differs from the recorded one, or the closing
    /// event.
    pub last: Option<(EventId, Event)>,
}

/// The history of one execution; see the head of this module.
#[derive(Default)]
pub(crate) struct History {
    /// Recorded events that the replay has not reached, each with the time of its row.
    recorded: VecDeque<(i64, Event)>,
    /// Events of the current turn, for the append.
    fresh: Vec<Event>,
    /// The number of events that were replayed or added.
    len: u64,
    /// Their estimated bytes.
    bytes: usize,
    /// The number of events and bytes when the end began.
    ending_from: Option<(u64, usize)>,
    /// `Some` if a trace was requested.
    trace: Option<Trace>,
}

fn is_of_kind(recorded: &Event, event: &Event) -> bool {
    std::mem::discriminant(recorded) == std::mem::discriminant(event)
}

impl History {
    /// Loads rows. Fails if their numbers are not consecutive, or if the first event is not a start: such an
    /// execution would never run, and no error would be reported.
    pub(crate) fn load(&mut self, rows: Vec<JournalRow>) -> Result<(), EventId> {
        let mut expected = self.len + 1;
        for row in rows {
            if row.seq.0 != expected || row.events.is_empty() {
                return Err(EventId(expected));
            }
            for (at, event) in (expected..).zip(&row.events) {
                // An execution may be terminated before its first turn.
                let starts = matches!(event, Event::Started { .. } | Event::Terminated { .. });
                if at == 1 && !starts || at > 1 && matches!(event, Event::Started { .. }) {
                    return Err(EventId(at));
                }
            }
            expected += row.events.len() as u64;
            self.recorded.extend(row.events.into_iter().map(|event| (row.at_ms, event)));
        }
        Ok(())
    }

    /// The next recorded event, if it is an input. If it is a command, the code no longer emits that command.
    pub(crate) fn next_input(&mut self) -> Option<Result<(i64, EventId, Event), Box<Mismatch>>> {
        let (_, event) = self.recorded.front()?;
        if event.is_command() {
            let expected = event.clone();
            return Some(Err(Box::new(Mismatch { at: EventId(self.len + 1), expected, got: None })));
        }
        let (at_ms, event) = self.recorded.pop_front()?;
        self.len += 1;
        self.bytes += event.bytes();
        Some(Ok((at_ms, EventId(self.len), event)))
    }

    /// Adds an input of the current turn.
    pub(crate) fn input(&mut self, event: Event) -> EventId {
        debug_assert!(!event.is_command() && self.recorded.is_empty());
        self.bytes += event.bytes();
        self.fresh.push(event);
        self.len += 1;
        EventId(self.len)
    }

    /// No handler took the signal of event `id`. Marks the event if it is new; returns false if it is
    /// recorded.
    pub(crate) fn unhandled(&mut self, id: EventId) -> bool {
        let first = self.len + 1 - self.fresh.len() as u64;
        let fresh = id.0.checked_sub(first).and_then(|at| self.fresh.get_mut(at as usize));
        match fresh {
            Some(Event::Signaled { handled, .. }) => {
                *handled = false;
                true
            }
            _ => false,
        }
    }

    /// Numbers a command. On replay, compares it with the recorded command and returns the recorded one.
    pub(crate) fn command(
        &mut self,
        event: Event,
        same: &dyn Fn(&Event) -> bool,
    ) -> Result<(EventId, Event), Box<Mismatch>> {
        debug_assert!(event.is_command());
        let at = EventId(self.len + 1);
        let event = match self.recorded.front() {
            None => {
                self.fresh.push(event.clone());
                event
            }
            Some((_, recorded))
                if same(recorded) || mutant!(OverlookDifference) && is_of_kind(recorded, &event) =>
            {
                self.recorded.pop_front().map(|(_, recorded)| recorded).unwrap_or(event)
            }
            Some((_, recorded)) => {
                return Err(Box::new(Mismatch { at, expected: recorded.clone(), got: Some(event) }));
            }
        };
        self.len += 1;
        self.bytes += event.bytes();
        Ok((at, event))
    }

    /// Starts to keep a trace.
    pub(crate) fn observe(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// Adds a command to the trace before it is compared. `site` is called only if a trace is kept.
    pub(crate) fn note(&mut self, event: &Event, site: impl FnOnce() -> Option<&'static Site>) {
        if let Some(trace) = &mut self.trace {
            let at = EventId(self.len + 1);
            trace.sites.push((at, site()));
            trace.last = Some((at, event.clone()));
        }
    }

    /// Takes the trace so far.
    pub(crate) fn take_trace(&mut self) -> Trace {
        self.trace.take().unwrap_or_default()
    }

    /// Whether the next recorded event is an input. If so, the recorded run had not closed at this point.
    pub(crate) fn next_is_input(&self) -> bool {
        self.recorded.front().is_some_and(|(_, event)| !event.is_command())
    }

    pub(crate) fn is_replaying(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// Whether the code must still replay an event. A termination does not count: it may come at any point of
    /// the code.
    pub(crate) fn has_more_of_the_code(&self) -> bool {
        self.recorded.iter().any(|(_, event)| !matches!(event, Event::Terminated { .. }))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The last event in the journal. Commands after it have had no effect yet.
    pub(crate) fn written(&self) -> EventId {
        EventId(self.len - self.fresh.len() as u64)
    }

    /// The estimated bytes of the events.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The end has begun: the execution was cancelled, is about to be, or is decided. Only the first call
    /// counts.
    pub(crate) fn is_ending(&mut self) {
        self.ending_from.get_or_insert((self.len, self.bytes));
    }

    /// Whether the history may not grow any more.
    pub(crate) fn is_full(&self) -> bool {
        let (events, bytes) = match self.ending_from {
            None => (MAX_EVENTS, MAX_BYTES),
            Some((len, bytes)) => (len.max(MAX_EVENTS) + END_EVENTS, bytes.max(MAX_BYTES) + END_BYTES),
        };
        self.len >= events || self.bytes >= bytes
    }

    /// The number of new events.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Drops the new events after the first `keep`: commands of a turn that was halted.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.len -= (self.fresh.len() - keep) as u64;
        self.bytes -= self.fresh[keep..].iter().map(Event::bytes).sum::<usize>();
        self.fresh.truncate(keep);
    }

    /// Takes the new events and the number of the first one.
    pub(crate) fn take(&mut self) -> (EventId, Vec<Event>) {
        let events = std::mem::take(&mut self.fresh);
        (EventId(self.len + 1 - events.len() as u64), events)
    }
}
