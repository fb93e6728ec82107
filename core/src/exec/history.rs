//! The position in an execution's history: what is recorded and not replayed yet, and the length so far.

use super::command::Command;
use super::mismatch::Mismatch;
use crate::event::{Event, JournalRow};
use crate::ids::EventId;
use crate::site::Site;
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
    /// The number of events that were replayed or added.
    len: u64,
    /// Their estimated bytes.
    bytes: usize,
    /// The number of events and bytes when the end began.
    ending_from: Option<(u64, usize)>,
    /// `Some` if a trace was requested.
    trace: Option<Trace>,
}

/// What the history has in the place of a command.
pub(crate) enum Replayed {
    /// Nothing: the command is new.
    Beyond,
    /// The same command.
    Same(EventId, Event),
    /// Another event.
    Differs(Box<Mismatch>),
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
                // An execution may be terminated, or time out, before its first turn.
                let starts = matches!(event, Event::Started { .. }) || event.is_end_without_code();
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
        let id = self.add(&event);
        Some(Ok((at_ms, id, event)))
    }

    /// Compares a command with the next recorded event, and takes that event if they are the same.
    pub(crate) fn replay_command(&mut self, command: &impl Command) -> Replayed {
        let Some((_, recorded)) = self.recorded.front() else { return Replayed::Beyond };
        let is_same =
            command.same(recorded) || mutant!(OverlookDifference) && is_of_kind(recorded, &command.event());
        if !is_same {
            let (at, expected, got) = (EventId(self.len + 1), recorded.clone(), Some(command.event()));
            return Replayed::Differs(Box::new(Mismatch { at, expected, got }));
        }
        match self.recorded.pop_front() {
            Some((_, recorded)) => Replayed::Same(self.add(&recorded), recorded),
            None => Replayed::Beyond,
        }
    }

    /// Counts an event, and returns its number.
    pub(crate) fn add(&mut self, event: &Event) -> EventId {
        self.len += 1;
        self.bytes += event.bytes();
        EventId(self.len)
    }

    /// Removes the last events: commands of a turn that was halted.
    pub(crate) fn remove(&mut self, events: &[Event]) {
        self.len -= events.len() as u64;
        self.bytes -= events.iter().map(Event::bytes).sum::<usize>();
    }

    /// Starts to keep a trace.
    pub(crate) fn observe(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// Adds a command to the trace before it is compared. The arguments are called only if a trace is kept.
    pub(crate) fn note(
        &mut self,
        event: impl FnOnce() -> Event,
        site: impl FnOnce() -> Option<&'static Site>,
    ) {
        if let Some(trace) = &mut self.trace {
            let at = EventId(self.len + 1);
            trace.sites.push((at, site()));
            trace.last = Some((at, event()));
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

    /// Whether the code must still replay an event. An end without code does not count: it may come at any point
    /// of the code.
    pub(crate) fn has_more_of_the_code(&self) -> bool {
        self.recorded.iter().any(|(_, event)| !event.is_end_without_code())
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
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
}
