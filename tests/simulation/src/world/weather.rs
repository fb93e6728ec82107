//! The faults of calls to the database, drawn from the seed: how long calls take, whether they fail, and
//! whether notifications arrive.
//!
//! It also observes every commit: the trace and the rules that hold at every moment are here, because no
//! other module sees all commits.

use super::trace::Trace;
use crate::dice::Dice;
use crate::effects::Log;
use crate::evidence::{Failures, Look};
use crate::limits::Times;
use abide::__private::simulation::{Call, Commit, Course, End, Failed, Fault, Weather};
use abide::history::Event;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How frequent the faults are. Each is a number in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Roughness {
    /// Calls that take long.
    pub(super) slow: u64,
    /// Calls that are refused: a lock, a full disk, no connection.
    pub(super) refused: u64,
    /// Calls that are interrupted before their commit.
    pub(super) broken_before: u64,
    /// Calls that are interrupted after their commit.
    pub(super) broken_after: u64,
    /// Notifications that are lost.
    pub(super) unheard: u64,
    /// Appends during which the process dies; at most [`MOST_DEATHS`].
    pub(super) deadly: u64,
}

/// The most processes that die during an append.
const MOST_DEATHS: u64 = 5;

impl Roughness {
    /// A fifth of all worlds has no faults, so that results are exact there.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        if dice.chance(20) {
            return Self::default();
        }
        let mut some = |most| if dice.chance(60) { dice.below(most) } else { 0 };
        Self {
            slow: some(60),
            refused: some(60),
            broken_before: some(50),
            broken_after: some(50),
            unheard: some(400),
            deadly: some(120),
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.slow + self.refused + self.broken_before + self.broken_after + self.unheard + self.deadly == 0
    }
}

/// After this time every former owner of a run knows of its close: it is longer than any answer, any pause
/// and any lease.
pub(super) const TOLD_BY: Duration = Duration::from_secs(60);

/// See the module documentation.
pub(super) struct Sky {
    roughness: Roughness,
    /// The faults have ended.
    pub(super) clear: AtomicBool,
    pub(super) faults: AtomicU64,
    /// The number of calls and answers so far. It shows whether anything moves.
    pub(super) stirred: AtomicU64,
    dice: Mutex<Dice>,
    seen: Mutex<Seen>,
    /// Processes that die at the end of this step.
    doomed: Mutex<Vec<u32>>,
    deaths: AtomicU64,
    trace: Arc<Trace>,
    log: Log,
    /// The database's clock at the beginning of the world, in ms.
    skew_ms: Arc<AtomicI64>,
    /// The most that this has been.
    most_skew_ms: AtomicI64,
}

/// What the commits have shown.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) looks: Vec<Look>,
    pub(super) broken: Vec<String>,
    /// Failed attempts that were followed by another.
    pub(super) failures: Failures,
    /// What the database's clock showed.
    pub(super) times: Times,
    /// How many events each run has.
    lengths: BTreeMap<String, u64>,
    /// Closed runs, with the time of their close.
    closed: VecDeque<(Duration, String)>,
}

impl Seen {
    /// Each attempt fails once, one after the other.
    fn keep(&mut self, failed: Failed) {
        let Failed { run_id, activity, attempt, kind } = failed;
        let text =
            format!("attempt {attempt} of activity {activity} of run {run_id} was not the next to fail");
        let known = self.failures.entry((run_id, activity)).or_default();
        if known.len() + 1 != attempt as usize {
            self.broken.push(text);
        }
        known.insert(attempt, kind);
    }
}

impl Sky {
    pub(super) fn new(
        (seed, roughness): (u64, Roughness),
        log: &Log,
        trace: &Arc<Trace>,
        skew_ms: &Arc<AtomicI64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            roughness,
            clear: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            stirred: AtomicU64::new(0),
            dice: Mutex::new(Dice::new(seed)),
            seen: Mutex::default(),
            doomed: Mutex::default(),
            deaths: AtomicU64::new(0),
            trace: Arc::clone(trace),
            log: log.clone(),
            skew_ms: Arc::clone(skew_ms),
            most_skew_ms: AtomicI64::new(skew_ms.load(Ordering::Relaxed)),
        })
    }

    pub(super) fn take_seen(&self) -> Seen {
        std::mem::take(&mut *lock(&self.seen))
    }

    /// The processes that die at the end of this step: during an append.
    pub(super) fn take_doomed(&self) -> Vec<u32> {
        std::mem::take(&mut *lock(&self.doomed))
    }

    /// Records that no attempt of a run that closed long ago may begin from now on.
    pub(super) fn look_back(&self, now: Duration) {
        self.latest_ms();
        let mut seen = lock(&self.seen);
        while let Some((_, run)) = seen.closed.pop_front_if(|(at, _)| *at + TOLD_BY <= now) {
            seen.looks.push(Look { log: self.log.len(), closed: [run].into(), ..Look::default() });
        }
    }

    /// The time of the fastest process: one that goes on by the database's clock as it was before it was set back.
    fn latest_ms(&self) -> i64 {
        let passed_ms = i64::try_from(self.trace.now_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let skew_ms = self.skew_ms.load(Ordering::Relaxed);
        self.most_skew_ms.fetch_max(skew_ms, Ordering::Relaxed).max(skew_ms) + passed_ms
    }

    fn fault(&self, what: impl FnOnce() -> String) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        self.trace.add(what);
    }

    fn draw(&self, call: &Call, dice: &mut Dice) -> Course {
        let mut at = |most: u64| Duration::from_millis(dice.below(most + 1));
        let mut course =
            Course { before: at(2), between: at(1), held: at(2), after: at(2), ..Course::default() };
        if self.clear.load(Ordering::Relaxed) {
            return course;
        }
        let rough = self.roughness;
        let Call { name, process, .. } = call;
        if dice.below(1_000) < rough.slow {
            let long = Duration::from_millis(dice.ms(5, 14_000));
            self.fault(|| format!("  process {process}: `{name}` will take {} ms more", long.as_millis()));
            match dice.below(4) {
                0 => course.before += long,
                1 => course.held += long,
                2 => course.between += long,
                _ => course.after += long,
            }
        }
        if *name == "append"
            && dice.below(1_000) < rough.deadly
            && self.deaths.fetch_add(1, Ordering::Relaxed) < MOST_DEATHS
        {
            self.fault(|| format!("  process {process}: dies in the middle of this `append`"));
            lock(&self.doomed).push(*process);
        }
        let lot = dice.below(1_000);
        let (refused, before) = (rough.refused, rough.refused + rough.broken_before);
        course.end = match lot {
            _ if lot < refused => {
                End::Refused(dice.of(&[Fault::Lost, Fault::Busy, Fault::Busy, Fault::Full]))
            }
            _ if lot < before => End::BrokenBefore,
            _ if lot < before + rough.broken_after => End::BrokenAfter,
            _ => return course,
        };
        if matches!(course.end, End::BrokenBefore | End::BrokenAfter) && dice.chance(30) {
            course.told = Some(Duration::from_millis(dice.below(6)));
        }
        self.fault(|| format!("  process {process}: `{name}` meets {:?}", course.end));
        course
    }
}

impl Weather for Sky {
    fn course(&self, call: &Call) -> Course {
        if call.writes {
            self.stirred.fetch_add(1, Ordering::Relaxed);
        }
        self.trace.add(|| format!("  process {}: asks `{}`", call.process, call.name));
        self.draw(call, &mut lock(&self.dice))
    }

    fn notify_after(&self) -> Option<Duration> {
        let mut dice = lock(&self.dice);
        let lost = !self.clear.load(Ordering::Relaxed) && dice.below(1_000) < self.roughness.unheard;
        (!lost).then(|| Duration::from_millis(dice.below(12)))
    }

    fn committed(&self, commit: &Commit<'_>) {
        let call = commit.call;
        for line in commit.lines() {
            self.trace.add(|| format!("  process {}: `{}` commits {line}", call.process, call.name));
        }
        let mut seen = lock(&self.seen);
        seen.broken.extend(commit.broken());
        for failed in commit.failed_attempts() {
            seen.keep(failed);
        }
        for turn in commit.turns() {
            seen.times.created.insert(turn.run_id.clone(), turn.created_ms);
            let mut look = Look { log: self.log.len(), ..Look::default() };
            for event in &turn.events {
                match event {
                    Event::ActivityCompleted { activity, .. } | Event::ActivityFailed { activity, .. } => {
                        look.ended.insert((turn.run_id.clone(), activity.0));
                    }
                    event if event.is_close() => {
                        if matches!(event, Event::TimedOut { .. }) {
                            seen.times.timed_out.insert(turn.run_id.clone(), self.latest_ms());
                        }
                        let at = Duration::from_millis(self.trace.now_ms.load(Ordering::Relaxed));
                        seen.closed.push_back((at, turn.run_id.clone()));
                    }
                    _ => {}
                }
            }
            let known = seen.lengths.entry(turn.run_id.clone()).or_default();
            let (expected, len) = (*known + 1, turn.events.len() as u64);
            *known = turn.first + len - 1;
            if turn.first != expected {
                seen.broken.push(format!(
                    "run {} had {} events before event {}",
                    turn.run_id,
                    expected - 1,
                    turn.first
                ));
            }
            if !look.ended.is_empty() {
                seen.looks.push(look);
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
