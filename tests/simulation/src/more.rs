//! Adds to generated scenarios: starts that bring a message, workflows that are tried again, time limits, activities
//! that publish, and requests that are repeated while a chain goes on.
//!
//! It draws from a stream of its own, and leaves half of all scenarios as they are, and all of the first seeds: those
//! that once found a bug, or find a mutant, are among them.

use crate::act::{Act, Place};
use crate::dice::Dice;
use crate::program::{NEVER, Program, Step};
use crate::scenario::{Actor, Ask, Brings, Line, Scenario, To};
use crate::terms::Terms;

/// The seeds below this one have scenarios without it.
pub(crate) const FIRST: u64 = 10_000;

/// The latest time of a call after the start, in ms.
const HORIZON: u64 = 6_000;

/// Changes the scenario that its seed has given.
pub(crate) fn add(scenario: &mut Scenario) {
    let mut dice = Dice::new(scenario.seed ^ 0x3a17_0000_3a17);
    if scenario.seed < FIRST || dice.chance(50) {
        return;
    }
    let mut n = 2_000_000;
    for program in &mut scenario.programs {
        retried(program, &mut dice, 35);
        limited(program, &mut dice, 30);
        if dice.chance(30) {
            program.each(&mut |step| step.acts_mut().into_iter().for_each(|act| publishes(act, &mut dice)));
        }
        program.each(&mut |step| {
            if let Step::Child(child) = step {
                retried(&mut child.program, &mut dice, 30);
                limited(&mut child.program, &mut dice, 20);
            }
        });
    }
    for actor in &mut scenario.actors {
        let program = &scenario.programs[actor.program];
        let mut script = Script { dice: &mut dice, n: &mut n, lines: Vec::new() };
        if script.dice.chance(50) {
            script.starts(actor);
        }
        let goes_on = !program.lives.is_empty() || program.terms.attempts > 0;
        if goes_on && script.dice.chance(60) {
            script.repeats();
        }
        let lines = script.lines;
        insert(actor, lines);
    }
}

/// A program that is tried again after a failure, and perhaps fails.
fn retried(program: &mut Program, dice: &mut Dice, percent: u64) {
    if !dice.chance(percent) {
        return;
    }
    program.terms.attempts = u32::try_from(dice.between(2, 4)).unwrap_or(2);
    program.terms.backoff = dice.ms(5, 3_000);
    if dice.chance(75) {
        let code = u32::try_from(dice.below(100)).unwrap_or(0);
        let before = u32::try_from(dice.between(2, 5)).unwrap_or(2);
        let steps = if dice.chance(50) { program.lives.last_mut() } else { None };
        steps.unwrap_or(&mut program.steps).push(Step::Falter { before, code });
    }
    // The pokes that an attempt has taken in are gone with it, and the clients send no others.
    let mut ends = |steps: &mut Vec<Step>| {
        crate::program::each(steps, &mut |step| {
            if let Step::Until { pokes, ms } = step
                && *pokes < NEVER
                && ms.is_none()
            {
                *ms = Some(dice.ms(20, 3_000));
            }
        });
    };
    ends(&mut program.steps);
    program.lives.iter_mut().for_each(ends);
}

/// A program with time limits. Some have nothing else that ends them.
fn limited(program: &mut Program, dice: &mut Dice, percent: u64) {
    if !dice.chance(percent) {
        return;
    }
    let Terms { run, chain, .. } = &mut program.terms;
    let which = dice.below(4);
    *run = (which < 3).then(|| dice.ms(50, 20_000));
    *chain = (which > 1).then(|| dice.ms(100, 30_000));
    if dice.chance(40) {
        program.steps.push(Step::Until { pokes: NEVER, ms: None });
    }
}

/// An activity that publishes. The end of its attempt waits for its items, so it has no limit of its own.
fn publishes(act: &mut Act, dice: &mut Dice) {
    let options = &act.options;
    let limits = [options.start_to_close, options.schedule_to_close, options.schedule_to_start];
    let fits = options.place != Place::Nowhere && limits.iter().all(Option::is_none);
    if fits && dice.chance(60) {
        act.items = dice.tail(1, 24);
    }
}

/// Makes more calls of an actor.
struct Script<'d> {
    dice: &'d mut Dice,
    n: &'d mut u64,
    lines: Vec<(u64, u32, Ask)>,
}

impl Script<'_> {
    /// Starts that bring a message. One may take the place of the first start.
    fn starts(&mut self, actor: &mut Actor) {
        if self.dice.chance(40)
            && let Some(Line { ask: first, .. }) = actor.lines.first().cloned()
        {
            let with = self.with();
            let same = actor.lines.iter_mut().filter(|line| line.ask == first);
            same.for_each(|line| line.ask = with.clone());
        }
        let count = self.dice.tail(0, 3);
        for _ in 0..count {
            let with = self.with();
            self.some_times(&with, 3);
        }
    }

    fn with(&mut self) -> Ask {
        *self.n += 1;
        let own = self.dice.chance(50);
        let brings = self.dice.of(&[
            Brings::Poke,
            Brings::Visit,
            Brings::Count { weighs: false },
            Brings::Count { weighs: true },
        ]);
        Ask::StartWith { request: format!("with-{}", self.n), n: *self.n, brings, own }
    }

    /// Messages that are sent again while the chain goes on.
    fn repeats(&mut self) {
        let count = self.dice.between(1, 3);
        for _ in 0..count {
            *self.n += 1;
            let n = *self.n;
            let ask = match self.dice.below(3) {
                0 => Ask::Poke { request: format!("again-{n}"), n, to: To::Run },
                1 => Ask::Visit { request: format!("again-{n}"), n, to: To::Run },
                _ => {
                    Ask::Count { request: format!("again-{n}"), n, weighs: self.dice.chance(50), to: To::Run }
                }
            };
            self.some_times(&ask, 6);
        }
    }

    fn some_times(&mut self, ask: &Ask, most: u64) {
        let times = self.dice.between(1, most);
        for _ in 0..times {
            let (after, process) = (self.dice.ms(1, HORIZON), self.dice.below(60));
            self.lines.push((after, u32::try_from(process).unwrap_or(0), ask.clone()));
        }
    }
}

/// Adds calls at their times after the first start, before the last line.
fn insert(actor: &mut Actor, lines: Vec<(u64, u32, Ask)>) {
    let Some(settle) = actor.lines.pop() else { return };
    let begin = actor.lines.first().map_or(0, |line| line.at);
    let lines = lines.into_iter().map(|(after, process, ask)| Line { at: begin + after, process, ask });
    actor.lines.extend(lines);
    // The first start stays first: no line is earlier, and the sort is stable.
    actor.lines.sort_by_key(|line| line.at);
    let last = actor.lines.last().map_or(settle.at, |line| line.at);
    actor.lines.push(Line { at: settle.at.max(last), ..settle });
}
