//! Detects activities that wait for workflows while they hold their slots (AB0624).
//!
//! An activity may start a workflow and wait for its result. If that workflow needs an activity of the same
//! worker, it needs a slot. If such waits hold all slots, none of them can ever end. This is reported at once
//! if an attempt waits for a slot. If none is seen waiting, it is reported after a while: the workflows may
//! need activities whose tasks wait in a task queue.

use super::info::AttemptInfo;
use abide_core::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The least time between two warnings.
const EVERY: Duration = Duration::from_secs(60);
/// After this many samples in a row that find all slots waiting (10 s at four samples a second), the warning is
/// given even if no attempt is seen waiting for a slot.
const LONG: u32 = 40;
/// The most waits that a warning names.
const NAMED: usize = 3;

/// The waits of the attempts in one worker's slots, and the attempts that wait for a slot.
#[derive(Debug)]
pub(crate) struct Waits {
    slots: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, Wait>,
    queued: BTreeMap<u64, Named>,
    warned: Option<Instant>,
    samples: u32,
}

/// An activity of a workflow.
#[derive(Clone, Debug)]
struct Named {
    activity: &'static str,
    workflow_id: Arc<str>,
}

/// An attempt that holds a slot and waits for a workflow.
#[derive(Debug)]
struct Wait {
    attempt: u64,
    who: Named,
    awaited: String,
}

/// The slot of a running attempt, for the attempt's context.
#[derive(Clone, Debug)]
pub(crate) struct InSlot {
    waits: Arc<Waits>,
    attempt: u64,
}

/// A recorded wait. It ends when this is dropped.
#[must_use]
pub(crate) struct Waiting {
    waits: Arc<Waits>,
    key: u64,
    queued: bool,
}

impl Waits {
    pub(super) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { slots, state: Mutex::default() })
    }

    /// The slot of this attempt.
    pub(super) fn slot(self: &Arc<Self>, attempt: u64) -> InSlot {
        InSlot { waits: Arc::clone(self), attempt }
    }

    /// Records that an attempt waits for a slot.
    pub(super) fn queued(self: &Arc<Self>, activity: &'static str, info: &AttemptInfo) -> Waiting {
        let mut state = self.state();
        let key = state.next_key();
        state.queued.insert(key, Named { activity, workflow_id: Arc::clone(&info.workflow_id) });
        self.warn(state, false);
        Waiting { waits: Arc::clone(self), key, queued: true }
    }

    /// Takes one sample: slots that all wait for a long time are reported, and reported again.
    pub(super) fn sample(&self) {
        let mut state = self.state();
        state.samples = if self.all_wait(&state) { state.samples.saturating_add(1) } else { 0 };
        let long = state.samples >= LONG;
        self.warn(state, long);
    }

    fn all_wait(&self, state: &State) -> bool {
        let waits = || state.waiting.values().map(|wait| wait.attempt).collect::<BTreeSet<_>>();
        state.waiting.len() >= self.slots && waits().len() >= self.slots
    }

    /// Warns if all slots wait, and either an attempt needs one or this has lasted long.
    fn warn(&self, mut state: MutexGuard<'_, State>, long: bool) {
        let needed = long || !state.queued.is_empty();
        if !needed || !self.all_wait(&state) || state.warned.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        state.warned = Some(Instant::now());
        let words = state.words(self.slots);
        // Warn without the lock: a subscriber may be slow.
        drop(state);
        tracing::warn!(code = Code::SlotsHeld.as_str(), "{}: {words}", Code::SlotsHeld);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn words(&self, slots: usize) -> String {
        let mut words = format!(
            "all {slots} activity slots of this worker are held by activities that wait for workflows: "
        );
        let in_cycle = |wait: &Wait| {
            let next = self.queued.values().find(|queued| *queued.workflow_id == *wait.awaited);
            next.map(|next| (wait.who.clone(), next.clone()))
        };
        // Writing to a `String` cannot fail.
        let _ = match self.waiting.values().find_map(in_cycle) {
            Some((who, next)) => write!(
                words,
                "activity `{}` of workflow `{}` waits for workflow `{}`, whose activity `{}` waits for such a slot, so \
                 neither can go on",
                who.activity, who.workflow_id, next.workflow_id, next.activity
            ),
            None => {
                let named = self.waiting.values().take(NAMED).map(|Wait { who, awaited, .. }| {
                    format!(
                        "activity `{}` of workflow `{}` waits for workflow `{awaited}`",
                        who.activity, who.workflow_id
                    )
                });
                let more = if self.waiting.len() > NAMED { ", .." } else { "" };
                write!(words, "{}{more}", named.collect::<Vec<_>>().join(", "))
            }
        };
        let waiting = self.queued.len();
        let _ = write!(
            words,
            "; {waiting} attempts wait for a slot, and none starts until one of those waits ends: let the \
             workflow wait for the other workflow, or run the activities that it needs in a worker of their \
             own"
        );
        words
    }
}

impl InSlot {
    /// Records that the attempt waits for a workflow.
    pub(super) fn wait_for(&self, activity: &'static str, info: &AttemptInfo, awaited: &str) -> Waiting {
        let mut state = self.waits.state();
        let key = state.next_key();
        let who = Named { activity, workflow_id: Arc::clone(&info.workflow_id) };
        state.waiting.insert(key, Wait { attempt: self.attempt, who, awaited: awaited.to_owned() });
        self.waits.warn(state, false);
        Waiting { waits: Arc::clone(&self.waits), key, queued: false }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.waits.state();
        if self.queued {
            state.queued.remove(&self.key);
        } else {
            state.waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::EventId;
    use tracing::span;

    fn of(workflow_id: &str) -> AttemptInfo {
        let name = || Arc::from(workflow_id);
        AttemptInfo {
            workflow_id: name(),
            run_id: name(),
            workflow_type: name(),
            activity: EventId(2),
            attempt: 1,
        }
    }

    /// Collects the messages of events.
    #[derive(Clone, Default)]
    struct Count(Arc<Mutex<Vec<String>>>);

    impl tracing::Subscriber for Count {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            struct Text<'t>(&'t mut String);
            impl tracing::field::Visit for Text<'_> {
                fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    if field.name() == "message" {
                        let _ = write!(self.0, "{value:?}");
                    }
                }
            }
            let mut text = String::new();
            event.record(&mut Text(&mut text));
            self.0.lock().unwrap().push(text);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    impl Count {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cycle_is_named_at_once_and_then_once_a_minute() {
        let told = Count::default();
        let _here = tracing::subscriber::set_default(told.clone());
        let waits = Waits::new(2);
        let first = waits.slot(1).wait_for("fetch", &of("parent"), "child");
        let _queued = waits.queued("step", &of("child"));
        let _same = waits.slot(1).wait_for("fetch", &of("parent"), "another");
        assert_eq!(told.take(), [""; 0], "one slot of two");
        let second = waits.slot(2).wait_for("call", &of("other"), "elsewhere");
        let [words] = told.take().try_into().unwrap();
        let cycle = "`fetch` of workflow `parent` waits for workflow `child`, whose activity `step` waits \
                     for such a slot";
        assert!(words.starts_with("AB0624: all 2 ") && words.contains(cycle), "{words}");
        let _more = waits.queued("step", &of("child"));
        waits.sample();
        tokio::time::advance(Duration::from_secs(59)).await;
        waits.sample();
        assert_eq!(told.take(), [""; 0], "told already");
        tokio::time::advance(Duration::from_secs(1)).await;
        waits.sample();
        assert_eq!(told.take().len(), 1, "still so");
        drop(second);
        tokio::time::advance(Duration::from_secs(60)).await;
        waits.sample();
        assert_eq!(told.take(), [""; 0], "one goes on");
        drop(first);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_that_all_wait_for_long_are_told_although_nobody_is_seen_to_need_one() {
        let told = Count::default();
        let _here = tracing::subscriber::set_default(told.clone());
        let waits = Waits::new(1);
        let wait = waits.slot(1).wait_for("fetch", &of("parent"), "child");
        (1..LONG).for_each(|_| waits.sample());
        assert_eq!(told.take(), [""; 0]);
        waits.sample();
        let [words] = told.take().try_into().unwrap();
        assert!(
            words.contains("`fetch` of workflow `parent` waits for workflow `child`; 0 attempts"),
            "{words}"
        );
        drop(wait);
        waits.sample();
        assert_eq!(waits.state().samples, 0);
    }
}
