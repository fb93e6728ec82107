//! Generates scenarios from seeds: mostly small ones, sometimes a larger one.
//!
//! A generated scenario always ends. A step that cannot end by itself occurs only beside another step that
//! ends, and each script sends the pokes that its program waits for. The model relies on that.

use crate::act::{Act, Cancellation, Deed, How, OnError, Options, Place, Role};
use crate::dice::Dice;
use crate::program::{Draw, Fan, Leg, NEVER, Program, SagaEnd, Step, Then};
use crate::revision::{Change, Revision};
use crate::scenario::Scenario;

/// How deep steps may be nested.
const DEPTH: u32 = 3;
/// The most activities in a fan.
const WIDE: u64 = 24;

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn generate(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let count = dice.tail(1, 3);
        let programs: Vec<Program> =
            (0..count).map(|n| Maker::new(&mut dice).program(format!("p{n}"))).collect();
        let actors = crate::script::actors(&mut dice, &programs);
        let mut scenario = Self { seed, programs, actors };
        crate::talk::add(&mut scenario);
        crate::more::add(&mut scenario);
        scenario
    }
}

/// The constraints of a step's place.
#[derive(Clone, Copy)]
struct Spot {
    depth: u32,
    /// A step beside it ends, so it need not end.
    endless: bool,
    /// It may end the run.
    stops: bool,
}

/// A small program that ends without pokes and has no saga, for children and for runs that go on.
pub(crate) fn small(dice: &mut Dice, name: String) -> Program {
    let mut maker = Maker { dice, labels: 0, sagas: 0, budget: 4, pokes: 0 };
    let spot = Spot { depth: 2, endless: false, stops: true };
    let length = maker.dice.between(1, 2);
    let mut steps: Vec<Step> = Vec::new();
    while (steps.len() as u64) < length {
        let step = maker.step(spot);
        let alone = Program { steps: vec![step.clone()], ..Program::default() };
        let fits = |step: &&Step| !matches!(step, Step::Saga { .. } | Step::Until { ms: None, .. });
        if alone.all().iter().all(fits) {
            steps.push(step);
        }
    }
    Program { name, steps, ..Program::default() }
}

struct Maker<'d> {
    dice: &'d mut Dice,
    labels: u32,
    sagas: u32,
    /// How many more steps it may generate.
    budget: u32,
    pokes: u32,
}

impl<'d> Maker<'d> {
    fn new(dice: &'d mut Dice) -> Self {
        let budget = u32::try_from(dice.tail(8, 48)).unwrap_or(4);
        Self { dice, labels: 0, sagas: 0, budget, pokes: 0 }
    }

    fn program(&mut self, name: String) -> Program {
        let mut steps = Vec::new();
        let spot = Spot { depth: 0, endless: false, stops: true };
        let length = self.dice.tail(3, 10);
        for _ in 0..length {
            steps.push(self.step(spot));
        }
        if self.dice.chance(15) {
            let code = u32::try_from(self.dice.below(100)).unwrap_or(0);
            steps.push(Step::Fail { code });
        }
        let revision = self.dice.chance(25).then(|| self.revision(&steps));
        Program { name, steps, revision, ..Program::default() }
    }

    /// A change that does not affect anything that a script or another step relies on.
    fn revision(&mut self, steps: &[Step]) -> Revision {
        let at = usize::try_from(self.dice.below(steps.len() as u64)).unwrap_or(0);
        let leaves = matches!(steps[at], Step::Act(_) | Step::Sleep { .. } | Step::Draw { .. });
        let change = match self.dice.below(3) {
            0 => Change::Mend,
            1 if leaves => Change::LeaveOut,
            _ => Change::Add(match self.dice.chance(70) {
                true => Step::Act(self.simple_act(Role::Plain)),
                false => Step::Sleep { ms: self.dice.ms(1, 2_000) },
            }),
        };
        Revision { at, change }
    }

    fn body(&mut self, spot: Spot) -> Vec<Step> {
        let length = self.dice.tail(1, 4);
        (0..length).map(|_| self.step(Spot { depth: spot.depth + 1, ..spot })).collect()
    }

    fn step(&mut self, spot: Spot) -> Step {
        self.budget = self.budget.saturating_sub(1);
        if spot.depth >= DEPTH || self.budget == 0 {
            return self.leaf(spot);
        }
        // Steps that end the run are rare: otherwise most of a program would never be reached.
        let stop = if spot.stops { 2 } else { 0 };
        match self.dice.weighted(&[50, 8, 9, 5, 8, 8, 6, 9, 5, stop]) {
            0 => self.leaf(spot),
            1 => {
                let body = self.body(Spot { endless: true, ..spot });
                Step::Timeout { ms: self.dice.ms(10, 4_000), body }
            }
            2 => Step::Join { branches: self.branches(spot, 2, 5) },
            3 => Step::TryJoin { branches: self.branches(Spot { endless: false, ..spot }, 2, 4) },
            4 => self.fan(),
            5 => self.select(spot),
            6 => {
                let then = match self.dice.below(10) {
                    0..=4 => Then::Await,
                    5..=7 => Then::Detach,
                    _ => Then::Abort { ms: self.dice.ms(1, 2_000) },
                };
                let endless = then != Then::Await || spot.endless;
                Step::Spawn { body: self.body(Spot { endless, ..spot }), then }
            }
            7 => self.saga(),
            8 => Step::Shield { body: self.body(Spot { endless: false, ..spot }) },
            _ => Step::Return,
        }
    }

    fn leaf(&mut self, spot: Spot) -> Step {
        match self.dice.weighted(&[50, 14, 14, 16, if spot.endless { 10 } else { 0 }]) {
            0 => Step::Act(self.act(Role::Plain)),
            1 => Step::Sleep { ms: self.dice.ms(1, 6_000) },
            2 => self.until(),
            3 => {
                let whats = [Draw::Random, Draw::Range, Draw::Uuid, Draw::Now, Draw::SideEffect];
                let what = self.dice.of(&whats);
                Step::Draw { what, act: self.act(Role::Plain) }
            }
            _ => match self.dice.below(4) {
                0 => Step::Until { pokes: NEVER, ms: None },
                1 => Step::Cancelled,
                _ => Step::Act(self.endless_act()),
            },
        }
    }

    fn until(&mut self) -> Step {
        match self.dice.below(4) {
            0 => Step::Until { pokes: NEVER, ms: Some(self.dice.ms(5, 3_000)) },
            1 => Step::Until { pokes: self.next_poke(), ms: Some(self.dice.ms(20, 3_000)) },
            _ => Step::Until { pokes: self.next_poke(), ms: None },
        }
    }

    fn next_poke(&mut self) -> u32 {
        self.pokes = (self.pokes + u32::from(self.dice.chance(70))).min(6);
        self.pokes
    }

    fn branches(&mut self, spot: Spot, least: u64, most: u64) -> Vec<Vec<Step>> {
        let count = self.dice.tail(least, most);
        (0..count).map(|_| self.body(spot)).collect()
    }

    /// The last branch ends, whatever the others do.
    fn select(&mut self, spot: Spot) -> Step {
        let others = self.dice.tail(1, 4);
        let mut branches: Vec<Vec<Step>> =
            (0..others).map(|_| self.body(Spot { endless: true, ..spot })).collect();
        branches.push(match self.dice.chance(60) {
            true => vec![Step::Sleep { ms: self.dice.ms(5, 3_000) }],
            false => self.body(Spot { endless: spot.endless, ..spot }),
        });
        Step::Select { branches }
    }

    fn fan(&mut self) -> Step {
        let count = self.dice.tail(2, WIDE);
        let width = usize::try_from(self.dice.between(1, 8)).unwrap_or(1);
        let how = match self.dice.below(5) {
            0 => Fan::JoinAll,
            1 => Fan::Unordered,
            2 => Fan::Ordered,
            3 => Fan::Buffered { width },
            _ => Fan::BufferUnordered { width },
        };
        let mut acts: Vec<Act> = (0..count).map(|_| self.act(Role::Plain)).collect();
        // At most the first of many activities raises its error.
        acts.iter_mut().skip(1).for_each(|act| act.on_error = OnError::Keep);
        Step::Fan { how, acts }
    }

    fn saga(&mut self) -> Step {
        self.sagas += 1;
        let saga = self.sagas;
        let count = self.dice.tail(1, 6);
        let legs = (0..count).map(|_| self.leg(saga)).collect();
        let end = match self.dice.below(10) {
            0..=6 => SagaEnd::Keep,
            7..=8 => SagaEnd::Compensate,
            _ => SagaEnd::Forget,
        };
        Step::Saga { saga, legs, end }
    }

    fn leg(&mut self, saga: u32) -> Leg {
        let act = self.act(Role::Leg { saga });
        let mut undo = self.simple_act(Role::Undo { saga });
        if self.dice.chance(15) {
            undo.deeds = vec![Deed { ms: self.dice.tail(0, 200), how: How::Refuse, heeds: false }];
        }
        Leg { act, undo }
    }
}

/// Generates activities.
impl Maker<'_> {
    fn label(&mut self) -> u32 {
        self.labels += 1;
        self.labels
    }

    /// Any activity that ends.
    fn act(&mut self, role: Role) -> Act {
        let mut act = self.simple_act(role);
        if self.dice.chance(25) {
            act.on_error = OnError::Raise;
        }
        match self.dice.below(20) {
            // Hangs, is timed out, and then succeeds or has had its last attempt.
            0..=1 => {
                // The limit leaves enough time for the deeds that return: they must not time out for ever.
                let longest = act.deeds.iter().map(|deed| deed.ms).max().unwrap_or(0);
                act.options.start_to_close = Some(self.dice.ms(10, 800) + longest * 2 + 100);
                let hangs = usize::try_from(self.dice.between(1, 2)).unwrap_or(1);
                act.deeds.splice(0..0, std::iter::repeat_n(hang(), hangs));
                act.options.max_attempts = if self.dice.chance(40) { 2 } else { 0 };
            }
            // Possibly too slow for its limit.
            2 => {
                let ms = self.dice.ms(20, 800);
                act.options.start_to_close = Some(ms);
                act.deeds = vec![Deed { ms: ms + self.dice.below(100), how: How::Return, heeds: false }];
                act.options.max_attempts = 2;
            }
            3 => {
                act.options.schedule_to_close = Some(self.dice.ms(20, 2_000));
                if self.dice.chance(50) {
                    act.deeds = vec![hang()];
                }
            }
            4 => {
                act.options.place = Place::Nowhere;
                let ms = Some(self.dice.ms(10, 1_000));
                match self.dice.chance(60) {
                    true => act.options.schedule_to_start = ms,
                    false => act.options.schedule_to_close = ms,
                }
            }
            5 => act.options.max_attempts = u32::try_from(self.dice.between(1, 4)).unwrap_or(1),
            6 => act.deeds = vec![self.deed(How::Refuse)],
            7 => {
                act.deeds = vec![self.deed(How::Retry)];
                act.options.max_attempts = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
            }
            _ => {}
        }
        act
    }

    /// An activity whose result is known in every case: it has unlimited attempts, and finally returns.
    fn simple_act(&mut self, role: Role) -> Act {
        let label = self.label();
        let mut deeds: Vec<Deed> = Vec::new();
        if self.dice.chance(30) {
            let failures = self.dice.tail(1, 5);
            (0..failures).for_each(|_| deeds.push(self.deed(How::Retry)));
        }
        deeds.push(self.deed(How::Return));
        let cancellation = match self.dice.below(10) {
            0 => Cancellation::Wait,
            1 => Cancellation::Abandon,
            _ => Cancellation::Try,
        };
        let place = if self.dice.chance(25) { Place::Away } else { Place::Here };
        let options = Options { backoff: self.dice.ms(5, 1_000), cancellation, place, ..Options::default() };
        Act { role, deeds, options, ..Act::new(label) }
    }

    fn endless_act(&mut self) -> Act {
        let mut act = self.simple_act(Role::Plain);
        // An abandoned activity would hang beyond the end of its workflow.
        if act.options.cancellation == Cancellation::Abandon {
            act.options.cancellation = Cancellation::Try;
        }
        match self.dice.chance(25) {
            true => act.options.place = Place::Nowhere,
            false => act.deeds = vec![hang()],
        }
        act
    }

    fn deed(&mut self, how: How) -> Deed {
        let ms = if self.dice.chance(30) { 0 } else { self.dice.ms(1, 2_000) };
        Deed { ms, how, heeds: self.dice.chance(50) }
    }
}

fn hang() -> Deed {
    Deed { ms: 0, how: How::Hang, heeds: true }
}
