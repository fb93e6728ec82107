//! Adds what workflows say to others to generated programs: pokes, items of a stream,
//! children, and runs that go on. Adds updates to scripts.
//!
//! It draws from a stream of its own, and leaves half of all scenarios as they are. So the seeds that find a
//! mutant without it still do.

use crate::act::Cancellation;
use crate::dice::Dice;
use crate::generate::small;
use crate::program::{Child, Closes, Hold, Program, Step};
use crate::revision::Revision;
use crate::scenario::{Actor, Ask, Line, Scenario, To};

/// A workflow id that no client starts.
const NOBODY: &str = "nobody";

/// The latest time of an update after the start, in ms.
const HORIZON: u64 = 5_000;

/// Changes the scenario that its seed has given.
pub(crate) fn add(scenario: &mut Scenario) {
    let mut dice = Dice::new(scenario.seed ^ 0x7e11_0000_7e11);
    if dice.chance(50) {
        return;
    }
    let mut ids: Vec<String> = scenario.actors.iter().map(|actor| actor.workflow_id.clone()).collect();
    ids.dedup();
    let mut made = Made { n: 1_000_000 };
    for actor in &mut scenario.actors {
        if dice.chance(50) {
            updates(actor, &mut dice, &mut made);
        }
    }
    for program in &mut scenario.programs {
        if dice.chance(75) {
            let count = dice.tail(1, 6);
            for _ in 0..count {
                let to = match dice.chance(6) {
                    true => NOBODY.to_owned(),
                    false => ids[usize::try_from(dice.below(ids.len() as u64)).unwrap_or(0)].clone(),
                };
                insert(program, &mut dice, Step::Tell { to, n: made.next() });
            }
        }
        if dice.chance(20) {
            let count = dice.tail(1, 3);
            for _ in 0..count {
                let step = Step::Child(Box::new(child(&mut dice, &mut made)));
                insert(program, &mut dice, step);
            }
        }
        // Compensations that are registered keep a run from going on as another.
        let has_saga = program.all().iter().any(|step| matches!(step, Step::Saga { .. }));
        if !has_saga && dice.chance(35) {
            program.lives = lives(&mut dice, 4);
        }
        if dice.chance(35) {
            let count = dice.tail(1, 8);
            (0..count).for_each(|_| insert(program, &mut dice, Step::Publish { n: made.next() }));
        }
    }
}

/// Adds updates to an actor's script, at random times before its last line. Some are asked again later.
fn updates(actor: &mut Actor, dice: &mut Dice, made: &mut Made) {
    let Some(settle) = actor.lines.pop() else { return };
    let begin = actor.lines.first().map_or(0, |line| line.at);
    let count = dice.tail(1, 6);
    for _ in 0..count {
        let n = made.next();
        let to = if dice.chance(15) { To::Id } else { To::Run };
        let ask = Ask::Count { request: format!("count-{n}"), n, weighs: dice.chance(50), to };
        let times = if dice.chance(25) { 2 } else { 1 };
        for _ in 0..times {
            let process = u32::try_from(dice.below(60)).unwrap_or(0);
            actor.lines.push(Line { at: begin + dice.ms(1, HORIZON), process, ask: ask.clone() });
        }
    }
    // The first start stays first: no line is earlier, and the sort is stable.
    actor.lines.sort_by_key(|line| line.at);
    let last = actor.lines.last().map_or(settle.at, |line| line.at);
    actor.lines.push(Line { at: settle.at.max(last), ..settle });
}

/// The steps of runs that go on for another.
fn lives(dice: &mut Dice, most: u64) -> Vec<Vec<Step>> {
    let count = dice.tail(1, most);
    (0..count).map(|_| small(dice, String::new()).steps).collect()
}

fn child(dice: &mut Dice, made: &mut Made) -> Child {
    let mut program = small(dice, format!("c{}", made.next()));
    if dice.chance(30) {
        program.lives = lives(dice, 2);
    }
    let hold = match dice.below(10) {
        0..=5 => Hold::Await,
        6..=7 => Hold::Handle { n: made.next() },
        _ => Hold::Leave,
    };
    Child {
        program,
        // Children of several runs contend for it.
        id: dice.chance(25).then(|| format!("child-{}", dice.below(2))),
        hold,
        close: dice.of(&[Closes::Terminate, Closes::Terminate, Closes::Cancel, Closes::Abandon]),
        cancellation: dice.of(&[
            Cancellation::Wait,
            Cancellation::Wait,
            Cancellation::Try,
            Cancellation::Abandon,
        ]),
    }
}

/// Numbers that differ from each other and from those of the scripts.
struct Made {
    n: u64,
}

impl Made {
    fn next(&mut self) -> u64 {
        self.n += 1;
        self.n
    }
}

/// Puts a step at a random place, at any depth.
fn insert(program: &mut Program, dice: &mut Dice, step: Step) {
    let places = places(&program.steps);
    let mut at = dice.below(places);
    let outer = put(&mut program.steps, &mut at, &mut Some(step));
    if let (Some(outer), Some(Revision { at, .. })) = (outer, &mut program.revision) {
        *at += usize::from(outer <= *at);
    }
}

/// How many places these steps have for another one.
fn places(steps: &[Step]) -> u64 {
    let inner: u64 = steps.iter().flat_map(Step::bodies).map(places).sum();
    steps.len() as u64 + 1 + inner
}

/// Puts the step at place `at`, counted from here. Its index, if it is one of these steps.
fn put(steps: &mut Vec<Step>, at: &mut u64, step: &mut Option<Step>) -> Option<usize> {
    let own = steps.len() as u64 + 1;
    if *at < own {
        let index = usize::try_from(*at).unwrap_or(0);
        steps.extend(step.take());
        steps[index..].rotate_right(1);
        return Some(index);
    }
    *at -= own;
    for body in steps.iter_mut().flat_map(Step::bodies_mut) {
        let inner = places(body);
        if *at < inner {
            put(body, at, step);
            return None;
        }
        *at -= inner;
    }
    None
}
