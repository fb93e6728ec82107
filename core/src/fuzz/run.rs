//! Random programs with random inputs. The invariants: the numbers of events are consecutive, the close is
//! the last event, the execution is open, closed or suspended with a code, and a replay of its history leads
//! to the same state.

use super::program::{Kind, Op, Programmed, program, signal};
use super::values::{child_end, failure, json, text};
use super::{cases, values};
use crate::child::{ChildEnd, ChildIds};
use crate::event::{Event, JournalRow};
use crate::exec::info::Info;
use crate::exec::{
    Action, AttemptChange, AttemptOutcome, Execution, FailedAttempt, Input, Recorded, Standing, Turn,
    WorkflowType,
};
use crate::ids::{EventId, ExecutionId};
use crate::payload::Payload;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// One thing that happens to an execution.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// One of the running attempts ends.
    End(Index, AttemptOutcome),
    /// An attempt ends that may not exist.
    Stray(EventId, u32, AttemptOutcome),
    Signal(String, Payload, String),
    Cancel(String),
    /// One of the children ends.
    EndChild(Index, ChildEnd),
    /// A child ends that may not exist.
    StrayChild(EventId, ChildEnd),
    /// The store answers a command, or refuses it.
    Answer(Index, bool),
    Wait(i64),
    /// The execution is evicted and loaded again: by the same owner, or by another if true.
    Load(bool),
}

fn outcome() -> BoxedStrategy<AttemptOutcome> {
    let value = any::<u32>().prop_map(|n| AttemptOutcome::Completed(Payload::encode(&n).expect("a number")));
    let odd = json().prop_map(|json| AttemptOutcome::Completed(Payload::from_json(json).expect("JSON")));
    let waits = proptest::option::of(prop_oneof![4 => 0_u64..3_000, 1 => any::<u64>()]);
    let failed =
        (failure(), any::<bool>(), waits).prop_map(|(failure, retryable, wait)| AttemptOutcome::Failed {
            failure,
            retryable,
            retry_after: wait.map(Duration::from_millis),
            details: None,
        });
    prop_oneof![12 => value, 1 => odd, 4 => failed, 1 => Just(AttemptOutcome::Cancelled)].boxed()
}

pub(super) fn step() -> BoxedStrategy<Step> {
    // Few ids, so that duplicates occur.
    let request = || prop_oneof![3 => "[a-f]", 2 => text()];
    prop_oneof![
        8 => (any::<Index>(), outcome()).prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => (values::id(), any::<u32>(), outcome())
            .prop_map(|(id, attempt, outcome)| Step::Stray(id, attempt, outcome)),
        4 => (signal(), request()).prop_map(|((name, input), request)| Step::Signal(name, input, request)),
        1 => request().prop_map(Step::Cancel),
        6 => (any::<Index>(), child_end()).prop_map(|(which, end)| Step::EndChild(which, end)),
        1 => (values::id(), child_end()).prop_map(|(child, end)| Step::StrayChild(child, end)),
        3 => (any::<Index>(), any::<bool>()).prop_map(|(which, taken)| Step::Answer(which, taken)),
        3 => (0_i64..4_000).prop_map(Step::Wait),
        1 => prop_oneof![9 => Just(-1_i64), 1 => any::<i64>()].prop_map(Step::Wait),
        2 => any::<bool>().prop_map(Step::Load),
    ]
    .boxed()
}

fn message() -> BoxedStrategy<Input> {
    let signal =
        (signal(), "[a-f]").prop_map(|((name, input), request_id)| Input::Signal { name, input, request_id });
    let cancel = "[a-f]".prop_map(|request_id| Input::Cancel { request_id, reason: "enough".to_owned() });
    prop_oneof![5 => signal, 1 => cancel].boxed()
}

/// An execution with its journal.
pub(super) struct World {
    pub(super) exec: Execution,
    pub(super) rows: Vec<JournalRow>,
    /// The failed attempts that a store would hold.
    kept: BTreeMap<EventId, FailedAttempt>,
    /// The number of events in the journal.
    written: u64,
    now_ms: i64,
    running: Vec<(EventId, u32)>,
    /// The attempts that were told to stop.
    stopped: Vec<EventId>,
    /// The children that were born, and those of them whose commands have no answer.
    children: Vec<EventId>,
    unanswered: Vec<EventId>,
}

pub(super) fn fresh() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "programmed".to_owned(), "q".to_owned());
    let exec = Execution::new(&WorkflowType::of::<Programmed>(), info, Rc::new(|_: &str| true));
    exec.lend(Rc::new(|| ChildIds { execution: ExecutionId(7), run_id: "run".to_owned() }));
    exec
}

impl World {
    /// Replays this journal.
    pub(super) fn replayed(rows: Vec<JournalRow>) -> Self {
        let written = rows.iter().map(|row| row.events.len() as u64).sum();
        let now_ms = rows.last().map_or(0, |row| row.at_ms);
        let mut exec = fresh();
        exec.replay(rows.clone());
        let (kept, running, stopped) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (children, unanswered) = (Vec::new(), Vec::new());
        Self { exec, rows, kept, written, now_ms, running, stopped, children, unanswered }
    }

    pub(super) fn started(program: &[Op], seed: u64) -> Result<Self, TestCaseError> {
        Self::started_with(program, seed, Vec::new())
    }

    /// Starts an execution. Its first turn has these messages.
    fn started_with(program: &[Op], seed: u64, messages: Vec<Input>) -> Result<Self, TestCaseError> {
        let input = Payload::encode(&(program,)).expect("a program");
        let mut world = Self { now_ms: 1_000, ..Self::replayed(Vec::new()) };
        let mut inputs = vec![Input::Start { input, seed, context: Box::default() }];
        inputs.extend(messages);
        world.turn(inputs)?;
        Ok(world)
    }

    /// Delivers the steps up to the next one that is no input, as one turn.
    pub(super) fn take(&mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        let mut inputs = Vec::new();
        for step in steps {
            match step {
                Step::End(which, outcome) if !self.running.is_empty() => {
                    let (activity, attempt) = self.running.remove(which.index(self.running.len()));
                    inputs.push(Input::Attempt { activity, attempt, outcome });
                }
                Step::End(..) => {}
                Step::Stray(activity, attempt, outcome) => {
                    inputs.push(Input::Attempt { activity, attempt, outcome });
                }
                Step::Signal(name, input, request_id) => {
                    inputs.push(Input::Signal { name, input, request_id })
                }
                Step::Cancel(request_id) => {
                    inputs.push(Input::Cancel { request_id, reason: "enough".to_owned() });
                }
                Step::EndChild(which, end) if !self.children.is_empty() => {
                    let child = self.children.remove(which.index(self.children.len()));
                    inputs.push(Input::ChildEnded { child, end });
                }
                Step::EndChild(..) => {}
                Step::StrayChild(child, end) => inputs.push(Input::ChildEnded { child, end }),
                Step::Answer(which, taken) if !self.unanswered.is_empty() => {
                    let command = self.unanswered.remove(which.index(self.unanswered.len()));
                    let refused = taken.then(|| "taken".to_owned());
                    if taken {
                        self.children.retain(|child| *child != command);
                    }
                    inputs.push(Input::Answered { command, refused });
                }
                Step::Answer(..) => {}
                Step::Wait(ms) => {
                    self.turn(std::mem::take(&mut inputs))?;
                    self.now_ms = self.now_ms.saturating_add(ms);
                    self.turn(Vec::new())?;
                }
                Step::Load(taken_over) => {
                    self.turn(std::mem::take(&mut inputs))?;
                    self.load(taken_over)?;
                }
            }
        }
        self.turn(inputs)
    }

    pub(super) fn turn(&mut self, inputs: Vec<Input>) -> Result<(), TestCaseError> {
        let (before, given, last_ms) =
            (self.exec.standing(), inputs.len(), self.rows.last().map_or(0, |row| row.at_ms));
        let turn = self.exec.turn(inputs, self.now_ms);
        prop_assert_eq!(&turn.standing, &self.exec.standing());
        prop_assert!(turn.events.is_empty() || turn.at_ms >= last_ms, "time went back");
        match before {
            // A suspended execution takes no input and writes nothing. Only its arguments are always
            // recorded.
            Standing::Suspended(_) if self.written > 0 => {
                prop_assert!(turn.events.is_empty(), "a suspended execution wrote {:?}", turn.events);
                prop_assert!(turn.attempts.is_empty(), "a suspended execution wrote {:?}", turn.attempts);
                prop_assert_eq!(turn.undelivered.len(), given);
            }
            Standing::Closed => prop_assert!(turn.events.is_empty() && turn.actions.is_empty(), "{:?}", turn),
            _ => {}
        }
        self.check(&turn)?;
        self.keep(&turn)?;
        self.bear(&turn)?;
        self.written += turn.events.len() as u64;
        if !turn.events.is_empty() {
            self.rows.push(JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events });
        }
        for action in turn.actions {
            match action {
                Action::Start(start) => {
                    prop_assert!(!self.stopped.contains(&start.activity), "started again: {:?}", start);
                    self.running.push((start.activity, start.attempt));
                }
                Action::Cancel(stop) => self.stopped.push(stop.activity),
                Action::Abandon(activity) => self.stopped.push(activity),
                Action::Ended { .. } => {}
            }
        }
        Ok(())
    }

    /// What is born was scheduled by this turn, and was not given up in it.
    fn bear(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        for birth in &turn.births {
            let at = usize::try_from(birth.child.0 - turn.seq.0).expect("a short history");
            prop_assert!(matches!(turn.events[at], Event::ChildScheduled { .. }), "{:?}", birth);
            let given_up = Event::ChildCancelRequested { child: birth.child, unborn: true };
            prop_assert!(!turn.events.contains(&given_up), "{:?}", birth);
            self.children.push(birth.child);
            self.unanswered.extend(birth.named.then_some(birth.child));
        }
        for birth in turn.births.iter().filter(|birth| birth.named && turn.standing == Standing::Open) {
            prop_assert!(self.exec.awaits_answer(birth.child), "{:?}", birth);
        }
        Ok(())
    }

    fn check(&self, turn: &Turn) -> Result<(), TestCaseError> {
        if !turn.events.is_empty() {
            prop_assert_eq!(turn.seq.0, self.written + 1, "the events leave a gap");
            prop_assert_eq!(self.exec.history_len(), self.written + turn.events.len() as u64);
        }
        let closes = turn.events.iter().filter(|event| event.is_close()).count();
        let last = turn.events.last().is_some_and(Event::is_close);
        match &turn.standing {
            Standing::Closed => {
                prop_assert!(turn.events.is_empty() || closes == 1 && last, "{:?}", turn.events)
            }
            Standing::Open => prop_assert_eq!(closes, 0),
            Standing::Suspended(reason) => {
                prop_assert_eq!(closes, 0);
                // No program panics, so a panic is a defect of the engine.
                prop_assert!(reason.code.starts_with("AB02") && reason.code != "AB0202", "{}", reason);
            }
        }
        for start in self.exec.outstanding() {
            prop_assert!(
                start.activity.0 >= 1 && start.activity.0 <= self.exec.history_len() && start.attempt >= 1
            );
        }
        Ok(())
    }

    /// Applies the turn's changes to the failed attempts. None may be left of an activity that has ended.
    fn keep(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        for change in &turn.attempts {
            match change {
                AttemptChange::Failed(failed) => drop(self.kept.insert(failed.activity, failed.clone())),
                AttemptChange::Gone(activity) => {
                    prop_assert!(self.kept.remove(activity).is_some() || turn.events.len() > 1, "{:?}", turn);
                }
            }
        }
        if turn.standing == Standing::Closed {
            prop_assert!(turn.attempts.is_empty(), "a close deletes all by itself: {:?}", turn.attempts);
            self.kept.clear();
        }
        for event in &turn.events {
            if let Event::ActivityCompleted { activity, .. } | Event::ActivityFailed { activity, .. } = event
            {
                prop_assert!(!self.kept.contains_key(activity), "{:?} has ended", activity);
            }
        }
        Ok(())
    }

    /// Replays the journal. If the last owner wrote everything, the replay must lead to the same state.
    fn load(&mut self, taken_over: bool) -> Result<(), TestCaseError> {
        let mut again = fresh();
        again.resume_attempts(self.kept.values().cloned().collect());
        let standing = again.replay(self.rows.clone());
        let before = std::mem::replace(&mut self.exec, again);
        let after = &self.exec;
        if !matches!(before.standing(), Standing::Suspended(_)) {
            prop_assert_eq!(standing, before.standing());
            prop_assert_eq!(after.history_len(), before.history_len());
            let starts = |exec: &Execution| {
                let starts = exec.outstanding();
                starts
                    .into_iter()
                    .map(|s| (s.activity, s.attempt, s.not_before_ms, s.scheduled_at_ms))
                    .collect::<Vec<_>>()
            };
            // A close ends the open attempts, and their outcomes are discarded.
            if !after.is_closed() {
                prop_assert_eq!(starts(after), starts(&before));
                prop_assert_eq!(after.cancelling(), before.cancelling());
                prop_assert_eq!(after.lost_in_a_row(), before.lost_in_a_row());
            }
            prop_assert_eq!(after.next_timer_ms(), before.next_timer_ms());
            let answer = |exec: &Execution| {
                exec.query("pushed", &Payload::null()).map(|told| told.expect("a list")).ok()
            };
            prop_assert_eq!(answer(after), answer(&before));
            self.hands_on_what_is_recorded()?;
        }
        if taken_over && self.written > 0 {
            let running = self.running.iter().map(|(activity, _)| *activity).take(1).collect();
            self.turn(vec![Input::Recovered { running, retried_ms: self.now_ms }])?;
        }
        Ok(())
    }
}

impl World {
    /// The journal alone says what the run would hand on. No attempt follows one that was asked to cancel.
    fn hands_on_what_is_recorded(&self) -> Result<(), TestCaseError> {
        let recorded = Recorded::of("r", &self.rows);
        let asked = self.exec.ctx.tables.cancellation.borrow().is_requested();
        if let Some(recorded) = recorded.filter(|_| !asked) {
            prop_assert_eq!(recorded.carried(self.exec.ctx.now_ms()), self.exec.carried());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn whatever_comes_it_numbers_on_and_replays(
        program in program(),
        seed in any::<u64>(),
        first in vec(message(), 0..4),
        turns in vec(vec(step(), 0..4), 0..12),
    ) {
        let mut world = World::started_with(&program, seed, first)?;
        for steps in turns {
            world.take(steps)?;
        }
        world.take(vec![Step::Load(false), Step::Load(true)])?;
    }
}

/// Two attempts are lost with their worker. The result of the first decides about the second.
fn taken_over(program: &[Op]) -> Vec<Event> {
    let mut world = World::started(program, 1).unwrap();
    world.take(vec![Step::Wait(9_000)]).unwrap();
    world.running.clear();
    world.take(vec![Step::Load(true)]).unwrap();
    let rows = world.rows.split_off(1);
    rows.into_iter().flat_map(|row| row.events).collect()
}

#[test]
fn nothing_comes_after_the_close_of_a_take_over() {
    let events = taken_over(&[Op::Spawn(vec![Op::Call(Kind::Here)]), Op::Call(Kind::Limited)]);
    assert_eq!(events[0], Event::Recovered { lost: vec![EventId(2), EventId(3)] });
    assert!(matches!(events[1], Event::ActivityFailed { activity: EventId(2), .. }));
    assert!(matches!(events.last(), Some(Event::Failed { .. })), "{events:?}");
}

#[test]
fn what_a_take_over_cancels_is_not_tried_again() {
    let events = taken_over(&[Op::Race(vec![Op::Call(Kind::Limited)], vec![Op::Call(Kind::Waiting)])]);
    assert_eq!(events[0], Event::Recovered { lost: vec![EventId(2), EventId(3)] });
    assert_eq!(events[2], Event::ActivityCancelRequested { activity: EventId(3) });
    assert!(matches!(events[3], Event::ActivityFailed { activity: EventId(3), .. }));
    assert!(matches!(events.last(), Some(Event::Failed { .. })), "{events:?}");
}
