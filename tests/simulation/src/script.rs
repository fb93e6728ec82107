//! Generates the clients' part of a scenario: who starts, pokes, queries, cancels and terminates what, and
//! when.

use crate::dice::Dice;
use crate::program::Program;
use crate::scenario::{Actor, Ask, Conflict, Line, Reuse, To};

/// The most actors of a scenario.
const ACTORS: u64 = 6;
/// The latest time of a line, in ms.
const HORIZON: u64 = 5_000;

/// The actors of a scenario with these programs.
pub(crate) fn actors(dice: &mut Dice, programs: &[Program]) -> Vec<Actor> {
    let count = dice.tail(1, ACTORS);
    let mut actors: Vec<Actor> = Vec::new();
    for number in 0..count {
        // Two actors that share a workflow id race for it.
        let shared = actors.last().filter(|_| dice.chance(12));
        let (workflow_id, program) = match shared {
            Some(other) => (other.workflow_id.clone(), other.program),
            None => (format!("w{number}"), usize::try_from(dice.below(programs.len() as u64)).unwrap_or(0)),
        };
        let lines = Script { dice, actor: number, next: 0 }.lines(&programs[program]);
        actors.push(Actor { workflow_id, program, lines });
    }
    actors
}

struct Script<'d> {
    dice: &'d mut Dice,
    actor: u64,
    next: u64,
}

impl Script<'_> {
    fn lines(mut self, program: &Program) -> Vec<Line> {
        let begin = self.dice.below(500);
        let start = self.start(Reuse::Allow, Conflict::Fail);
        let mut later = Vec::new();
        if self.dice.chance(15) {
            later.push(start.clone());
        }
        if self.dice.chance(15) {
            let reuse = self.dice.of(&[Reuse::Allow, Reuse::FailedOnly, Reuse::Reject]);
            let conflict = self.dice.of(&[Conflict::Fail, Conflict::UseExisting, Conflict::Terminate]);
            later.push(self.start(reuse, conflict));
        }
        // Some programs only get the pokes at the end, so that some waits with a limit run out.
        let pokes = if self.dice.chance(70) { u64::from(program.pokes()) + self.dice.below(3) } else { 0 };
        (0..pokes).for_each(|_| later.push(self.poke()));
        let visits = self.dice.tail(0, 3);
        (0..visits).for_each(|_| later.push(self.visit()));
        let queries = self.dice.tail(0, 4);
        (0..queries).for_each(|_| later.push(Ask::Query));
        let cancelled = if program.listens() { 60 } else { 20 };
        if self.dice.chance(cancelled) {
            later.push(Ask::Cancel { request: self.request("cancel") });
        }
        if self.dice.chance(7) {
            later.push(Ask::Terminate { request: self.request("terminate") });
        }
        let twice: Vec<Ask> = later.iter().filter(|_| self.dice.chance(12)).cloned().collect();
        later.extend(twice.into_iter().filter(|ask| *ask != Ask::Query));
        self.timed(begin, start, later)
    }

    /// Puts the calls in random order, at random times. The first start comes first.
    fn timed(&mut self, begin: u64, start: Ask, later: Vec<Ask>) -> Vec<Line> {
        let mut lines = vec![self.line(begin, start)];
        for ask in later {
            let at = begin + self.dice.ms(1, HORIZON);
            lines.push(self.line(at, ask));
        }
        // The sort is stable: calls at the same time keep their order.
        lines.sort_by_key(|line| line.at);
        let last = lines.last().map_or(begin, |line| line.at);
        let settle = self.line(last, Ask::Settle);
        lines.push(settle);
        lines
    }

    fn line(&mut self, at: u64, ask: Ask) -> Line {
        let process = u32::try_from(self.dice.below(60)).unwrap_or(0);
        Line { at, process, ask }
    }

    fn request(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{}/{what}-{}", self.actor, self.next)
    }

    fn start(&mut self, reuse: Reuse, conflict: Conflict) -> Ask {
        Ask::Start { request: self.request("start"), reuse, conflict }
    }

    fn poke(&mut self) -> Ask {
        let (request, to) = (self.request("poke"), self.to());
        Ask::Poke { request, n: self.number(), to }
    }

    fn visit(&mut self) -> Ask {
        let (request, to) = (self.request("visit"), self.to());
        Ask::Visit { request, n: self.number(), to }
    }

    /// A number that differs for each signal.
    fn number(&self) -> u64 {
        1_000 * (self.actor + 1) + self.next
    }

    fn to(&mut self) -> To {
        if self.dice.chance(15) { To::Id } else { To::Run }
    }
}
