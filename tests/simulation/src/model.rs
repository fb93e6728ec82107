//! The possible results of a program.
//!
//! The value of a run is a tree with the shape of its program, and is checked node by node. Most nodes are
//! exact, whatever the timing and the killed processes: activities with unlimited attempts that finally
//! return, drawn values, sleeps, joins, fans, sagas, and waits for pokes without a limit. Only a predicate is
//! checked for three things. Which branch of a `select!` won or broke a `try_join!`: one that can end, and of
//! plain sleeps the shortest. Whether a limit ran out: not before the steps inside could have ended, and
//! always if they never end. And which error an activity with few attempts or a limit ended with.

use crate::act::{Act, How, OnError, Place};
use crate::evidence::Weather;
use crate::program::{Hold, Leg, NEVER, Program, SagaEnd, Step, Then};
use crate::value::{Output, Seen, Trouble, Value};
use std::collections::BTreeMap;

/// What is known of the run besides its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) weather: Weather,
    /// Its timers may be those of other steps (see [`Program::moves_timers`]), so their order tells nothing.
    pub(crate) timers_move: bool,
    /// How many pokes its history has.
    pub(crate) pokes: usize,
    /// How many of the pokes came before it began.
    pub(crate) early_pokes: usize,
    /// Which attempt of its workflow the run is.
    pub(crate) attempt: u32,
    /// The reason of the cancellation in its history.
    pub(crate) cancelled: Option<String>,
    /// The notes that its activities received, by label.
    pub(crate) notes: BTreeMap<u32, String>,
    /// The answers to its pokes of workflows, by their numbers.
    pub(crate) told: BTreeMap<u64, bool>,
    /// How its children have ended, by the names of their programs.
    pub(crate) children: BTreeMap<String, Seen>,
}

/// What is wrong with this output of this program. Empty if nothing is wrong.
pub(crate) fn check(program: &Program, output: &Output, facts: &Facts) -> Vec<String> {
    let mut model = Model { facts, place: Vec::new(), wrong: Vec::new() };
    model.sequence(&program.steps, &output.value);
    model.wrong
}

struct Model<'f> {
    facts: &'f Facts,
    /// The current place in the program.
    place: Vec<String>,
    wrong: Vec<String>,
}

impl Model<'_> {
    fn wrong(&mut self, text: impl AsRef<str>) {
        self.wrong.push(format!("at {}: {}", self.place.join("."), text.as_ref()));
    }

    fn within(&mut self, place: impl ToString, check: impl FnOnce(&mut Self)) {
        self.place.push(place.to_string());
        check(self);
        self.place.pop();
    }

    fn sequence(&mut self, steps: &[Step], value: &Value) {
        let Value::Seq(values) = value else { return self.wrong(format!("{value:?} is no sequence")) };
        if values.len() > steps.len() {
            return self.wrong(format!("{} values of {} steps", values.len(), steps.len()));
        }
        for (at, (step, value)) in steps.iter().zip(values).enumerate() {
            self.within(at, |model| model.step(step, value));
            if value.stops().is_some() && at + 1 < values.len() {
                self.wrong(format!("it went on after step {at} had ended the run"));
            }
        }
        let stopped = values.last().is_some_and(|value| value.stops().is_some());
        if values.len() < steps.len() && !stopped {
            self.wrong(format!("it ended after {} of {} steps", values.len(), steps.len()));
        }
    }

    fn step(&mut self, step: &Step, value: &Value) {
        match (step, value) {
            (Step::Act(act), value) => self.act(act, value),
            (Step::Sleep { .. } | Step::Spawn { then: Then::Detach, .. }, Value::Done) => {}
            (Step::Spawn { then: Then::Abort { .. }, .. }, Value::Aborted) => {}
            (Step::Timeout { ms, body }, value) => self.timeout(*ms, body, value),
            (Step::Until { pokes, ms }, value) => self.until(*pokes, *ms, value),
            (Step::Join { branches }, Value::All(values)) => self.branches(branches, values),
            (Step::TryJoin { branches }, Value::All(values)) => {
                self.branches(branches, values);
                if value.stops().is_some() {
                    self.wrong("a broken `try_join!` is told as a whole one");
                }
            }
            (Step::TryJoin { branches }, Value::Won { branch, value }) => {
                self.won(branches, *branch, value);
                if value.stops().is_none() {
                    self.wrong("a `try_join!` was broken by a branch that did not end the run");
                }
            }
            (Step::Select { branches }, Value::Won { branch, value }) => {
                self.won(branches, *branch, value);
                self.race(branches, *branch);
            }
            (Step::Fan { acts, .. }, Value::All(values)) if acts.len() == values.len() => {
                for (at, (act, value)) in acts.iter().zip(values).enumerate() {
                    self.within(at, |model| model.act(act, value));
                }
            }
            (Step::Spawn { body, then: Then::Await | Then::Abort { .. } } | Step::Shield { body }, value) => {
                self.sequence(body, value)
            }
            (Step::Draw { act, .. }, Value::Drawn { note, result }) => self.drawn(act, note, result),
            (Step::Saga { legs, end, .. }, Value::Saga { legs: values, failures }) => {
                self.saga(legs, *end, values, *failures);
            }
            (Step::Cancelled, Value::Reason(reason)) if self.facts.cancelled.as_ref() == Some(reason) => {}
            (Step::Tell { n, .. }, Value::Told(told)) if self.facts.told.get(n) == Some(told) => {}
            (Step::Publish { .. }, Value::Done) => {}
            (Step::Child(child), Value::Child(Seen::Left)) if child.hold == Hold::Leave => {}
            (Step::Child(child), Value::Child(seen))
                if self.facts.children.get(&child.program.name) == Some(seen) => {}
            (Step::Falter { before, code }, Value::Fail { code: found })
                if code == found && self.facts.attempt < *before => {}
            (Step::Falter { before, .. }, Value::Done) if self.facts.attempt >= *before => {}
            (Step::Return, Value::Return) => {}
            (Step::Fail { code }, Value::Fail { code: found }) if code == found => {}
            _ => self.wrong(format!("{value:?} cannot come of {step:?}")),
        }
    }

    fn timeout(&mut self, ms: u64, body: &[Step], value: &Value) {
        let least = least(body);
        match value {
            Value::In(value) => {
                self.within("in", |model| model.sequence(body, value));
                // A step that ends the run may end the body early.
                let ends = value.stops().is_none() && !self.facts.timers_move;
                if ends && least.is_none_or(|least| least > ms) {
                    self.wrong(format!("{body:?} cannot end within {ms}"));
                }
            }
            Value::Elapsed => {
                // Both timers start in one turn, and fire in the order of their times.
                if let [Step::Sleep { ms: sleep }] = body
                    && *sleep <= ms
                    && !self.facts.timers_move
                {
                    self.wrong(format!("a sleep of {sleep} took longer than {ms}"));
                }
            }
            _ => self.wrong(format!("{value:?} cannot come of a timeout")),
        }
    }

    fn until(&mut self, pokes: u32, ms: Option<u64>, value: &Value) {
        let came = pokes < NEVER && self.facts.pokes >= pokes as usize;
        match (ms, value) {
            (None, Value::Done) if came => {}
            (Some(_), Value::In(value)) if came && **value == Value::Done => {}
            // Pokes from before it began are always there when it checks.
            (Some(_), Value::Elapsed) if pokes as usize > self.facts.early_pokes => {}
            _ => self.wrong(format!("{value:?} of {pokes} pokes, where {} came", self.facts.pokes)),
        }
    }

    fn branches(&mut self, branches: &[Vec<Step>], values: &[Value]) {
        if branches.len() != values.len() {
            return self.wrong(format!("{} values of {} branches", values.len(), branches.len()));
        }
        for (at, (branch, value)) in branches.iter().zip(values).enumerate() {
            self.within(format!("branch {at}"), |model| model.sequence(branch, value));
        }
    }

    fn won(&mut self, branches: &[Vec<Step>], at: usize, value: &Value) {
        match branches.get(at) {
            Some(branch) => self.within(format!("branch {at}"), |model| model.sequence(branch, value)),
            None => self.wrong(format!("there is no branch {at}")),
        }
    }

    /// If all branches are plain sleeps, the shortest fires first; of equal ones, the first.
    fn race(&mut self, branches: &[Vec<Step>], won: usize) {
        let sleep = |branch: &Vec<Step>| match branch[..] {
            [Step::Sleep { ms }] => Some(ms),
            _ => None,
        };
        let Some(winner) = branches.get(won).and_then(sleep).filter(|_| !self.facts.timers_move) else {
            return;
        };
        for (at, branch) in branches.iter().enumerate() {
            if sleep(branch).is_some_and(|ms| (ms, at) < (winner, won)) {
                self.wrong(format!("a sleep of {winner} in branch {won} was faster than branch {at}"));
            }
        }
    }

    fn drawn(&mut self, act: &Act, note: &str, result: &Value) {
        match self.facts.notes.get(&act.label) {
            Some(given) if given == note => {}
            given => self.wrong(format!("it drew {note}, and activity {} was given {given:?}", act.label)),
        }
        let told = Act { note: Some(note.to_owned()), ..act.clone() };
        self.act(&told, result);
    }

    fn saga(&mut self, legs: &[Leg], end: SagaEnd, values: &[Value], failures: Option<usize>) {
        for (at, (leg, value)) in legs.iter().zip(values).enumerate() {
            self.within(format!("leg {at}"), |model| model.act(&leg.act, value));
        }
        let stopped = values.last().is_some_and(|value| value.stops().is_some());
        if values.len() != legs.len() && !stopped {
            self.wrong(format!("{} of {} legs", values.len(), legs.len()));
        }
        let by_hand = end == SagaEnd::Compensate && !stopped;
        let done = legs.iter().zip(values).filter(|(_, value)| matches!(value, Value::Number(_)));
        let failing = done.filter(|(leg, _)| leg.undo.deed(1).how == How::Refuse).count();
        if failures != by_hand.then_some(failing) {
            self.wrong(format!("{failures:?} compensations failed by hand, not {failing}"));
        }
    }

    fn act(&mut self, act: &Act, value: &Value) {
        let may = May { act, weather: self.facts.weather };
        let holds = match (act.on_error, value) {
            (_, Value::Number(number)) => *number == act.result() && may.return_(),
            (OnError::Keep, Value::Failed(trouble)) | (OnError::Raise, Value::Raised(trouble)) => {
                may.fail(trouble)
            }
            _ => false,
        };
        if !holds {
            self.wrong(format!("{value:?} cannot come of {act:?}, whose result is {}", act.result()));
        }
    }
}

/// The possible results of an activity.
struct May<'a> {
    act: &'a Act,
    weather: Weather,
}

impl May<'_> {
    /// Whether there may be an attempt with this number.
    fn has(&self, attempt: u32) -> bool {
        let most = self.act.options.max_attempts;
        self.act.options.place != Place::Nowhere && attempt >= 1 && (most == 0 || attempt <= most)
    }

    /// Whether this attempt may have failed in a way that leads to the next.
    fn passes(&self, attempt: u32) -> bool {
        let deed = self.act.deed(attempt);
        let limit = self.act.options.start_to_close;
        let late = limit.is_some_and(|ms| deed.how == How::Hang || deed.ms >= ms || self.weather.delays);
        self.weather.losses || deed.how == How::Retry || late
    }

    fn reaches(&self, attempt: u32) -> bool {
        // Attempts beyond the deeds repeat the last deed. If it passes once, it always passes.
        let distinct = u32::try_from(self.act.deeds.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.has(attempt) && (1..attempt.min(distinct)).all(|earlier| self.passes(earlier))
    }

    /// Whether a failure that another attempt could fix may be final.
    fn last(&self, attempt: u32) -> bool {
        attempt == self.act.options.max_attempts || self.act.options.schedule_to_close.is_some()
    }

    fn attempts(&self) -> std::ops::RangeInclusive<u32> {
        let deeds = u32::try_from(self.act.deeds.len()).unwrap_or(u32::MAX);
        1..=deeds.max(self.act.options.max_attempts)
    }

    fn return_(&self) -> bool {
        self.attempts().any(|attempt| self.reaches(attempt) && self.act.deed(attempt).how == How::Return)
    }

    fn fail(&self, trouble: &Trouble) -> bool {
        let options = &self.act.options;
        match *trouble {
            Trouble::Refused { attempt, label, stopped } => {
                let how = self.act.deed(attempt).how;
                let told = how == How::Refuse || how == How::Retry && self.last(attempt);
                label == self.act.label && !stopped && self.reaches(attempt) && told
            }
            Trouble::StartToClose => options.start_to_close.is_some_and(|ms| {
                let cut_off = |attempt| {
                    let deed = self.act.deed(attempt);
                    deed.how == How::Hang || deed.ms >= ms || self.weather.delays
                };
                self.attempts().any(|attempt| self.reaches(attempt) && cut_off(attempt) && self.last(attempt))
            }),
            Trouble::ScheduleToClose => options.schedule_to_close.is_some(),
            Trouble::ScheduleToStart => {
                options.schedule_to_start.is_some()
                    && (options.place == Place::Nowhere || self.weather != Weather::default())
            }
            Trouble::WorkerLost => {
                let may_be_last = options.max_attempts != 0 || options.schedule_to_close.is_some();
                self.weather.losses && may_be_last && options.place != Place::Nowhere
            }
            Trouble::Cancelled | Trouble::Other(_) => false,
        }
    }
}

/// The least time that these steps take, according to the workflow's own timers. `None`: they never end. A
/// step that ends the run makes it shorter.
pub(crate) fn least(steps: &[Step]) -> Option<u64> {
    steps.iter().try_fold(0_u64, |sum, step| Some(sum.saturating_add(least_of(step)?)))
}

fn least_of(step: &Step) -> Option<u64> {
    let all =
        |branches: &[Vec<Step>]| branches.iter().map(|branch| least(branch)).collect::<Option<Vec<_>>>();
    match step {
        Step::Sleep { ms } => Some(*ms),
        Step::Act(act) if act.is_endless() => None,
        Step::Until { pokes, ms: None } if *pokes >= NEVER => None,
        Step::Until { pokes, ms: Some(ms) } if *pokes >= NEVER => Some(*ms),
        // A limit ends the body if it would take longer.
        Step::Timeout { ms, body } => Some(least(body).map_or(*ms, |least| least.min(*ms))),
        Step::Join { branches } => all(branches)?.into_iter().max(),
        Step::Select { branches } => branches.iter().filter_map(|branch| least(branch)).min(),
        Step::Spawn { body, then: Then::Await } | Step::Shield { body } => least(body),
        Step::Spawn { then: Then::Abort { ms }, .. } => Some(*ms),
        _ => Some(0),
    }
}
