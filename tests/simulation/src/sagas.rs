//! Checks sagas by the order of a history's events: registered steps are undone in reverse order, once, when
//! the run fails or is cancelled, and only then.

use crate::act::{OnError, Role};
use crate::evidence::{Findings, RunEvidence};
use crate::program::{Program, SagaEnd, Step};
use abide::history::Event;
use std::collections::{BTreeMap, BTreeSet};

/// Checks a run.
pub(crate) fn check(run: &RunEvidence, program: &Program, findings: &mut Findings<'_>) {
    let acts = run.acts();
    let mut walk = Walk { sagas: Saga::of(program), stack: Vec::new(), by_hand: BTreeMap::new(), findings };
    let mut given_up = BTreeSet::new();
    let mut failed = Failed::default();
    for (number, event) in run.events() {
        match event {
            Event::ActivityScheduled { .. } => {
                if let Some((Role::Undo { saga }, act)) = acts.get(&number).map(|act| (act.role, act)) {
                    walk.undone(number, saga, act.label);
                }
            }
            Event::ActivityCancelRequested { activity } => drop(given_up.insert(activity.0)),
            Event::ActivityCompleted { activity, .. } | Event::ActivityFailed { activity, .. } => {
                let Some(act) = acts.get(&activity.0).filter(|_| !given_up.contains(&activity.0)) else {
                    continue;
                };
                let completed = matches!(event, Event::ActivityCompleted { .. });
                match act.role {
                    Role::Leg { saga } => walk.leg(saga, act.label, completed, act.on_error),
                    Role::Undo { saga } if !completed => failed.add(walk.is_by_hand(saga)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let last = run.events().last().map(|(_, event)| event);
    let Some(Event::Failed { compensation_failures, .. } | Event::Cancelled { compensation_failures, .. }) =
        last
    else {
        return;
    };
    let left: Vec<u32> = walk.stack.iter().map(|(_, undo)| *undo).collect();
    findings.check(left.is_empty(), "not undone", || format!("{left:?} were registered and did not run"));
    // The value of a saga that was compensated explicitly reports its failures, unless the end of the run
    // took them over.
    let told = compensation_failures.len();
    findings.check(failed.fits(told), "not undone", || format!("{told} failures are told, of {failed:?}"));
}

/// Compensations that failed.
#[derive(Debug, Default)]
struct Failed {
    at_the_end: usize,
    perhaps_by_hand: usize,
}

impl Failed {
    fn add(&mut self, by_hand: bool) {
        *if by_hand { &mut self.perhaps_by_hand } else { &mut self.at_the_end } += 1;
    }

    fn fits(&self, told: usize) -> bool {
        (self.at_the_end..=self.at_the_end + self.perhaps_by_hand).contains(&told)
    }
}

/// A saga of the program.
struct Saga {
    /// The activity that undoes each leg, by label.
    undo: BTreeMap<u32, u32>,
    end: SagaEnd,
    /// How many legs have ended so that the saga continues.
    ended: usize,
}

impl Saga {
    fn of(program: &Program) -> BTreeMap<u32, Self> {
        let saga = |step: &Step| match step {
            Step::Saga { saga, legs, end } => {
                let undo = legs.iter().map(|leg| (leg.act.label, leg.undo.label)).collect();
                Some((*saga, Self { undo, end: *end, ended: 0 }))
            }
            _ => None,
        };
        program.all().into_iter().filter_map(saga).collect()
    }
}

struct Walk<'f, 'v> {
    sagas: BTreeMap<u32, Saga>,
    /// What is registered: the saga, and the label of the activity that undoes.
    stack: Vec<(u32, u32)>,
    by_hand: BTreeMap<u32, ()>,
    findings: &'f mut Findings<'v>,
}

impl Walk<'_, '_> {
    /// A leg has ended: in the same turn it registers the activity that undoes it.
    fn leg(&mut self, number: u32, label: u32, completed: bool, on_error: OnError) {
        let Some(saga) = self.sagas.get_mut(&number) else { return };
        if completed {
            self.stack.extend(saga.undo.get(&label).map(|undo| (number, *undo)));
        }
        saga.ended += usize::from(completed || on_error == OnError::Keep);
        if saga.ended == saga.undo.len() {
            match saga.end {
                SagaEnd::Keep => {}
                SagaEnd::Compensate => drop(self.by_hand.insert(number, ())),
                SagaEnd::Forget => self.stack.retain(|(of, _)| *of != number),
            }
        }
    }

    /// Whether its compensations may now run explicitly.
    fn is_by_hand(&self, saga: u32) -> bool {
        self.by_hand.contains_key(&saga)
    }

    /// A compensation has begun: it must be the newest of all, or the newest of its saga if that is
    /// compensated explicitly.
    fn undone(&mut self, event: u64, saga: u32, label: u32) {
        let by_hand = self.is_by_hand(saga);
        let newest = self.stack.iter().rposition(|(of, _)| !by_hand || *of == saga);
        match newest.map(|at| self.stack.remove(at)) {
            Some((_, undo)) if undo == label => {}
            other => {
                let text = format!("event {event} undoes by {label}, where {other:?} was next");
                self.findings.add("order of undoing", text);
            }
        }
    }
}
