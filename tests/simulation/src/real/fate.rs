//! Faults of a real process between the statements of its commits: pauses, broken calls, and death.
//!
//! The engine calls the hook at each stage of each commit, on the thread that commits.

use crate::dice::Dice;
use abide::__private::{FaultHook, Stage, StoreFault};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a process that is about to die waits in its commit.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The faults of one process.
#[derive(Debug)]
pub(crate) struct Fate {
    dice: Mutex<Dice>,
    /// How many of a thousand stages fail, and how many are paused.
    lost: u64,
    paused: u64,
    /// No more faults.
    mended: AtomicBool,
    /// The process is dead: code of it that still runs writes nothing.
    dead: AtomicBool,
    /// The process dies at this stage, counted down. 0: it does not die.
    dies_in: AtomicU64,
    /// Notified when the process has reached the stage at which it dies.
    pub(crate) dying: Notify,
    counts: Arc<Counts>,
}

/// The numbers of faults over all processes.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lost: AtomicU64,
    pub(crate) paused: AtomicU64,
    pub(crate) killed: AtomicU64,
    pub(crate) restarted: AtomicU64,
}

impl Counts {
    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all(&self) -> u64 {
        let counts = [&self.lost, &self.paused, &self.killed, &self.restarted];
        counts.into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Fate {
    /// No faults, until the process is killed.
    pub(crate) fn calm(counts: &Arc<Counts>) -> Arc<Self> {
        Self::new(Dice::new(0), 0, 0, 0, counts)
    }

    /// Random faults.
    pub(crate) fn rough(dice: &mut Dice, counts: &Arc<Counts>) -> Arc<Self> {
        let (lost, paused) = (dice.tail(0, 60), dice.tail(0, 120));
        let dies_in = if dice.chance(35) { dice.tail(2, 200) } else { 0 };
        Self::new(Dice::new(dice.below(u64::MAX)), lost, paused, dies_in, counts)
    }

    fn new(dice: Dice, lost: u64, paused: u64, dies_in: u64, counts: &Arc<Counts>) -> Arc<Self> {
        Arc::new(Self {
            dice: Mutex::new(dice),
            lost,
            paused,
            mended: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            dies_in: AtomicU64::new(dies_in),
            dying: Notify::new(),
            counts: Arc::clone(counts),
        })
    }

    /// From now on there are no faults.
    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::Release);
    }

    /// From now on nothing is written.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// The fault hook of its store.
    pub(crate) fn hook(self: &Arc<Self>) -> FaultHook {
        let fate = Arc::clone(self);
        Arc::new(move |stage| fate.at(stage))
    }

    fn at(&self, stage: Stage) -> Option<StoreFault> {
        if self.dead.load(Ordering::Acquire) {
            // After a failed sync the writer writes nothing more.
            return (stage == Stage::BeforeCommit).then_some(StoreFault::Fsync);
        }
        if self.mended.load(Ordering::Acquire) {
            return None;
        }
        if self.dies_in.load(Ordering::Acquire) > 0 && self.dies_in.fetch_sub(1, Ordering::AcqRel) == 1 {
            return self.last_stage();
        }
        let (lost, pause) = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = (dice.below(1_000) < self.paused).then(|| dice.ms(1, 300));
            (dice.below(1_000) < self.lost, pause)
        };
        if let Some(ms) = pause {
            Counts::add(&self.counts.paused);
            std::thread::sleep(Duration::from_millis(ms));
        }
        lost.then(|| {
            Counts::add(&self.counts.lost);
            StoreFault::Lost
        })
    }

    /// Stays in this stage until the process is killed.
    fn last_stage(&self) -> Option<StoreFault> {
        self.dying.notify_one();
        let since = std::time::Instant::now();
        while !self.dead.load(Ordering::Acquire) && since.elapsed() < LAST_WAIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(StoreFault::Lost)
    }
}
