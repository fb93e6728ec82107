//! The virtual world: processes, one database, clients, and faults, all on one thread and from one seed.
//!
//! Each process has its own clock. The world steps the processes in turns, in random order and by random
//! times. These steps, and the time that calls take (`weather`), produce the schedules. While nothing moves
//! the steps grow, so that leases expire quickly. Then the faults end, and everything must end.

mod process;
mod trace;
mod troubles;
mod weather;

use crate::calls::Calls;
use crate::client::{self, Door, Entrance};
use crate::dice::Dice;
use crate::effects::Log;
use crate::evidence::{self, Evidence, Violation, Weather};
use crate::oracle;
use crate::report::Outcome;
use crate::scenario::Scenario;
use abide::__private::simulation::Database;
use process::{Life, Process, Setup, Timeline};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use trace::Trace;
use troubles::{Trouble, Troubles};
use weather::{Roughness, Sky};

/// How long after the end of all faults everything must have ended.
const PATIENCE: Duration = Duration::from_secs(200);
/// The longest step while nothing moves.
const LONGEST_STEP: Duration = Duration::from_millis(400);
/// The start of the database's clock: 2026-01-01, in ms.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// Runs the world of this seed. `traced`: whether to keep its trace.
pub(crate) fn run(seed: u64, traced: bool) -> Outcome {
    World::new(seed, traced).run()
}

struct World {
    dice: Dice,
    scenario: Scenario,
    now: Duration,
    skew_ms: Arc<AtomicI64>,
    sky: Arc<Sky>,
    calm: bool,
    trace: Arc<Trace>,
    log: Log,
    calls: Calls,
    database: Database,
    server: Timeline,
    clients: Timeline,
    processes: Vec<Option<Process>>,
    doors: Doors,
    troubles: Vec<(Duration, Trouble)>,
    faults: u64,
    faults_end: Duration,
}

/// The living processes, for the clients.
#[derive(Clone, Default)]
struct Doors(Rc<RefCell<Vec<Rc<Life>>>>);

impl Door for Doors {
    async fn enter(&self, which: u32) -> Entrance {
        loop {
            let found = {
                let all = self.0.borrow();
                let which = usize::try_from(which).unwrap_or(0);
                (!all.is_empty()).then(|| Rc::clone(&all[which % all.len()]))
            };
            if let Some(life) = found {
                return Entrance {
                    client: life.client.clone(),
                    gone: life.gone(),
                    inside: Some(Rc::new(life)),
                };
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed_0fa1_1da7_a000);
        let scenario = Scenario::generate(seed);
        let (trace, log) = (Arc::new(Trace::new(traced)), Log::default());
        let roughness = Roughness::draw(&mut dice);
        let calm = roughness.is_calm();
        let skew_ms = Arc::new(AtomicI64::new(EPOCH_MS));
        let sky = Sky::new((dice.below(u64::MAX), roughness), &log, &trace, &skew_ms);
        let troubles = Troubles::draw(&mut dice, calm);
        trace.add(|| format!("{roughness:?}, {troubles:?}"));
        let server = Timeline::new(Duration::ZERO);
        let (skew, clock) = (Arc::clone(&skew_ms), Arc::clone(&trace));
        let now_ms = move || {
            let passed_ms = i64::try_from(clock.now_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            skew.load(Ordering::Relaxed) + passed_ms
        };
        let database =
            Database::new(server.runtime.handle().clone(), Arc::new(now_ms), Arc::clone(&sky) as Arc<_>);
        let count = dice.between(2, 4);
        let mut world = Self {
            scenario,
            now: Duration::ZERO,
            skew_ms,
            sky,
            calm,
            trace,
            log,
            calls: Calls::default(),
            database,
            server,
            clients: Timeline::new(Duration::ZERO),
            processes: (0..count).map(|_| None).collect(),
            doors: Doors::default(),
            troubles: troubles.plan(&mut dice),
            faults: 0,
            faults_end: troubles.end,
            dice,
        };
        for slot in 0..world.processes.len() {
            world.begin(slot);
        }
        world
    }

    fn run(mut self) -> Outcome {
        let (door, scenario, calls) = (self.doors.clone(), self.scenario.clone(), self.calls.clone());
        let playing =
            self.clients.runtime.spawn_local(async move { client::play(&door, &scenario, &calls).await });
        let mut violations = Vec::new();
        let mut runs = Vec::new();
        // No client waits for children that go on alone.
        let all_closed = |world: &Self| world.database.remains().open.is_empty();
        if self.until(|_| playing.is_finished()) && self.until(all_closed) {
            self.clear();
            match self.gather() {
                Ok(gathered) => runs = gathered,
                Err(why) => violations.push(violation("evidence", why)),
            }
            // Remaining data is removed within a lease and a little more, and by then every worker knows of
            // every close.
            let until = self.now + weather::TOLD_BY + Duration::from_secs(1);
            self.until(|world| world.now >= until);
        } else {
            violations.extend(self.stuck());
        }
        let seen = self.sky.take_seen();
        violations.extend(seen.broken.into_iter().map(|text| violation("at every instant", text)));
        let evidence = Evidence {
            scenario: self.scenario.clone(),
            weather: Weather { losses: !self.calm, delays: !self.calm },
            log: self.log.entries(),
            calls: self.calls.all(),
            runs,
            looks: seen.looks,
            failures: Some(seen.failures),
            written: BTreeMap::new(),
            times: Some(seen.times),
        };
        if violations.is_empty() {
            violations.extend(oracle::check(&evidence));
            violations.extend(self.left());
        }
        for process in self.processes.iter_mut().filter_map(Option::take) {
            end(&self.database, process);
        }
        self.trace.add(|| "the end".to_owned());
        Outcome {
            evidence,
            violations,
            faults: self.faults + self.sky.faults.load(Ordering::Relaxed),
            digest: self.trace.digest(),
            trace: self.trace.lines(),
        }
    }

    /// Steps the world until `done`. False: it was not done in time.
    fn until(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let mut step = Duration::from_millis(1);
        let end = self.now.max(self.faults_end) + PATIENCE;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            let before = (self.sky.stirred.load(Ordering::Relaxed), self.log.len());
            self.step(step);
            let moves = (self.sky.stirred.load(Ordering::Relaxed), self.log.len()) != before;
            step = match moves {
                true => Duration::from_millis(self.dice.of(&[1, 1, 1, 2, 3, 7])),
                false => (step * 2).min(LONGEST_STEP),
            };
        }
        true
    }

    fn step(&mut self, by: Duration) {
        self.now += by;
        self.trace.now_ms.store(u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.trouble();
        // The database, the clients, and each process, in random order.
        let mut turns: Vec<usize> = (0..self.processes.len() + 2).collect();
        for last in (1..turns.len()).rev() {
            turns.swap(last, usize::try_from(self.dice.below(last as u64 + 1)).unwrap_or(0));
        }
        for turn in turns {
            match turn.checked_sub(2) {
                None if turn == 0 => self.server.step(self.now),
                None => self.clients.step(self.now),
                Some(slot) => self.step_process(slot),
            }
        }
        for doomed in self.sky.take_doomed() {
            let dies = |process: &Option<Process>| process.as_ref().is_some_and(|p| p.number == doomed);
            if let Some(slot) = self.processes.iter().position(dies) {
                self.replace(slot);
            }
        }
        self.sky.look_back(self.now);
        if self.now >= self.faults_end && !self.sky.clear.load(Ordering::Relaxed) {
            self.clear();
        }
    }

    fn step_process(&mut self, slot: usize) {
        let Some(process) = self.processes[slot].as_mut() else { return };
        if let Some(until) = process.stopped_until {
            if self.now < until {
                return;
            }
            process.stopped_until = None;
            process.timeline.wake(self.now);
            let number = process.number;
            self.trace.add(|| format!("process {number} wakes"));
        }
        process.timeline.step(self.now);
        if process.life.stopped.get() {
            self.replace(slot);
        }
    }

    fn clear(&self) {
        if !self.sky.clear.swap(true, Ordering::Relaxed) {
            self.trace.add(|| "the faults have ended".to_owned());
        }
    }

    fn trouble(&mut self) {
        while let Some((_, trouble)) = self.troubles.last().copied().filter(|(at, _)| *at <= self.now) {
            self.troubles.pop();
            self.faults += 1;
            let slot = usize::try_from(self.dice.below(self.processes.len() as u64)).unwrap_or(0);
            let number = self.processes[slot].as_ref().map(|process| process.number);
            self.trace.add(|| format!("{trouble:?} of process {number:?}"));
            match (trouble, self.processes[slot].as_mut()) {
                (Trouble::Kill, _) => self.replace(slot),
                (Trouble::Pause(length), Some(process)) => process.stopped_until = Some(self.now + length),
                (Trouble::Shutdown, Some(process)) => process.life.stop(),
                (Trouble::Clock(by_ms), _) => drop(self.skew_ms.fetch_add(by_ms, Ordering::Relaxed)),
                (_, None) => {}
            }
        }
    }

    /// Kills the process in this slot, whatever it does, and begins another.
    fn replace(&mut self, slot: usize) {
        if let Some(process) = self.processes[slot].take() {
            let number = process.number;
            self.trace.add(|| format!("process {number} is gone"));
            let life = Rc::clone(&process.life);
            self.doors.0.borrow_mut().retain(|door| !Rc::ptr_eq(door, &life));
            end(&self.database, process);
        }
        self.begin(slot);
    }

    fn begin(&mut self, slot: usize) {
        let setup = Setup::draw(&mut self.dice, u32::try_from(slot).unwrap_or(0), &self.scenario);
        let seed = self.dice.below(u64::MAX);
        let process = Process::begin(&self.database, &self.log, &self.trace, (seed, setup, self.now));
        let number = process.number;
        self.trace.add(|| format!("process {number} begins: {setup:?}"));
        self.doors.0.borrow_mut().push(Rc::clone(&process.life));
        self.processes[slot] = Some(process);
    }

    fn gather(&mut self) -> Result<Vec<evidence::RunEvidence>, String> {
        let (scenario, found) = (self.scenario.clone(), Rc::new(RefCell::new(None)));
        let (put, doors) = (Rc::clone(&found), self.doors.clone());
        self.clients.runtime.spawn_local(async move {
            // The process may be about to leave.
            let gathered = loop {
                let life = Rc::clone(&doors.0.borrow()[0]);
                let client = life.client.clone();
                let gathered = life.inside(Box::pin(evidence::gather(&client, &scenario)));
                tokio::select! {
                    biased;
                    gathered = gathered => break gathered,
                    () = life.gone() => {}
                }
            };
            *put.borrow_mut() = Some(gathered);
        });
        if !self.until(|_| found.borrow().is_some()) {
            return Err("the histories cannot be read".to_owned());
        }
        let gathered = found.borrow_mut().take();
        gathered.unwrap_or_else(|| Ok(Vec::new())).map_err(|error| error.to_string())
    }

    /// Memory is bounded: when all runs have closed, nothing is left.
    fn left(&self) -> Vec<Violation> {
        let mut remains = self.database.remains();
        // A report takes no lock on the parent, which may close at the same time. A sweep deletes it later.
        remains.messages.retain(|message| !message.contains("kind: ChildEnded"));
        let all = [
            ("left open", remains.open),
            ("left in the inbox", remains.messages),
            ("left as a task", remains.tasks),
            ("left as a failed attempt", remains.attempts),
        ];
        let rows =
            all.into_iter().flat_map(|(rule, left)| left.into_iter().map(move |text| violation(rule, text)));
        let kept = self.processes.iter().flatten().flat_map(|process| {
            process
                .keeps()
                .into_iter()
                .map(|kept| violation("left in memory", format!("process {} keeps {kept}", process.number)))
        });
        rows.chain(kept).collect()
    }

    fn stuck(&self) -> Vec<Violation> {
        let remains = self.database.remains();
        let mut stuck: Vec<Violation> = remains.open.into_iter().map(|row| violation("stuck", row)).collect();
        stuck.extend(remains.messages.into_iter().map(|row| violation("stuck message", row)));
        if stuck.is_empty() {
            stuck.push(violation("stuck", "a client waits, and everything has closed".to_owned()));
        }
        stuck
    }
}

fn end(database: &Database, process: Process) {
    database.kill(process.number);
    process.life.end();
    drop(process);
}

fn violation(rule: &'static str, text: String) -> Violation {
    Violation { rule, of: "the world".to_owned(), text }
}
