//! The cursor in an execution's history: recorded events while it replays, new ones while it runs.

use super::halt::Mismatch;
use crate::event::{Event, JournalRow};
use crate::guard::Site;
use crate::ids::EventId;
use std::collections::VecDeque;

/// At this many events an execution is suspended rather than let grow without end (SEMANTICS: Temporal's limit).
pub(crate) const MAX_EVENTS: u64 = 51_200;

/// The same for the bytes of its events: 50 MiB. Counted by their payloads and texts, not by what the journal's JSON
/// comes to in the end, so that nothing has to be encoded for it.
pub(crate) const MAX_BYTES: usize = 50 * 1024 * 1024;

/// So much more there may be from the moment at which its end has begun: a cancellation's shielded blocks and compensations
/// need room wherever it stands.
pub(crate) const END_EVENTS: u64 = 10_240;

/// The same for bytes: 10 MiB.
pub(crate) const END_BYTES: usize = 10 * 1024 * 1024;

/// What the code asked for while it was observed: kept on demand, since a replay that only has to go on needs none of it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Each command by its number, and the await that asked for it.
    pub sites: Vec<(EventId, Option<&'static Site>)>,
    /// The last command, as the code asked for it: one that differs from the recorded one, or the end.
    pub last: Option<(EventId, Event)>,
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct History {
    /// Recorded events that the replay has not met yet, with the time of their row.
    recorded: VecDeque<(i64, Event)>,
    /// Events of the current turn, to be appended.
    fresh: Vec<Event>,
    /// How many events have been met or made.
    len: u64,
    /// About how many bytes these have.
    bytes: usize,
    /// How many events and bytes there were when its end began.
    ending_from: Option<(u64, usize)>,
    /// Kept where somebody observes.
    trace: Option<Trace>,
}

fn is_of_kind(recorded: &Event, event: &Event) -> bool {
    std::mem::discriminant(recorded) == std::mem::discriminant(event)
}

impl History {
    /// Loads rows; fails where their numbers do not join up, or where they begin otherwise than with a start: nothing
    /// would ever run, and nobody be told.
    pub(crate) fn load(&mut self, rows: Vec<JournalRow>) -> Result<(), EventId> {
        let mut expected = self.len + 1;
        for row in rows {
            if row.seq.0 != expected || row.events.is_empty() {
                return Err(EventId(expected));
            }
            for (at, event) in (expected..).zip(&row.events) {
                // One that nobody had begun to run may have been terminated.
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

    /// The next recorded event, if it is an input. A command there is one that the code no longer emits.
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

    /// No handler took the signal of event `id`: a fresh event says so. False for a recorded one.
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

    /// Numbers a command. On replay the recorded command is compared with it and returned in its place.
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

    /// Begins to keep a trace.
    pub(crate) fn observe(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// Notes a command before it is compared. `site` is looked up only where somebody observes.
    pub(crate) fn note(&mut self, event: &Event, site: impl FnOnce() -> Option<&'static Site>) {
        if let Some(trace) = &mut self.trace {
            let at = EventId(self.len + 1);
            trace.sites.push((at, site()));
            trace.last = Some((at, event.clone()));
        }
    }

    /// Takes what was noted so far.
    pub(crate) fn take_trace(&mut self) -> Trace {
        self.trace.take().unwrap_or_default()
    }

    /// Whether the next recorded event is an input: then the recorded run had not closed here.
    pub(crate) fn next_is_input(&self) -> bool {
        self.recorded.front().is_some_and(|(_, event)| !event.is_command())
    }

    pub(crate) fn is_replaying(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// Whether code has still to repeat something: that it was terminated comes from outside, wherever the code was.
    pub(crate) fn has_more_of_the_code(&self) -> bool {
        self.recorded.iter().any(|(_, event)| !matches!(event, Event::Terminated { .. }))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The last event that the journal has: a command after it has had no effect yet.
    pub(crate) fn written(&self) -> EventId {
        EventId(self.len - self.fresh.len() as u64)
    }

    /// About how many bytes its events have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its end has begun: it was cancelled, or is about to be, or is decided. The first time counts.
    pub(crate) fn is_ending(&mut self) {
        self.ending_from.get_or_insert((self.len, self.bytes));
    }

    /// Whether it may not grow any more.
    pub(crate) fn is_full(&self) -> bool {
        let (events, bytes) = match self.ending_from {
            None => (MAX_EVENTS, MAX_BYTES),
            Some((len, bytes)) => (len.max(MAX_EVENTS) + END_EVENTS, bytes.max(MAX_BYTES) + END_BYTES),
        };
        self.len >= events || self.bytes >= bytes
    }

    /// How many fresh events there are.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Forgets the fresh events after the first `keep`: commands of a turn that halted.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.len -= (self.fresh.len() - keep) as u64;
        self.bytes -= self.fresh[keep..].iter().map(Event::bytes).sum::<usize>();
        self.fresh.truncate(keep);
    }

    /// Takes the fresh events and the number of the first.
    pub(crate) fn take(&mut self) -> (EventId, Vec<Event>) {
        let events = std::mem::take(&mut self.fresh);
        (EventId(self.len + 1 - events.len() as u64), events)
    }
}
